"""/v1/subscriptions."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import listing, subscription_creation
from sandbox.api import subscription_params as said
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import changing, pausing, starting, subscriptions, time
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db

Json = dict[str, Any]

STATUSES = (
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused",
    "all", "ended",
)  # fmt: skip
PERIOD = "current_period_start current_period_end"
BOUNDS = " ".join(f"{name}.{bound}" for name in PERIOD.split() for bound in ("gt", "gte", "lt", "lte"))
WORDS = "cancellation_details.comment cancellation_details.feedback"
ENDED_MAY_CHANGE = {"metadata", "cancellation_details", "expand"}
INCOMPLETE_MAY_CHANGE = {"metadata", "default_source", "expand"}
# what a pending update can hold; Stripe refuses the rest with pending_if_incomplete
PENDING_MAY_CHANGE = {
    "items", "proration_behavior", "proration_date", "payment_behavior", "billing_cycle_anchor", "trial_end",
    "add_invoice_items", "expand",
}  # fmt: skip


def create(call: Call) -> Json:
    params = call.params
    id_ = params.need("customer")
    customer = db().find("customer", id_)
    if customer is None or customer.get("_deleted"):
        raise missing("customer", id_, "customer", 400)
    time.check_subscriptions(customer)
    lines, given = subscription_creation.creation(params, customer)
    return starting.start(customer, lines, given)


def retrieve(call: Call) -> Json:
    return call.subject("subscription")


def list_(call: Call) -> Json:
    params = call.params
    status = params.choice("status", *STATUSES)
    where = {
        "customer": params.text("customer"),
        "test_clock": params.text("test_clock"),
        "collection_method": params.choice("collection_method", "charge_automatically", "send_invoice"),
    }
    conditions: list[str] = []
    args: list[Any] = []
    if status == "ended":
        conditions.append("json_extract(body, '$.status') IN ('canceled', 'incomplete_expired')")
    elif status is None:
        conditions.append("json_extract(body, '$.status') NOT IN ('canceled', 'incomplete_expired')")
    elif status != "all":
        where["status"] = status
    price = params.text("price") or params.text("plan")
    if price:
        conditions.append(
            "EXISTS (SELECT 1 FROM json_each(body, '$.items.data') WHERE json_extract(value, '$.price.id')=?)"
        )
        args.append(price)
    for name in PERIOD.split():
        for sign, moment in listing.bounds(call.params, name):
            conditions.append(f"json_extract(body, '$.items.data[0].{name}') {sign} ?")
            args.append(moment)
    return listing.page(call, "subscription", "/v1/subscriptions", where, (" AND ".join(conditions), args))


def update(call: Call) -> Json:
    """Everything that the request asks for is one change, and so one event."""
    sub, params = retrieve(call), call.params
    _refuse(sub, params)
    return changing.carry_out(sub, wanted(sub, params))


def wanted(sub: Json, params: Params) -> changing.Wanted:
    """What an update, or the preview of one, asks for."""
    now = clock.now(sub["customer"])
    anchor = params.child("billing_cycle_anchor").choice("type", "now", "unchanged")
    items = said.items(sub, params) if params.has("items") else None
    customer = db().get("customer", sub["customer"])
    kept = said.kept_discounts(params, sub)
    return changing.Wanted(
        fields=_fields(sub, params),
        items=items,
        reset=anchor == "now",
        trial_end=said.trial_end(params, now),
        proration=said.proration(params),
        at=params.integer("proration_date"),
        payment=params.choice("payment_behavior", *said.PAYMENT, "pending_if_incomplete")
        or "allow_incomplete",
        extras=said.extras(params, sub["currency"], sub["id"]),
        offers=said.offers(params, customer, sub["currency"]),
        dropped=[id_ for id_ in sub["discounts"] if params.has("discounts") and id_ not in kept],
    )


def _fields(sub: Json, params: Params) -> Json:
    fields: Json = params.words("description") | said.cancel_at(sub, params)
    words = said.words(params)
    if words:
        details: Json = fields.get("cancellation_details") or sub["cancellation_details"]
        fields["cancellation_details"] = details | words
    if params.has("metadata"):
        fields["metadata"] = params.metadata(sub["metadata"])
    if params.has("default_payment_method"):
        fields["default_payment_method"] = said.method(sub["customer"], params)
    if params.has("collection_method") or params.has("days_until_due"):
        fields |= said.collection(params, sub["collection_method"])
    if params.has("pause_collection"):
        fields["pause_collection"] = _pause_collection(params)
    settings = said.trial_settings(params)
    if settings:
        fields["trial_settings"] = {"end_behavior": sub["trial_settings"]["end_behavior"] | settings}
    kept = params.child("payment_settings").choice("save_default_payment_method", "off", "on_subscription")
    if kept:
        fields["payment_settings"] = sub["payment_settings"] | {"save_default_payment_method": kept}
    return fields


def _pause_collection(params: Params) -> Json | None:
    asked = params.child("pause_collection")
    if not asked.tree:
        return None
    behavior = asked.choice("behavior", "keep_as_draft", "mark_uncollectible", "void")
    if behavior is None:
        raise required(asked.name("behavior"))
    return {"behavior": behavior, "resumes_at": asked.integer("resumes_at")}


def _refuse(sub: Json, params: Params) -> None:
    asked = set(params.tree)
    if isinstance(params.tree.get("billing_cycle_anchor"), str):
        raise request_error(
            "Invalid object: `billing_cycle_anchor` takes an object with `type` now or unchanged.",
            param="billing_cycle_anchor",
        )
    if sub["status"] in subscriptions.ENDED and asked - ENDED_MAY_CHANGE:
        raise request_error("A canceled subscription can only update its cancellation_details and metadata.")
    if sub["status"] == "incomplete" and asked - INCOMPLETE_MAY_CHANGE:
        raise request_error(
            "A subscription that is incomplete can only update its metadata and default_source: its first invoice"
            " must be paid before."
        )
    if sub["status"] == "paused" and asked & {"items", "trial_end", "billing_cycle_anchor"}:
        raise not_built("changes of what a paused subscription bills", sorted(asked)[0])
    if params.text("payment_behavior") == "pending_if_incomplete":
        for name in sorted(asked - PENDING_MAY_CHANGE):
            raise request_error(
                f"When `payment_behavior` is set to `pending_if_incomplete`, you can't update `{name}`.",
                param=name,
            )


def cancel(call: Call) -> Json:
    sub, params = retrieve(call), call.params
    if sub["status"] in subscriptions.ENDED:
        raise missing("subscription", sub["id"])
    words = said.words(params)
    prorate, invoice_now = params.flag("prorate") or False, params.flag("invoice_now") or False
    return changing.end_now(sub, prorate, invoice_now, words.get("feedback"), words.get("comment"))


def pause(call: Call) -> Json:
    sub, params = retrieve(call), call.params
    params.choice("type", "subscription")
    bill = params.child("bill_for")
    bill.child("outstanding_usage_through").choice("type", "now", "none")  # there is no metered usage to bill
    unused = bill.child("unused_time_from").choice("type", "now", "none", "item_current_period_start")
    way = params.choice("invoicing_behavior", "invoice", "pending_invoice_item")
    return pausing.pause(sub, unused or "now", way or "pending_invoice_item")


def resume(call: Call) -> Json:
    sub, params = retrieve(call), call.params
    return pausing.resume(
        sub,
        params.child("billing_cycle_anchor").choice("type", "now", "unchanged") or "now",
        params.choice("payment_behavior", "resume_on_payment_attempt", "resume_on_payment_success")
        or "resume_on_payment_attempt",
        said.proration(params),
        params.integer("proration_date"),
    )


OPERATIONS = (
    Operation(
        "POST", "/v1/subscriptions", create,
        f"customer {said.COMMON} {said.spell('items.#', said.ITEM)} billing_cycle_anchor"
        " billing_cycle_anchor_config.day_of_month billing_cycle_anchor_config.hour"
        " billing_cycle_anchor_config.minute billing_cycle_anchor_config.second billing_mode.type currency"
        " trial_period_days",
    ),
    Operation(
        "GET", "/v1/subscriptions", list_,
        f"{LISTED} {CREATED} {PERIOD} {BOUNDS} collection_method customer plan price status test_clock",
    ),
    Operation("GET", "/v1/subscriptions/<id>", retrieve),
    Operation(
        "POST", "/v1/subscriptions/<id>", update,
        f"{said.COMMON} {said.spell('items.#', said.ITEM + ' id deleted')} {WORDS} proration_date"
        " billing_cycle_anchor billing_cycle_anchor.type pause_collection.behavior pause_collection.resumes_at",
    ),
    Operation("DELETE", "/v1/subscriptions/<id>", cancel, f"prorate invoice_now {WORDS}"),
    Operation(
        "POST", "/v1/subscriptions/<id>/pause", pause,
        "type invoicing_behavior bill_for.outstanding_usage_through.type bill_for.unused_time_from.type",
    ),
    Operation(
        "POST", "/v1/subscriptions/<id>/resume", resume,
        "billing_cycle_anchor.type payment_behavior proration_behavior proration_date",
    ),
)  # fmt: skip
