#!/usr/bin/env bash
# The main job on a throw-away PostgreSQL 15: a small ERP, Tailwater on its log, one durable subscriber, a business day
# with a kill -9 in the middle. Ends with 0 only if the subscriber saw everything, once and in order.
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
  as_postgres "$pg/pg_ctl" -D "$dir/erp/data" -m immediate -w stop >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap stop EXIT

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
sql() { psql -qAtX -v ON_ERROR_STOP=1 -h "$dir/erp" -p "$port" -U postgres -d erp "$@"; }

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

say "1. A PostgreSQL 15 server with a small ERP"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$dir/erp"
[ "$(id -u)" -ne 0 ] || chown postgres "$dir/erp"
as_postgres "$pg/initdb" -D "$dir/erp/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
as_postgres tee -a "$dir/erp/data/postgresql.conf" >/dev/null <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir/erp'
wal_level = logical
CONF
as_postgres "$pg/pg_ctl" -D "$dir/erp/data" -l "$dir/erp/log" -w start >/dev/null
psql -qX -h "$dir/erp" -p "$port" -U postgres -c 'create database erp'
sql <<'SQL'
create table party (id bigint generated always as identity primary key, name text not null, vat text, active boolean not null default true);
create table sale (id bigint generated always as identity primary key, party bigint not null references party,
                   state text not null, amount numeric(12,2) not null, ordered_at timestamptz not null default now());
create table invoice (id bigint generated always as identity primary key, sale bigint not null references sale,
                      amount numeric(12,2) not null, due date);
create table audit_note (note text, at timestamptz default now());  -- without a primary key
SQL
echo "listening on 127.0.0.1:$port"

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
"$bin" status --config "$dir/tailwater.yaml"

say "3. A durable subscriber, and a business day"
"$bin" subscribe --config "$dir/tailwater.yaml" --table 'erp.*' --from earliest --subscription demo --format json \
  >"$dir/seen.jsonl" 2>"$dir/subscriber.log" &
subscriber_pid=$!
saw() { [ "$(wc -l <"$dir/seen.jsonl")" -ge "$1" ]; }

sql -c "insert into party (name, vat) values ('Huber Maschinenbau GmbH', 'DE129273398'), ('Atelier Lumière', null)"
sql -c "begin; insert into sale (party, state, amount) values (1, 'quotation', 12800.50); insert into audit_note (note) values ('quoted'); commit"
sql -c "update sale set state = 'confirmed' where id = 1"
await "the subscriber saw the first five changes" saw 5

say "4. kill -9, and business goes on while nobody listens"
kill -9 "$tailwater_pid"
wait "$tailwater_pid" 2>/dev/null || true
sql -c "begin; insert into invoice (sale, amount, due) values (1, 12800.50, '2026-07-17'); update sale set state = 'invoiced' where id = 1; commit"
sql -c "update party set name = 'Huber Maschinenbau SE' where id = 1"
sql -c "begin; insert into party (name) values ('never existed'); rollback"
sql -c "delete from party where id = 2"

say "5. Tailwater again: it goes on where it was, and so does the subscriber"
start_tailwater
await "the subscriber saw all nine changes" saw 9
"$bin" status --config "$dir/tailwater.yaml"

say "6. What the subscriber saw"
python3 - "$dir/seen.jsonl" <<'PYTHON'
import json, sys
seen = [json.loads(line) for line in open(sys.argv[1])]
for change in seen:
    row = change["after"] or change["before"] or {}
    print(f'{change["sequence"]:>3} {change["position"]:<12} {change["event_type"]:<30} {json.dumps(row, ensure_ascii=False)}')
found = [(change["event_type"], change["key"]) for change in seen]
one, two = {"id": "1"}, {"id": "2"}
expected = [
    ("erp.public.party.inserted", one), ("erp.public.party.inserted", two),
    ("erp.public.sale.inserted", one), ("erp.public.audit_note.inserted", None),
    ("erp.public.sale.updated", one),
    ("erp.public.invoice.inserted", one), ("erp.public.sale.updated", one),
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

if [ "${KEEP:-}" = 1 ]; then
  say "It is still running (Ctrl-C ends it and removes everything)"
  echo "psql -h $dir/erp -p $port -U postgres erp"
  echo "$bin status --config $dir/tailwater.yaml"
  echo "$bin subscribe --config $dir/tailwater.yaml --table '*' --from earliest"
  echo "$bin proto --config $dir/tailwater.yaml"
  wait "$subscriber_pid"
fi
