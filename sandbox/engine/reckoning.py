"""What a stored invoice adds up to: its discounts looked up, its customer's balance used and given back."""

from __future__ import annotations

from typing import Any

from sandbox import money
from sandbox.engine import balance, discounts, totals
from sandbox.house import db

Json = dict[str, Any]


def reckon(invoice: Json, rules: list[Json] | None = None) -> None:
    """Write what the lines, discounts and the customer's balance amount to, in place.

    `rules` are the discounts of the whole invoice, where they are not stored yet.
    """
    if rules is None:
        rules = [db().get("discount", id_) for id_ in invoice["discounts"]]
    by_line = {line["id"]: _rules(line["discounts"], invoice) for line in invoice["lines"]["data"]}
    totals.apply(invoice, by_line, [discounts.rule(each, invoice["currency"]) for each in rules])
    asked = _due(invoice)
    invoice.update(amount_due=asked.amount_due, amount_remaining=asked.amount_due)


def _rules(ids_: list[str], invoice: Json) -> list[totals.Rule]:
    return [discounts.rule(db().get("discount", id_), invoice["currency"]) for id_ in ids_]


def _due(invoice: Json) -> totals.Due:
    currency = invoice["currency"]
    least, step = money.minimum(currency), money.step(currency)
    return totals.due(invoice["total"], invoice["starting_balance"], least, step)


def apply_balance(invoice: Json) -> None:
    """The draft becomes final: use the customer's balance as it is now, and say what is left of it. In place."""
    customer = db().get("customer", invoice["customer"])
    invoice["starting_balance"] = balance.of(customer, invoice["currency"])
    asked = _due(invoice)
    invoice.update(
        amount_due=asked.amount_due, amount_remaining=asked.amount_due, ending_balance=asked.ending_balance
    )
    for type_, amount in asked.moves:
        balance.move(customer["id"], amount, invoice["currency"], type_, {"invoice": invoice["id"]})


def give_back(invoice: Json) -> None:
    """A void invoice leaves the customer's balance as if it had never been."""
    applied = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    if applied:
        given = {"invoice": invoice["id"]}
        balance.move(invoice["customer"], -applied, invoice["currency"], "unapplied_from_invoice", given)
