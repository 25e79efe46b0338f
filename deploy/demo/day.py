"""A business day: what people do on either side, and what each subscriber must see of it."""

from dataclasses import dataclass, field
from typing import Callable


@dataclass
class Step:
    title: str
    do: Callable
    sales: list = field(default_factory=list)
    finance: list = field(default_factory=list)
    # Tailwater is killed before it, and only comes back after it.
    while_dead: bool = False


def in_one_transaction(*statements: str) -> str:
    return "BEGIN; " + "; ".join(statements) + "; COMMIT;"


def new_customer(crm, erp):
    crm.sql(in_one_transaction(
        "INSERT INTO address VALUES (5001, 'Rue du Port 4', '20359', 'Hamburg', 'DE')",
        "INSERT INTO account (id, name, tax_id, territory, phone, billing_address_id) "
        "VALUES (5001, 'Atelier Lumière', 'de 129 273 398', 'DACH', '+49 40 4711', 5001)",
        "INSERT INTO contact (account_id, first_name, last_name, email) VALUES (5001, 'Claire', 'Lumière', 'claire@example.com')",
        "INSERT INTO opportunity (id, account_id, name, phase, amount) VALUES (10001, 5001, 'Lamps', 'qualified', 12800.50)"))


def becomes_a_party(crm, erp):
    erp.sql(in_one_transaction(
        "INSERT INTO party (id, name) VALUES (4001, 'Atelier Lumière GmbH')",
        "INSERT INTO party_identifier (party, type, code) VALUES (4001, 'eu_vat', 'DE129273398')",
        "INSERT INTO party_address (party, sequence, street, postal_code, city) VALUES (4001, 1, 'Rue du Port 4', '20359', 'Hamburg')"))


def renamed_on_the_wrong_side(crm, erp):
    crm.sql("UPDATE account SET name = 'Customer Six Holding' WHERE id = 6")


def renamed_by_its_owner(crm, erp):
    erp.sql("UPDATE party SET name = 'Customer 6 Holding SE' WHERE id = 6")


def quote_and_order(crm, erp):
    crm.sql("UPDATE opportunity SET phase = 'quoted' WHERE id = 10001")
    erp.sql(in_one_transaction(
        "INSERT INTO sale (id, party, state, opportunity) VALUES (20001, 4001, 'quotation', 10001)",
        "INSERT INTO sale_line VALUES (20001, 1, 12, 5, 2560.10)"))
    crm.sql("UPDATE opportunity SET phase = 'won' WHERE id = 10001")
    crm.sql("INSERT INTO activity (note) VALUES ('Lamps are sold')")
    erp.sql("UPDATE sale SET state = 'confirmed' WHERE id = 20001")


def invoice_and_payment(crm, erp):
    erp.sql(in_one_transaction(
        "INSERT INTO invoice (id, sale, number, state, total, due) VALUES (20001, 20001, 'INV-20001', 'posted', 12800.50, '2026-07-17')",
        "UPDATE sale SET state = 'processing' WHERE id = 20001"))
    erp.sql(in_one_transaction(
        "INSERT INTO payment (id, invoice, amount) VALUES (20001, 20001, 12800.50)",
        "UPDATE invoice SET state = 'paid' WHERE id = 20001", "UPDATE sale SET state = 'done' WHERE id = 20001"))
    erp.sql("BEGIN; INSERT INTO party (id, name) VALUES (9999, 'Never existed'); ROLLBACK;")


def territory_moves_away(crm, erp):
    crm.sql("UPDATE account SET territory = 'Nordics' WHERE id = 6")


def territory_comes(crm, erp):
    crm.sql("UPDATE account SET territory = 'DACH' WHERE id = 4")


def soft_delete(crm, erp):
    crm.sql("UPDATE account SET is_deleted = 1 WHERE id = 9")


def deleted_by_the_erp(crm, erp):
    erp.sql("DELETE FROM party WHERE id = 3999")


def deleted_by_the_crm(crm, erp):
    crm.sql(in_one_transaction(
        "DELETE FROM contact WHERE account_id = 3999", "DELETE FROM opportunity WHERE account_id = 3999",
        "DELETE FROM account WHERE id = 3999"))


DAY = [
    Step("A new customer in the CRM", new_customer,
         ["customer.created CRM-5001 -"], ["customer.created CRM-5001 -"]),
    Step("Finance makes it a party: the tax id says that it is the same", becomes_a_party,
         ["customer.updated CRM-5001 ERP-4001 [erp_customer_id, legal_customer_name, billing_address]"],
         ["customer.updated CRM-5001 ERP-4001 [erp_customer_id, legal_customer_name, tax_id, billing_address]"]),
    Step("A legal name changed on the wrong side: withheld", renamed_on_the_wrong_side),
    Step("The same on the right side", renamed_by_its_owner,
         ["customer.updated CRM-6 ERP-6 [legal_customer_name]"], ["customer.updated CRM-6 ERP-6 [legal_customer_name]"]),
    Step("A quote becomes an order", quote_and_order),
    Step("Invoice and payment, while Tailwater is dead (kill -9)", invoice_and_payment, [],
         ["invoice.inserted 20001", "payment.inserted 20001", "invoice.updated 20001"], while_dead=True),
    Step("A customer moves to another territory", territory_moves_away,
         ["customer.left_scope"], ["customer.updated CRM-6 ERP-6 [territory]"]),
    Step("Another one comes", territory_comes,
         ["customer.created CRM-4 ERP-4"], ["customer.updated CRM-4 ERP-4 [territory]"]),
    Step("A soft delete in the CRM", soft_delete,
         ["customer.updated CRM-9 ERP-9 [deleted]"], ["customer.updated CRM-9 ERP-9 [deleted]"]),
    Step("A customer is deleted, in the ERP", deleted_by_the_erp,
         ["customer.updated CRM-3999 - [erp_customer_id, legal_customer_name, billing_address]"],
         ["customer.updated CRM-3999 - [erp_customer_id, legal_customer_name, tax_id, billing_address]"]),
    Step("and in the CRM", deleted_by_the_crm,
         ["customer.deleted CRM-3999 -"], ["customer.deleted CRM-3999 -"]),
]


def told(event: dict) -> str:
    """An event as the day has it."""
    key, fields = event["key"], event["updated_fields"]
    name = event["event_type"].removeprefix("erp.public.")
    if "customer_id" in key:
        # A row that left has nothing but its key.
        ids = "" if event["op"] == "LEFT_SCOPE" else f' {key["customer_id"] or "-"} {key["erp_customer_id"] or "-"}'
    else:
        ids = f' {key["id"]}'
    return name + ids + (f' [{", ".join(fields)}]' if fields and event["op"] == "UPDATE" else "")
