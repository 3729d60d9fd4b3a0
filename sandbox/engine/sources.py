"""Sources: cards saved by the older API. Each is a card payment method that also answers in the old shape."""

from __future__ import annotations

from typing import Any

from sandbox import ids
from sandbox.engine import methods
from sandbox.events import change, difference, emit
from sandbox.house import db
from sandbox.objects.source_card import card
from sandbox.store import public

Json = dict[str, Any]


def add(customer: Json, token: str, metadata: Json, default: bool = False) -> Json:
    """Save the card behind a token; the customer's first one, or where `default`, becomes its default.

    402 when the bank refuses the card. Returns the payment method.
    """
    method = methods.find(token, "source")
    methods.check(method)
    db().delete(method["id"])
    method |= {
        "id": ids.dated("card"), "customer": customer["id"], "metadata": metadata, "_source": True,
    }  # fmt: skip
    db().put(method)
    emit("customer.source.created", card(method))
    if default or customer["default_source"] is None:
        change(customer, "customer.updated", default_source=method["id"])
    return method


def of(customer: Json) -> list[Json]:
    """The customer's source cards, newest first."""
    return db().all("payment_method", customer=customer["id"], _source=True)[::-1]


def update(method: Json, name: Json, metadata: Json, exp: Json, address: Json) -> Json:
    """New words on a source card; the card in its old shape."""
    before = card(db().get("payment_method", method["id"]))
    method["billing_details"] |= name
    method["billing_details"]["address"] |= address
    method["card"] |= exp
    method["metadata"] = metadata
    db().put(method)
    previous = difference(before, card(method))
    if previous:
        emit("customer.source.updated", card(method), previous)
    return card(method)


def remove(customer: Json, method: Json) -> Json:
    """Forget a source card; another one, if there is one, becomes the default."""
    gone = card(method)
    db().put(method | {"customer": None})
    emit("customer.source.deleted", gone)
    if customer["default_source"] == method["id"]:
        rest = of(customer)
        change(customer, "customer.updated", default_source=rest[0]["id"] if rest else None)
    return public({"id": method["id"], "object": "card", "deleted": True})
