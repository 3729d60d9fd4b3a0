"""What requests about subscriptions may say, and what they say."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.agenda import DAY, period_end
from sandbox.api import discount_params
from sandbox.api import subscription_item_params as item_rows
from sandbox.api.form import Params
from sandbox.engine import discounts, subscriptions
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db

Json = dict[str, Any]

COMMON = (
    f"{item_rows.spell('add_invoice_items.#', item_rows.EXTRA)} cancel_at cancel_at_period_end collection_method"
    f" days_until_due default_payment_method description {discount_params.ROWS}"
    " metadata.* off_session payment_behavior payment_settings.save_default_payment_method proration_behavior"
    " trial_end trial_from_plan trial_settings.end_behavior.missing_payment_method"
    " trial_settings.end_behavior.billing_cycle_anchor"
)
PRORATION = ("create_prorations", "always_invoice", "none")
PAYMENT = ("allow_incomplete", "default_incomplete", "error_if_incomplete")
FEEDBACK = (
    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
    "too_expensive", "unused",
)  # fmt: skip
LONGEST_TRIAL = 730 * DAY


def proration(params: Params) -> str:
    return params.choice("proration_behavior", *PRORATION) or "create_prorations"


def trial_end(params: Params, now: int) -> int | None:
    """`trial_end` or `trial_period_days` as a moment; now itself for an end at once."""
    if params.flag("trial_from_plan"):
        raise not_built("trials of plans", params.name("trial_from_plan"))
    days = params.integer("trial_period_days", least=1)
    if days is not None and params.has("trial_end"):
        raise request_error(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
            "parameters_exclusive",
        )
    if days is not None:
        end: int | None = now + days * DAY
    elif params.text("trial_end") == "now":
        return now
    else:
        end = params.integer("trial_end")
    if end is not None and not now < end <= now + LONGEST_TRIAL:
        raise request_error(
            "Invalid timestamp: must be in the future, at most two years ahead.",
            param=params.name("trial_end"),
        )
    return end


def trial_settings(params: Params) -> Json:
    """missing_payment_method and the anchor after a trial, as far as they are said."""
    behavior = params.child("trial_settings").child("end_behavior")
    anchor = behavior.choice("billing_cycle_anchor", "now", "unchanged")
    if anchor == "unchanged":
        raise not_built("trials that leave the billing cycle anchor", behavior.name("billing_cycle_anchor"))
    missing_method = behavior.choice("missing_payment_method", "cancel", "create_invoice", "pause")
    said = {"missing_payment_method": missing_method, "billing_cycle_anchor": anchor}
    return {name: value for name, value in said.items() if value is not None}


def method(customer_id: str, params: Params, name: str = "default_payment_method") -> str | None:
    id_ = params.text(name)
    found = db().find("payment_method", id_)
    if id_ and (found is None or found["customer"] != customer_id):
        raise missing("PaymentMethod", id_, params.name(name), 400)
    return id_


def offers(params: Params, customer: Json, currency: str) -> list[discounts.Offer]:
    """The coupons and promotion codes that `discounts` names, each good for this purchase."""
    found = discount_params.read(params, discounts.Purchase(customer, currency)) or []
    return [each for each in found if isinstance(each, discounts.Offer)]


def kept_discounts(params: Params, sub: Json) -> list[str]:
    """The subscription's own discounts that an update keeps."""
    named = [row.text("discount") for row in params.rows("discounts")]
    for id_ in named:
        if id_ and id_ not in sub["discounts"]:
            raise missing("discount", id_, params.name("discounts"), 400)
    return [id_ for id_ in sub["discounts"] if id_ in named]


def collection(params: Params, known: str) -> Json:
    """collection_method and days_until_due, which go together."""
    way = params.choice("collection_method", "charge_automatically", "send_invoice") or known
    days = params.integer("days_until_due", least=0)
    if days is not None and way == "charge_automatically":
        raise request_error(
            "`days_until_due` can only be set with `collection_method` send_invoice.", param="days_until_due"
        )
    if way == "send_invoice" and days is None and known != "send_invoice":
        raise required("days_until_due")
    said: Json = {"collection_method": way} if params.has("collection_method") else {}
    if way == "charge_automatically" and known == "send_invoice":
        said["days_until_due"] = None
    return said | ({"days_until_due": days} if days is not None else {})


def both_ends(params: Params) -> None:
    if params.has("cancel_at") and params.has("cancel_at_period_end"):
        raise request_error(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            "parameters_exclusive",
        )


def cancel_at(sub: Json, params: Params) -> Json:
    """The fields of a scheduled end that is asked for or taken back."""
    both_ends(params)
    if params.has("cancel_at"):
        raw = params.text("cancel_at")
        if raw is None:
            return subscriptions.going_on(sub)
        at = period_end(sub) if raw in ("min_period_end", "max_period_end") else None
        if raw == "max_billed_until":
            raise not_built("cancel_at max_billed_until", "cancel_at")
        at = at if at is not None else params.integer("cancel_at")
        if at is None or at < clock.now(sub["customer"]):
            raise request_error("`cancel_at` must be in the future.", param="cancel_at")
        return subscriptions.ending(sub, at)
    if not params.has("cancel_at_period_end"):
        return {}
    if not params.flag("cancel_at_period_end"):
        return subscriptions.going_on(sub)
    if sub["cancel_at_period_end"]:
        return {}
    return subscriptions.ending(sub, period_end(sub)) | {"cancel_at_period_end": True}


def words(params: Params) -> Json:
    """What is said of a cancellation."""
    said = params.child("cancellation_details")
    return subscriptions.words(said.choice("feedback", *FEEDBACK), said.text("comment"))
