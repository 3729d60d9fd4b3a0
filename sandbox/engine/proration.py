"""What a change in the middle of a period is worth: credits for unused and charges for remaining time.

By the second, from exact fractions, each amount rounded once (halves away from zero, `totals.rounded`):

    amount = price × quantity × (end − at) / (end of the whole period − its start)

A subscription's discounts are within the amounts, as its `billing_mode.flexible.proration_discounts`, included,
says: what was paid less is credited less.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from sandbox import clock, periods
from sandbox.engine import amounts, discounts, totals
from sandbox.house import db

Json = dict[str, Any]


def items(sub: Json, new_items: list[Json], at: int, until: int | None = None) -> list[Json]:
    """What `items.add` needs for each proration of a change of items at `at`, credits first. Nothing is stored.

    `new_items` are the subscription's items as they will be; what stays as it is, is neither credited nor charged.
    `until` is the end of the period, by default the one that the items carry.
    """
    if sub["status"] == "trialing":
        return []
    old = {item["id"]: item for item in sub["items"]["data"]}
    new = {item["id"]: item for item in new_items}
    gone = [item for id_, item in old.items() if id_ not in new or _differ(item, new[id_])]
    come = [item for id_, item in new.items() if id_ not in old or _differ(old[id_], item)]
    return [*credit(sub, gone, at, until), *charge(sub, come, new_items, at, until)]


def _differ(one: Json, other: Json) -> bool:
    return bool(one["price"]["id"] != other["price"]["id"] or one["quantity"] != other["quantity"])


def credit(sub: Json, unused: list[Json], at: int, until: int | None = None) -> list[Json]:
    """Credits for the time from `at` to the end of the period (or `until`) of items."""
    found = []
    for item in unused:
        paid, lines = _paid(sub, item)
        amount = -totals.rounded(paid * share(sub, item, at, until))
        given = _given(sub, item, amount, at, "Unused")
        given["period"]["end"] = until or item["current_period_end"]
        found.append(given | {"credited_items": lines})
    return found


def charge(sub: Json, wanted: list[Json], among: list[Json], at: int, until: int | None = None) -> list[Json]:
    """Charges for the time from `at` to the end of the period (or `until`) of items; discounts see all of `among`."""
    full = full_amounts(sub, among)
    found = []
    for item in wanted:
        amount = totals.rounded(full[item["id"]] * share(sub, item, at, until))
        given = _given(sub, item, amount, at, "Remaining")
        given["period"]["end"] = until or item["current_period_end"]
        found.append(given | {"full": full[item["id"]]})
    return found


def share(sub: Json, item: Json, at: int, until: int | None = None) -> Fraction:
    """How much of the whole period lies between `at` and the end of the item's period (or `until`)."""
    end = item["current_period_end"]
    start, whole_end = whole(sub, item)
    return Fraction((until or end) - at, whole_end - start)


def whole(sub: Json, item: Json) -> tuple[int, int]:
    """The whole period that the item's current one is, or is the beginning or the rest of."""
    recurring = item["price"]["recurring"]
    return periods.around(sub["billing_cycle_anchor"], recurring, item["current_period_end"] - 1)


def full_amounts(sub: Json, wanted: list[Json]) -> dict[str, int]:
    """What a whole period of each item costs, less the subscription's discounts; by the item's id."""
    customer = db().get("customer", sub["customer"])
    now = clock.now(sub["customer"])
    lines = [_as_line(item, sub["currency"]) for item in wanted]
    rules = [discounts.rule(each, sub["currency"]) for each in discounts.of(sub, customer)]
    own = [
        [discounts.rule(each, sub["currency"]) for each in discounts.alive(item["discounts"], now)]
        for item in wanted
    ]
    first = [sum(totals.amounts([line], rule)[0].values()) for line, rule in zip(lines, own, strict=True)]
    left = [line["amount"] - off for line, off in zip(lines, first, strict=True)]
    common = totals.amounts(lines, rules, left)
    return {
        item["id"]: rest - sum(off.values()) for item, rest, off in zip(wanted, left, common, strict=True)
    }


def _as_line(item: Json, currency: str) -> Json:
    price = item["price"]
    return {
        "amount": (amounts.unit_amount(price, currency) or 0) * item["quantity"],
        "discountable": True,
        "pricing": {"price_details": {"product": price["product"]}},
    }


def _paid(sub: Json, item: Json) -> tuple[int, Json | None]:
    """What a whole period of the item was charged at, and the invoice line that charged it (as credited_items)."""
    made = _pending_charge(sub, item)
    if made is not None:
        return int(made["_full"]), _line_of(sub, made)
    for invoice in reversed(_invoices(sub)):
        for line in invoice["lines"]["data"]:
            if _charged(line, item):
                off = sum(each["amount"] for each in line["discount_amounts"])
                return line["amount"] - off, {"invoice": invoice["id"], "invoice_line_items": [line["id"]]}
    return full_amounts(sub, sub["items"]["data"])[item["id"]], None


def _pending_charge(sub: Json, item: Json) -> Json | None:
    """The newest charge that a change within this period made for the item as it is now."""
    for each in reversed(db().all("invoiceitem", customer=sub["customer"])):
        about = (each["parent"] or {}).get("subscription_details") or {}
        if about.get("subscription_item") == item["id"] and each.get("_full") is not None:
            same = each["_price"] == item["price"]["id"] and each["quantity"] == item["quantity"]
            inside = item["current_period_start"] <= each["period"]["start"] < item["current_period_end"]
            return each if same and inside else None
    return None


def _charged(line: Json, item: Json) -> bool:
    """Whether a line of an invoice is the whole current period of the item as it is now."""
    details = line["parent"]["subscription_item_details"] or {}
    return bool(
        details.get("subscription_item") == item["id"]
        and not details["proration"]
        and line["period"] == {"start": item["current_period_start"], "end": item["current_period_end"]}
        and line["quantity"] == item["quantity"]
        and line["pricing"]["price_details"]["price"] == item["price"]["id"]
    )


def _line_of(sub: Json, invoice_item: Json) -> Json | None:
    for invoice in reversed(_invoices(sub)):
        for line in invoice["lines"]["data"]:
            details = line["parent"]["subscription_item_details"] or {}
            if details.get("invoice_item") == invoice_item["id"]:
                return {"invoice": invoice["id"], "invoice_line_items": [line["id"]]}
    return None


def _invoices(sub: Json) -> list[Json]:
    return db().all("invoice", parent__subscription_details__subscription=sub["id"])


def _given(sub: Json, item: Json, amount: int, at: int, which: str) -> Json:
    product = db().find("product", item["price"]["product"]) or {"name": "Product"}
    count = f"{item['quantity']} × " if item["quantity"] != 1 else ""
    return {
        "amount": amount,
        "currency": sub["currency"],
        "description": f"{which} time on {count}{product['name']} after {day(at)}",
        "period": {"start": at, "end": item["current_period_end"]},
        "subscription": sub["id"],
        "subscription_item": item["id"],
        "proration": True,
        "price": item["price"],
        "quantity": item["quantity"],
        "metadata": sub["metadata"],
        "discountable": False,
    }


def day(at: int) -> str:
    """`10 Nov 2025`, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %b %Y")
