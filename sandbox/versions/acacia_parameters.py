"""What requests said before 2025-03-31.basil."""

from __future__ import annotations

from typing import Any

from sandbox.versions.change import Parameters, rename, rows

Json = dict[str, Any]


def _customer(tree: Json, older: Json) -> None:
    """A customer's coupon has no parameter any more: it is given afterwards."""
    for name in ("coupon", "promotion_code"):
        if name in tree:
            older[name] = tree.pop(name)


def _discounted(tree: Json, _older: Json) -> None:
    for name in ("coupon", "promotion_code"):
        if name in tree:
            value = tree.pop(name)
            tree["discounts"] = {"0": {name: value}} if value else ""


def _subscription(tree: Json, older: Json) -> None:
    _discounted(tree, older)
    if "plan" in tree:
        tree.setdefault("items", {"0": {"price": tree.pop("plan")}})
        if "quantity" in tree:
            tree["items"]["0"]["quantity"] = tree.pop("quantity")
    _items(tree)


def _items(tree: Json) -> None:
    for item in rows(tree, "items"):
        rename(item, "plan", "price")


def _schedule(tree: Json, older: Json) -> None:
    for phase in rows(tree, "phases"):
        rename(phase, "plans", "items")
        _discounted(phase, older)
        _items(phase)


def _invoiceitem(tree: Json, _older: Json) -> None:
    if "price" in tree:
        tree["pricing"] = {"price": tree.pop("price")}
    rename(tree, "unit_amount", "unit_amount_decimal")


def _preview(tree: Json, older: Json) -> None:
    _discounted(tree, older)
    if isinstance(tree.get("subscription_details"), dict):
        _items(tree["subscription_details"])


PARAMETERS: dict[tuple[str, str], Parameters] = {
    ("POST", "/v1/customers"): _customer,
    ("POST", "/v1/customers/<id>"): _customer,
    ("POST", "/v1/subscriptions"): _subscription,
    ("POST", "/v1/subscriptions/<id>"): _subscription,
    ("POST", "/v1/subscription_schedules"): _schedule,
    ("POST", "/v1/subscription_schedules/<id>"): _schedule,
    ("POST", "/v1/invoiceitems"): _invoiceitem,
    ("POST", "/v1/invoiceitems/<id>"): _invoiceitem,
    ("POST", "/v1/invoices/create_preview"): _preview,
}
