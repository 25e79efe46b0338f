"""A subscriber made of what `tailwater proto` printed: replays the stream into a dict for each table, until a row of the table
`ledger` says that it is the last, and prints the rows as text, one a line.

usage: replay.py FOLDER_OF_GENERATED_MODULES PORT LAST < token
"""

import datetime
import importlib
import sys

import grpc

EPOCH = datetime.datetime(1970, 1, 1)
SPECIAL = {1: "infinity", 2: "-infinity", 3: "NaN"}


def text(value):
    """As PostgreSQL prints it, for the types of the test."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    kind = getattr(getattr(value, "DESCRIPTOR", None), "name", None)
    if kind is None:
        return str(value)
    if kind in ("Decimal", "Date", "LocalDateTime", "Instant"):
        if value.WhichOneof("kind") == "special":
            return SPECIAL[value.special]
    if kind == "Decimal":
        return value.value
    if kind == "Date":
        return str((EPOCH + datetime.timedelta(days=value.days)).date())
    if kind in ("LocalDateTime", "Instant"):
        at = EPOCH + datetime.timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
        return str(at).rstrip("0").rstrip(".") if at.microsecond else str(at)
    if kind == "Json":
        return value.text
    if kind == "StringArray":
        nulls = set(value.shape.nulls)
        return "{" + ",".join("NULL" if at in nulls else item for at, item in enumerate(value.values)) + "}"
    raise ValueError(f"no text for {kind}")


class Replica:
    def __init__(self):
        self.tables = {}
        self.schemas = {}
        self.open = []

    def apply(self, frame):
        """True at the end of a transaction."""
        kind = frame.WhichOneof("frame")
        if kind == "schema":
            name = frame.schema.type_url.rpartition("/")[2]
            message = getattr(importlib.import_module(name + "_pb2"), name.rpartition(".")[2])
            self.schemas[frame.schema.id] = (frame.schema.table, list(frame.schema.key), message)
        elif kind == "begin":
            self.open = []
        elif kind == "changes":
            self.open.extend(frame.changes.changes)
        elif kind == "resume_point_gone":
            raise SystemExit(frame.resume_point_gone.reason)
        elif kind == "commit":
            for change in self.open:
                self.change(change)
            return True
        return False

    def row(self, message, data):
        fields = message.FromString(data).ListFields()
        return {field.number: (field.json_name, text(value)) for field, value in fields}

    def change(self, change):
        table, key, message = self.schemas[change.schema_id]
        rows = self.tables.setdefault(table, {})
        key_of = lambda row: tuple(row[number][1] for number in key)
        before = self.row(message, change.before) if change.HasField("before") else None
        after = self.row(message, change.after) if change.HasField("after") else None
        if change.op == 4:
            rows.clear()
            return
        old = rows.pop(key_of(before if before is not None else after), {})
        if after is not None:
            for number in change.unchanged:
                if number in old:
                    after[number] = old[number]
            rows[key_of(after)] = after


def main():
    folder, port, last = sys.argv[1:]
    sys.path.insert(0, folder)
    subscription = importlib.import_module("tailwater.v1.subscription_pb2")
    stubs = importlib.import_module("tailwater.v1.subscription_pb2_grpc")
    token = sys.stdin.read().strip()
    replica = Replica()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = stubs.SubscriptionServiceStub(channel)
        request = subscription.SubscribeRequest(tables=["*"], boundary=subscription.BOUNDARY_EARLIEST)
        stream = stub.Subscribe(request, metadata=[("authorization", f"Bearer {token}")], timeout=60)
        for response in stream:
            for frame in response.frames:
                if replica.apply(frame) and (last,) in replica.tables.get("ledger", {}):
                    stream.cancel()
                    for table, rows in replica.tables.items():
                        for row in rows.values():
                            cells = sorted((name, cell) for name, cell in row.values())
                            print(table, "|".join(f"{name}={cell}" for name, cell in cells))
                    return


main()
