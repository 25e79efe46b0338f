#!/usr/bin/env python3
"""The main job on throw-away servers: a CRM on MariaDB, an ERP on PostgreSQL, a warehouse, two subscribers with different roles,
a business day with a kill -9 in the middle. Ends with 0 only if each subscriber saw exactly what it may, once and in order, and the
warehouse holds exactly what the sources hold.

    make demo                KEEP=1 make demo leaves it running and says how to look around
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from day import DAY, told  # noqa: E402
from proof import held, meant  # noqa: E402
from servers import Mariadb, Postgres  # noqa: E402
from tailwater import PASSWORD, Subscriber, Tailwater, await_  # noqa: E402

HERE = pathlib.Path(__file__).parent
COLUMN = 100
# Of both systems.
TABLES = 14


def say(text: str):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def fail(text: str):
    raise SystemExit(f"demo: FAILED: {text}")


class Demo:
    def __init__(self, binary: pathlib.Path, spoil):
        self.binary, self.spoil, self.started = binary, spoil, time.monotonic()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tailwater-demo."))
        self.folder.chmod(0o711)
        # Stopped in the reverse order.
        self.running = []

    def play(self):
        self.start_servers()
        self.attach()
        self.listen()
        self.live_the_day()
        self.show()
        self.prove()
        self.figures()

    def start_servers(self):
        say("1. A CRM on MariaDB and an ERP on PostgreSQL, each with a past, and an empty warehouse")
        self.crm = self.keep(Mariadb("crm", self.folder, PASSWORD))
        self.erp, self.warehouse = self.keep(Postgres("erp", self.folder)), self.keep(Postgres("warehouse", self.folder))
        self.crm.sql((HERE / "crm.sql").read_text())
        self.erp.sql((HERE / "erp.sql").read_text())
        print(f"CRM 127.0.0.1:{self.crm.port}, ERP 127.0.0.1:{self.erp.port}, warehouse 127.0.0.1:{self.warehouse.port}")

    def attach(self):
        say("2. Tailwater attaches to both, copies what is there while business goes on, and follows")
        ports = {"crm_port": self.crm.port, "erp_port": self.erp.port, "warehouse_port": self.warehouse.port}
        self.tailwater = self.keep(Tailwater(self.folder, self.binary, ports))
        self.check()
        begun = time.monotonic()
        self.tailwater.start()
        for id_ in range(1, 40):
            self.crm.sql(f"UPDATE opportunity SET amount = amount + 1 WHERE id % 40 = {id_}")
        await_("the warehouse is filled and the customers are followed", self.is_filled)
        self.copied = self.tailwater.status()["targets"][0]["rows"], time.monotonic() - begun
        print(self.tailwater.ask("status").stdout)

    def check(self):
        found = self.tailwater.ask("check")
        if found.returncode != 0:
            fail(f"tailwater check finds\n{found.stdout}{found.stderr}")

    def is_filled(self) -> bool:
        status = self.tailwater.status()
        tables = [table["state"] for target in status.get("targets", []) for table in target["tables"]]
        entities = [entity["state"] for entity in (status.get("govern") or {}).get("entities", [])]
        return tables == ["TARGET_TABLE_STATE_READY"] * (TABLES + 1) and entities == ["ENTITY_STATE_FOLLOWING"]

    def listen(self):
        say("3. Two subscribers: sales for its territory, finance for what it bills")
        customers = ["--entity", "customer"]
        self.sales = self.keep(Subscriber(self.tailwater, "sales-app", "sales", *customers))
        self.finance = self.keep(Subscriber(self.tailwater, "ledger", "finance", *customers, "--table", "erp.public.*"))

        def are_there() -> bool:
            return sum(subscription["live"] for subscription in self.tailwater.status().get("subscriptions", [])) == 2

        await_("both are there", are_there)

    def live_the_day(self):
        say("4. A business day")
        expected = {self.sales: 0, self.finance: 0}
        for step in DAY:
            print(f"   {step.title}", flush=True)
            if step.while_dead:
                self.tailwater.kill()
            step.do(self.crm, self.erp)
            if step.while_dead:
                self.tailwater.start()
            expected[self.sales] += len(step.sales)
            expected[self.finance] += len(step.finance)
            for subscriber, count in expected.items():
                await_(f"{subscriber.subject} saw `{step.title}`", lambda s=subscriber, n=count: len(s.seen()) >= n)

    def show(self):
        say("5. What each of them saw, side by side")
        seen = {subscriber: [told(event) for event in subscriber.seen()] for subscriber in (self.sales, self.finance)}
        if self.spoil == "line":
            seen[self.finance].pop(3)
        print(f'{"SALES":<{COLUMN}}FINANCE')
        places = {self.sales: 0, self.finance: 0}
        wrong = []
        for step in DAY:
            print(f"-- {step.title}")
            columns = []
            for subscriber, expected in ((self.sales, step.sales), (self.finance, step.finance)):
                upto = places[subscriber] + len(expected)
                found = seen[subscriber][places[subscriber]:upto]
                places[subscriber] = upto
                columns.append(found)
                if found != expected:
                    wrong.append(f"{step.title}: {subscriber.subject} should see {expected}, saw {found}")
            for row in range(max(map(len, columns))):
                left, right = (column[row] if row < len(column) else "" for column in columns)
                print(f"{left:<{COLUMN}}{right}")
        for subscriber, upto in places.items():
            if seen[subscriber][upto:]:
                wrong.append(f"{subscriber.subject} saw more: {seen[subscriber][upto:]}")
        if wrong:
            fail("\n  ".join(wrong))
        print("\neach line once and in order, across a kill -9: as expected")
        self.withheld()

    def withheld(self):
        """The change on the wrong side went to nobody, and whoever asks is told."""
        changes = self.tailwater.status()["govern"]["entities"][0]["withheld"]
        found = [change for change in changes if (change["system"], change["key"], change["field"]) == ("crm", "6", "legal_customer_name")]
        if len(found) != 1:
            fail(f"the CRM's new name for customer 6 should be withheld once: {changes}")
        print(f'withheld: crm changed legal_customer_name of {found[0]["key"]}, which erp owns')

    def prove(self):
        say("6. The warehouse holds what the CRM and the ERP hold")
        if self.spoil == "row":
            self.warehouse.sql("UPDATE crm.account SET phone = 'somebody else' WHERE id = 77")
        if self.spoil == "customer":
            self.warehouse.sql("UPDATE entity.customer SET legal_customer_name = 'Nobody' WHERE erp_customer_id = 'ERP-77'")
        verified = self.tailwater.ask("verify")
        print(verified.stdout.strip())
        if verified.returncode != 0:
            fail(f"verify found a difference {verified.stderr}")
        customers = meant(self.crm, self.erp)
        deadline = time.monotonic() + 15
        while held(self.warehouse) != customers and time.monotonic() < deadline:
            time.sleep(0.2)
        differing = held(self.warehouse) ^ customers
        if differing:
            fail(f"{len(differing)} customers differ, among them {sorted(differing)[:2]}")
        print(f"{len(customers)} customers, each as its owners have it: equal")

    def figures(self):
        rows, seconds = self.copied
        status = self.tailwater.status()
        entity = status["govern"]["entities"][0]
        say("7. Figures")
        print(f"first copies: {rows} rows of {TABLES} tables and the customers in {seconds:.1f} s, {int(rows) / seconds:,.0f} rows/s")
        print(f'customers: {entity["entities"]}, of them {entity["linked"]} in both systems; withheld changes: {len(entity["withheld"])}')
        print(f'journal: {status["journal"]["sequence"]} transactions, {int(status["journal"]["bytes"]) / 2**20:.1f} MiB')
        print(f"memory at most: {self.tailwater.memory_mib()} MiB; the whole demo: {time.monotonic() - self.started:.0f} s")

    def keep(self, what):
        self.running.append(what)
        return what

    def look_around(self):
        say("It is still running; Ctrl-C ends it and removes everything. In another terminal:")
        config = f"--config {self.tailwater.config}"
        for door in (self.crm.door(), self.erp.door(), self.warehouse.door()):
            print(door)
        print(f"{self.binary} status {config}")
        secret = self.folder / "sales-app.token"
        print(f"{self.binary} subscribe {config} --subject sales-app --token-file {secret} --entity customer --from earliest")
        print(f"{self.binary} proto {config} --subject sales-app --token-file {secret}")
        try:
            self.tailwater.process.wait()
        except KeyboardInterrupt:
            print()

    def stop(self):
        for what in reversed(self.running):
            what.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description="The main job on throw-away servers.")
    cache = os.environ.get("CARGO_TARGET_DIR", pathlib.Path.home() / ".cache/tailwater/target")
    parser.add_argument("--binary", type=pathlib.Path, default=pathlib.Path(cache) / "release/tailwater")
    parser.add_argument("--spoil", choices=["line", "row", "customer"], help="make one thing wrong, which the demo must notice")
    arguments = parser.parse_args()
    if not arguments.binary.exists():
        raise SystemExit("demo: build first: make build")
    demo = Demo(arguments.binary, arguments.spoil)
    try:
        demo.play()
        if os.environ.get("KEEP") == "1":
            demo.look_around()
    finally:
        demo.stop()


if __name__ == "__main__":
    main()
