"""What the warehouse must hold, by what the CRM and the ERP hold: row by row, and for customers by the contract."""

import collections
import re

# The customer as its contract has it, in the order of `held`.
CUSTOMERS = """
SELECT coalesce(customer_id, ''), coalesce(erp_customer_id, ''), coalesce(legal_customer_name, ''), coalesce(tax_id, ''),
       coalesce(billing_address_street, ''), coalesce(billing_address_city, ''), coalesce(territory, ''), coalesce(phone, '')
FROM entity.customer
"""
PARTIES = """
SELECT p.id, p.name, coalesce((SELECT code FROM party_identifier i WHERE i.party = p.id AND type = 'eu_vat' ORDER BY id LIMIT 1), ''),
       coalesce(a.street, ''), coalesce(a.city, '')
FROM party p LEFT JOIN LATERAL (SELECT * FROM party_address a WHERE a.party = p.id ORDER BY sequence NULLS LAST, id LIMIT 1) a ON true
"""
ACCOUNTS = "SELECT id, coalesce(tax_id, ''), territory, phone FROM account"


def plain(text: str) -> str:
    """A tax id without what people put into it."""
    return re.sub(r"[\W_]", "", text).upper()


def meant(crm, erp) -> set:
    """Every customer as both systems have it: the ERP's side by the ERP, the CRM's by the CRM."""
    parties, accounts = erp.sql(PARTIES), crm.sql(ACCOUNTS)
    count = collections.Counter(("erp", plain(party[2])) for party in parties)
    count.update(("crm", plain(account[1])) for account in accounts)
    by_tax = {plain(party[2]): party for party in parties if party[2]}
    customers, linked = set(), set()
    for id_, tax, territory, phone in accounts:
        key = plain(tax)
        same = by_tax.get(key) if key and count["erp", key] == count["crm", key] == 1 else None
        customers.add((f"CRM-{id_}", *side(same), territory, phone))
        linked.add(same)
    customers.update(("", *side(party), "", "") for party in parties if party not in linked)
    return customers


def side(party) -> tuple:
    if party is None:
        return ("",) * 5
    id_, name, tax, street, city = party
    return (f"ERP-{id_}", " ".join(name.split()), plain(tax), street, city)


def held(warehouse) -> set:
    return set(warehouse.sql(CUSTOMERS))
