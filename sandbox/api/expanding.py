"""What leaves the API: objects without our own keys, with what `expand` asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.engine import account_balance, sources
from sandbox.errors import request_error
from sandbox.house import db
from sandbox.objects.parts import listing
from sandbox.objects.source_card import card
from sandbox.store import public

Json = dict[str, Any]
Shape = Callable[[Json], Json]
DEPTH = 4


def render(obj: Json, paths: list[str], shape: Shape) -> Json:
    """The answer to a request: a copy of an object or list in a version's shape, expanded."""
    shown = json.loads(json.dumps(obj))
    if shown.get("object") == "list":
        shown["data"] = [shape(_shown(each)) for each in shown["data"]]
    else:
        shown = shape(_shown(shown))
    for path in paths:
        steps = path.split(".")
        if len(steps) - steps.count("data") > DEPTH:
            raise request_error(
                f"You cannot expand more than {DEPTH} levels of a property: {path}", param="expand"
            )
        _expand(shown, steps, path, shape)
    return shown  # type: ignore[no-any-return]


def _shown(obj: Json) -> Json:
    """Without our own keys at any depth."""
    if obj.get("object") == "event":
        owed = db().one(
            "SELECT count(*) AS n FROM deliveries WHERE event=? AND state='pending'", (obj["id"],)
        )
        obj["pending_webhooks"] = owed["n"] if owed else 0
    if obj.get("object") == "balance_transaction":
        obj = account_balance.shown(obj)
    return {key: _inner(value) for key, value in public(obj).items()}


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _inner(each) for key, each in public(value).items()}
    return [_inner(each) for each in value] if isinstance(value, list) else value


def _expand(node: Any, steps: list[str], path: str, shape: Shape) -> None:
    if isinstance(node, list):
        for each in node:
            _expand(each, steps, path, shape)
        return
    if not isinstance(node, dict):
        return
    name, rest = steps[0], steps[1:]
    compute = COMPUTED.get((str(node.get("object")), name))
    if compute is not None and name not in node:
        computed = _inner(compute(node))
        node[name] = shape(computed) if isinstance(computed, dict) else computed
    elif name not in node:
        raise request_error(f"This property cannot be expanded ({path}).", param="expand")
    elif name == "default_source" and node[name]:
        node[name] = _inner(card(db().get("payment_method", node[name])))
    elif isinstance(node[name], str):
        node[name] = shape(_resolve(node[name], path))
    elif isinstance(node[name], list):
        node[name] = [shape(_resolve(each, path)) if isinstance(each, str) else each for each in node[name]]
    if rest:
        _expand(node[name], rest, path, shape)


def _resolve(id_: str, path: str) -> Json:
    row = db().one("SELECT body FROM objects WHERE id=?", (id_,))
    if row is None:
        raise request_error(f"This property cannot be expanded ({path}).", param="expand")
    body = json.loads(row["body"])
    if body.get("_deleted"):
        return {"id": body["id"], "object": body["object"], "deleted": True}
    return _shown(body)


def _line_items(session: Json) -> Json:
    items = db().get("checkout.session", session["id"])["_line_items"]
    return listing(f"/v1/checkout/sessions/{session['id']}/line_items", items)


def _payments(invoice: Json) -> Json:
    payments = db().all("invoice_payment", invoice=invoice["id"])
    return listing(f"/v1/invoice_payments?invoice={invoice['id']}", payments)


def _confirmation_secret(invoice: Json) -> Json | None:
    intent = db().find("payment_intent", db().get("invoice", invoice["id"])["_payment_intent"])
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


def _subscriptions(customer: Json) -> Json:
    living = [
        sub
        for sub in db().all("subscription", customer=customer["id"])
        if sub["status"] not in ("canceled", "incomplete_expired")
    ]
    return listing(f"/v1/customers/{customer['id']}/subscriptions", living[::-1], total=True)


def _refunds(charge: Json) -> Json:
    refunds = db().all("refund", charge=charge["id"])
    return listing(f"/v1/charges/{charge['id']}/refunds", refunds[::-1])


def _coupon_currencies(coupon: Json) -> Json:
    options: Json = db().get("coupon", coupon["id"])["_currency_options"]
    own = {coupon["currency"]: {"amount_off": coupon["amount_off"]}} if coupon["currency"] else {}
    return own | options


def _coupon_products(coupon: Json) -> Json | None:
    products = db().get("coupon", coupon["id"])["_products"]
    return {"products": products} if products else None


def _currency_options(price: Json) -> Json:
    own = {"unit_amount": price["unit_amount"], "tax_behavior": price["tax_behavior"]}
    given = db().get("price", price["id"])["_currency_options"]
    options = {price["currency"]: own} | given
    shape = {"custom_unit_amount": None, "tax_behavior": "unspecified"}
    return {
        currency: shape | option | {"unit_amount_decimal": str(option["unit_amount"])}
        for currency, option in options.items()
    }


def _sources(customer: Json) -> Json:
    shown = [card(method) for method in sources.of(customer)]
    return listing(f"/v1/customers/{customer['id']}/sources", shown, total=True)


COMPUTED: dict[tuple[str, str], Callable[[Json], Json | None]] = {
    ("checkout.session", "line_items"): _line_items,
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("customer", "subscriptions"): _subscriptions,
    ("customer", "sources"): _sources,
    ("charge", "refunds"): _refunds,
    ("coupon", "applies_to"): _coupon_products,
    ("coupon", "currency_options"): _coupon_currencies,
    ("price", "currency_options"): _currency_options,
}
