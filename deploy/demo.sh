#!/usr/bin/env bash
# The main job on throw-away PostgreSQL 15 servers: a small ERP with a past, Tailwater on its log, a warehouse, one durable
# subscriber, a business day with a kill -9 in the middle. Ends with 0 only if the subscriber saw everything, once and in
# order, and the warehouse holds exactly what the ERP holds.
#
#   deploy/demo.sh          KEEP=1 deploy/demo.sh leaves it running and says how to look around
set -euo pipefail

bin=${CARGO_TARGET_DIR:-$HOME/.cache/tailwater/target}/release/tailwater
pg=/usr/lib/postgresql/15/bin
[ -x "$bin" ] || { echo "demo: build first: make build" >&2; exit 1; }

dir=$(mktemp -d /tmp/tailwater-demo.XXXXXX)
chmod 711 "$dir"
tailwater_pid=""
subscriber_pid=""

# The server refuses to run as root.
as_postgres() {
  if [ "$(id -u)" -eq 0 ]; then (cd "$dir" && runuser -u postgres -- "$@"); else "$@"; fi
}

stop() {
  # The subscriber first, so that it does not try to reconnect.
  [ -z "$subscriber_pid" ] || kill "$subscriber_pid" 2>/dev/null || true
  [ -z "$tailwater_pid" ] || kill "$tailwater_pid" 2>/dev/null || true
  wait 2>/dev/null || true
  for server in erp warehouse; do
    as_postgres "$pg/pg_ctl" -D "$dir/$server/data" -m immediate -w stop >/dev/null 2>&1 || true
  done
  rm -rf "$dir"
}
trap stop EXIT

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
sql() { psql -qAtX -v ON_ERROR_STOP=1 -h "$dir/erp" -p "$port" -U postgres -d erp "$@"; }
warehouse_sql() { psql -qAtX -v ON_ERROR_STOP=1 -h "$dir/warehouse" -p "$warehouse_port" -U postgres -d warehouse "$@"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# A server of its own with one database, both called $1, on port $2.
start_server() {
  mkdir "$dir/$1"
  [ "$(id -u)" -ne 0 ] || chown postgres "$dir/$1"
  as_postgres "$pg/initdb" -D "$dir/$1/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
  as_postgres tee -a "$dir/$1/data/postgresql.conf" >/dev/null <<CONF
port = $2
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir/$1'
wal_level = logical
CONF
  as_postgres "$pg/pg_ctl" -D "$dir/$1/data" -l "$dir/$1/log" -w start >/dev/null
  psql -qX -h "$dir/$1" -p "$2" -U postgres -c "create database $1"
}

# Waits until a command succeeds; never longer than 30 seconds.
await() {
  local what=$1; shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "demo: gave up waiting until $what" >&2
  tail -n 20 "$dir/tailwater.log" "$dir/subscriber.log" >&2 || true
  exit 1
}

say "1. Two PostgreSQL 15 servers: a small ERP with a past, and an empty warehouse"
port=$(free_port)
start_server erp "$port"
warehouse_port=$(free_port)
start_server warehouse "$warehouse_port"
sql <<'SQL'
create table party (id bigint generated always as identity primary key, name text not null, vat text, active boolean not null default true);
create table sale (id bigint generated always as identity primary key, party bigint not null references party,
                   state text not null, amount numeric(12,2) not null, ordered_at timestamptz not null default now());
create table invoice (id bigint generated always as identity primary key, sale bigint not null references sale,
                      amount numeric(12,2) not null, due date);
create table audit_note (note text, at timestamptz default now());  -- without a primary key
insert into party (name, vat) select 'Customer ' || n, 'DE' || 100000000 + n from generate_series(1, 20000) n;
insert into sale (party, state, amount) select n % 20000 + 1, 'paid', n * 1.25 from generate_series(1, 60000) n;
insert into invoice (sale, amount, due) select n, n * 1.25, '2026-01-01'::date + n % 300 from generate_series(1, 60000) n;
insert into audit_note (note) values ('before the time of Tailwater');
SQL
echo "listening on 127.0.0.1:$port and 127.0.0.1:$warehouse_port"

say "2. Tailwater attaches to it"
cat > "$dir/tailwater.yaml" <<YAML
version: 1
data_dir: data
systems:
  erp:
    kind: postgres
    host: 127.0.0.1
    port: $port
    user: postgres
    database: erp
    tables: {include: ["public.*"]}
targets:
  warehouse:
    kind: postgres
    host: 127.0.0.1
    port: $warehouse_port
    user: postgres
    database: warehouse
    tables: {include: ["erp.*"]}
server: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
YAML
start_tailwater() {
  rm -f "$dir/data/endpoints.json"
  "$bin" run --config "$dir/tailwater.yaml" 2>>"$dir/tailwater.log" &
  tailwater_pid=$!
  await "Tailwater is ready" ready
}
ready() {
  local http
  http=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["http"])' "$dir/data/endpoints.json")
  python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "http://$http/readyz"
}
start_tailwater
kill_tailwater() {
  kill -9 "$tailwater_pid"
  wait "$tailwater_pid" 2>/dev/null || true
}
tailwater() { "$bin" "$1" --config "$dir/tailwater.yaml" "${@:2}"; }
# Whether a condition over the status holds: a Python expression over `status`.
status_has() {
  tailwater status --json | python3 -c 'import json, sys; status = json.load(sys.stdin); sys.exit(not eval(sys.argv[1]))' "$1"
}
tables_ready='[table["state"] for target in status["targets"] for table in target["tables"]] == ["TARGET_TABLE_STATE_READY"] * 4'

say "3. The warehouse is filled while business goes on, and a kill -9 does not make it start over"
(for n in $(seq 40); do sql -c "update sale set state = 'archived' where id % 40 = $n"; done) &
writer_pid=$!
await "the copy has begun" status_has 'any(table.get("copy") for source in status["sources"] for table in source["tables"])'
kill_tailwater
start_tailwater
await "the warehouse is ready" status_has "$tables_ready"
wait "$writer_pid"
tailwater status
tailwater verify

say "4. A durable subscriber, and a business day"
"$bin" subscribe --config "$dir/tailwater.yaml" --table 'erp.*' --from latest --subscription demo --format json \
  >"$dir/seen.jsonl" 2>"$dir/subscriber.log" &
subscriber_pid=$!
saw() { [ "$(wc -l <"$dir/seen.jsonl")" -ge "$1" ]; }
await "the subscriber is there" status_has 'any(subscription["live"] for subscription in status["subscriptions"])'

sql -c "insert into party (name, vat) values ('Huber Maschinenbau GmbH', 'DE129273398'), ('Atelier Lumière', null)"
sql -c "begin; insert into sale (party, state, amount) values (20001, 'quotation', 12800.50); insert into audit_note (note) values ('quoted'); commit"
sql -c "update sale set state = 'confirmed' where id = 60001"
await "the subscriber saw the first five changes" saw 5

say "5. kill -9, and business goes on while nobody listens"
kill_tailwater
sql -c "begin; insert into invoice (sale, amount, due) values (60001, 12800.50, '2026-07-17'); update sale set state = 'invoiced' where id = 60001; commit"
sql -c "update party set name = 'Huber Maschinenbau SE' where id = 20001"
sql -c "begin; insert into party (name) values ('never existed'); rollback"
sql -c "delete from party where id = 20002"

say "6. Tailwater again: it goes on where it was, and so does the subscriber"
start_tailwater
await "the subscriber saw all nine changes" saw 9

say "7. What the subscriber saw"
python3 - "$dir/seen.jsonl" <<'PYTHON'
import json, sys
seen = [json.loads(line) for line in open(sys.argv[1])]
for change in seen:
    row = change["after"] or change["before"] or {}
    print(f'{change["sequence"]:>3} {change["position"]:<12} {change["event_type"]:<30} {json.dumps(row, ensure_ascii=False)}')
found = [(change["event_type"], change["key"]) for change in seen]
one, two, sale = {"id": "20001"}, {"id": "20002"}, {"id": "60001"}
expected = [
    ("erp.public.party.inserted", one), ("erp.public.party.inserted", two),
    ("erp.public.sale.inserted", sale), ("erp.public.audit_note.inserted", None),
    ("erp.public.sale.updated", sale),
    ("erp.public.invoice.inserted", {"id": "60001"}), ("erp.public.sale.updated", sale),
    ("erp.public.party.updated", one),
    ("erp.public.party.deleted", two),
]
if found != expected:
    sys.exit(f"demo: FAILED\n  expected {expected}\n  found    {found}")
names = [change["after"]["name"] for change in seen if change["event_type"] == "erp.public.party.updated"]
if names != ["Huber Maschinenbau SE"]:
    sys.exit(f"demo: FAILED, the new name is {names}")
print("\nnine changes, each once, in commit order, across a kill -9: as expected")
PYTHON

say "8. The warehouse holds what the ERP holds, and a change by hand does not stay hidden"
tailwater verify
warehouse_sql -c "update erp.sale set amount = amount + 0.01 where id = 4711"
if tailwater verify --table 'erp.public.sale'; then
  echo "demo: FAILED, verify did not see the changed cell" >&2
  exit 1
fi
tailwater resync warehouse erp.public.sale
await "the table is ready again" status_has "$tables_ready"
tailwater verify

if [ "${KEEP:-}" = 1 ]; then
  say "It is still running (Ctrl-C ends it and removes everything)"
  echo "psql -h $dir/erp -p $port -U postgres erp"
  echo "$bin status --config $dir/tailwater.yaml"
  echo "$bin subscribe --config $dir/tailwater.yaml --table '*' --from earliest"
  echo "$bin proto --config $dir/tailwater.yaml"
  wait "$subscriber_pid"
fi
