"""/v1/subscriptions and /v1/subscription_items."""

from __future__ import annotations

from typing import Any

from sandbox.agenda import period_end
from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import subscriptions
from sandbox.errors import missing, not_built, request_error, required
from sandbox.events import change
from sandbox.house import db
from sandbox.objects.catalogue import plan
from sandbox.store import public

Json = dict[str, Any]

CHANGE = (
    "cancel_at cancel_at_period_end cancellation_details.comment cancellation_details.feedback"
    " default_payment_method description metadata.* items.#.id items.#.price items.#.quantity"
    " items.#.metadata.*"
    " proration_behavior payment_behavior trial_settings.end_behavior.missing_payment_method"
    " billing_cycle_anchor billing_cycle_anchor.type"
)
FEEDBACK = (
    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
    "too_expensive", "unused",
)  # fmt: skip
STATUSES = (
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused",
    "all", "ended",
)  # fmt: skip


def retrieve(call: Call) -> Json:
    return call.subject("subscription")


def list_(call: Call) -> Json:
    params = call.params
    status = params.choice("status", *STATUSES)
    where = {"customer": params.text("customer"), "test_clock": params.text("test_clock")}
    conditions: list[str] = []
    args: list[Any] = []
    if status == "ended":
        conditions.append("json_extract(body, '$.status') IN ('canceled', 'incomplete_expired')")
    elif status is None:
        conditions.append("json_extract(body, '$.status') NOT IN ('canceled', 'incomplete_expired')")
    elif status != "all":
        where["status"] = status
    if params.text("price"):
        conditions.append("json_extract(body, '$.items.data[0].price.id')=?")
        args.append(params.text("price"))
    return listing.page(call, "subscription", "/v1/subscriptions", where, (" AND ".join(conditions), args))


def update(call: Call) -> Json:
    """Everything that the request asks for is one change, and so one event."""
    sub, params = retrieve(call), call.params
    _refuse(sub, params)
    changed: Json = params.words("description") | _end(sub, params)
    if params.has("metadata"):
        changed["metadata"] = params.metadata(sub["metadata"])
    if params.has("default_payment_method"):
        changed["default_payment_method"] = _method(sub, params)
    behavior = params.child("trial_settings").child("end_behavior")
    missing_method = behavior.choice("missing_payment_method", "cancel", "create_invoice", "pause")
    if missing_method:
        end = sub["trial_settings"]["end_behavior"] | {"missing_payment_method": missing_method}
        changed["trial_settings"] = {"end_behavior": end}
    if params.has("items"):
        changed["items"] = sub["items"] | {"data": _items(sub, params)}
    return change(sub, subscriptions.UPDATED, **changed)


def _refuse(sub: Json, params: Params) -> None:
    if isinstance(params.tree.get("billing_cycle_anchor"), str):
        raise request_error(
            "Invalid object: `billing_cycle_anchor` takes an object with `type` now or unchanged.",
            param="billing_cycle_anchor",
        )
    if params.child("billing_cycle_anchor").text("type") == "now":
        raise not_built("a reset of the billing cycle", "billing_cycle_anchor[type]")
    if params.text("payment_behavior") not in (None, "allow_incomplete"):
        raise not_built("this payment_behavior", "payment_behavior")
    if sub["status"] in subscriptions.ENDED and set(params.tree) - {
        "metadata",
        "cancellation_details",
        "expand",
    }:
        raise request_error("A canceled subscription can only update its cancellation_details and metadata.")


def _end(sub: Json, params: Params) -> Json:
    """The fields of a scheduled end that is asked for, taken back or explained."""
    if params.has("cancel_at") and params.has("cancel_at_period_end"):
        raise request_error(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            "parameters_exclusive",
        )
    fields: Json = {}
    if params.has("cancel_at"):
        fields = _end_at(sub, params)
    elif params.has("cancel_at_period_end"):
        fields = _end_of_period(sub, params)
    said = params.child("cancellation_details")
    words = subscriptions.words(said.choice("feedback", *FEEDBACK), said.text("comment"))
    details: Json = fields.get("cancellation_details") or sub["cancellation_details"]
    return fields | {"cancellation_details": details | words}


def _end_of_period(sub: Json, params: Params) -> Json:
    if not params.flag("cancel_at_period_end"):
        return subscriptions.going_on(sub)
    if sub["cancel_at_period_end"]:
        return {}
    return subscriptions.ending(sub, period_end(sub)) | {"cancel_at_period_end": True}


def _end_at(sub: Json, params: Params) -> Json:
    raw = params.text("cancel_at")
    if raw is None:
        return subscriptions.going_on(sub)
    if raw in ("min_period_end", "max_period_end"):
        at = period_end(sub)
    elif raw.isdigit():
        at = int(raw)
    else:
        raise not_built(f"cancel_at {raw}", "cancel_at")
    if at < period_end(sub):
        raise not_built("a cancel_at inside the period, which prorates", "cancel_at")
    return subscriptions.ending(sub, at)


def _method(sub: Json, params: Params) -> str | None:
    id_ = params.text("default_payment_method")
    method = db().find("payment_method", id_)
    if id_ and (method is None or method["customer"] != sub["customer"]):
        raise missing("PaymentMethod", id_, "default_payment_method", 400)
    return id_


def _items(sub: Json, params: Params) -> list[Json]:
    """Another price of the same interval, from now on, without proration."""
    if params.choice("proration_behavior", "none", "always_invoice", "create_prorations") != "none":
        raise not_built("prorations: send proration_behavior=none", "proration_behavior")
    items = [dict(item) for item in sub["items"]["data"]]
    for row in params.rows("items"):
        known = [item for item in items if item["id"] == row.text("id")]
        if not known:
            raise not_built("adding items to a subscription: give the id of its item", row.name("id"))
        _change_item(known[0], row)
    return items


def _change_item(item: Json, row: Params) -> None:
    price_id = row.text("price")
    if price_id:
        price = db().find("price", price_id)
        if price is None:
            raise missing("price", price_id, row.name("price"), 400)
        old = item["price"]["recurring"]
        new = price["recurring"] or {}
        if (new.get("interval"), new.get("interval_count")) != (old["interval"], old["interval_count"]):
            raise not_built("a change of the billing interval", row.name("price"))
        if price["currency"] != item["price"]["currency"]:
            raise request_error(
                "The price's currency differs from the subscription's.", param=row.name("price")
            )
        item.update(price=public(price), plan=plan(price), quantity=1)
    quantity = row.integer("quantity", least=1)
    if quantity is not None:
        item["quantity"] = quantity
    if row.has("metadata"):
        item["metadata"] = row.metadata(item["metadata"])


def cancel(call: Call) -> Json:
    sub, params = retrieve(call), call.params
    if sub["status"] in subscriptions.ENDED:
        raise missing("subscription", sub["id"])
    for name in ("prorate", "invoice_now"):
        if params.flag(name):
            raise not_built(f"{name} on cancel", name)
    details = params.child("cancellation_details")
    return subscriptions.cancel_now(sub, details.choice("feedback", *FEEDBACK), details.text("comment"))


def items(call: Call) -> Json:
    id_ = call.params.text("subscription")
    if id_ is None:
        raise required("subscription")
    sub = db().find("subscription", id_)
    if sub is None:
        raise missing("subscription", id_, "subscription", 400)
    return listing.of(call, sub["items"]["data"], f"/v1/subscription_items?subscription={id_}")


OPERATIONS = (
    Operation(
        "GET", "/v1/subscriptions", list_, f"{LISTED} {CREATED} customer status price test_clock"
    ),
    Operation("GET", "/v1/subscriptions/<id>", retrieve),
    Operation("POST", "/v1/subscriptions/<id>", update, CHANGE),
    Operation(
        "DELETE", "/v1/subscriptions/<id>", cancel,
        "prorate invoice_now cancellation_details.comment cancellation_details.feedback",
    ),
    Operation("GET", "/v1/subscription_items", items, f"{LISTED} subscription"),
)  # fmt: skip
