"""What a request for a Checkout Session may say, and what it says."""

from __future__ import annotations

from typing import Any

from sandbox.api.form import Params
from sandbox.errors import not_built, request_error
from sandbox.house import house

Json = dict[str, Any]

LINES = (
    "line_items.#.price line_items.#.quantity line_items.#.adjustable_quantity.enabled"
    " line_items.#.metadata.* line_items.#.price_data.currency line_items.#.price_data.unit_amount"
    " line_items.#.price_data.product line_items.#.price_data.recurring.interval"
    " line_items.#.price_data.recurring.interval_count line_items.#.price_data.tax_behavior"
    " line_items.#.price_data.product_data.name line_items.#.price_data.product_data.description"
    " line_items.#.price_data.product_data.metadata.* line_items.#.price_data.product_data.images.#"
)
SUBSCRIPTION = (
    "subscription_data.metadata.* subscription_data.description subscription_data.trial_end"
    " subscription_data.trial_period_days subscription_data.billing_mode.type"
    " subscription_data.trial_settings.end_behavior.missing_payment_method"
)
PAYMENT = (
    "payment_intent_data.metadata.* payment_intent_data.description payment_intent_data.receipt_email"
    " payment_intent_data.setup_future_usage payment_intent_data.statement_descriptor_suffix"
    " payment_intent_data.capture_method"
)
PLAIN = (
    "mode success_url cancel_url client_reference_id customer customer_email customer_creation currency"
    " expires_at locale metadata.* submit_type billing_address_collection allow_promotion_codes"
    " payment_method_collection ui_mode after_expiration.recovery.enabled"
    " after_expiration.recovery.allow_promotion_codes automatic_tax.enabled tax_id_collection.enabled"
    " phone_number_collection.enabled invoice_creation.enabled custom_text.submit.message"
    " custom_text.after_submit.message custom_text.terms_of_service_acceptance.message"
    " consent_collection.terms_of_service consent_collection.promotions customer_update.address"
    " customer_update.name customer_update.shipping allowed_payment_method_types.#"
    " excluded_payment_method_types.# payment_method_options.card.request_three_d_secure"
    " saved_payment_method_options.payment_method_save adaptive_pricing.enabled"
    " payment_method_types payment_method_types.# discounts.#.coupon discounts.#.promotion_code"
)
ACCEPTED = f"{PLAIN} {LINES} {SUBSCRIPTION} {PAYMENT}"
SWITCHES = ("automatic_tax", "tax_id_collection", "phone_number_collection", "invoice_creation")
HALF_HOUR, DAY = 1800, 86400


def refuse(params: Params) -> None:
    if params.has("payment_method_types"):
        raise request_error(
            "The `payment_method_types` parameter is no longer supported. Use `allowed_payment_method_types`,"
            " or manage payment methods in the Dashboard.",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        )
    if params.has("discounts"):
        raise not_built("discounts", "discounts")
    for name in SWITCHES:
        if params.child(name).flag("enabled"):
            raise not_built(name, f"{name}[enabled]")
    if any(params.child("consent_collection").tree.values()):
        raise not_built("the collection of consent", "consent_collection")
    card = params.child("payment_method_options").child("card")
    if card.text("request_three_d_secure") not in (None, "automatic"):
        raise not_built("3D Secure on request", card.name("request_three_d_secure"))
    if params.text("ui_mode") not in (None, "hosted_page"):
        raise not_built("Checkout outside its hosted page", "ui_mode")
    if params.child("payment_intent_data").text("capture_method") == "manual":
        raise not_built("manual capture", "payment_intent_data[capture_method]")
    for name, mode in (("subscription_data", "subscription"), ("payment_intent_data", "payment")):
        if params.has(name) and params.text("mode") != mode:
            raise request_error(f"You can not pass `{name}` in `{params.text('mode')}` mode.", param=name)


def given(params: Params, mode: str, now: int) -> Json:
    said = params.words(
        "cancel_url", "client_reference_id", "customer_email", "customer_creation", "locale", "submit_type",
        "billing_address_collection", "payment_method_collection",
    )  # fmt: skip
    reference = said.get("client_reference_id")
    if reference and len(reference) > 200:
        raise request_error("client_reference_id may have up to 200 characters.", param="client_reference_id")
    for name in ("success_url", "cancel_url"):
        _check_url(params, name)
    if params.text("payment_method_collection") and mode != "subscription":
        raise request_error(
            "You can only set `payment_method_collection` if there are recurring prices.",
            param="payment_method_collection",
        )
    said |= {
        "mode": mode,
        "success_url": params.need("success_url"),
        "metadata": params.metadata(),
        "expires_at": _expiry(params, now),
        "allow_promotion_codes": params.flag("allow_promotion_codes"),
        "base_url": house().base_url,
        "business_name": house().settings()["business_name"],
        "subscription_data": _subscription_data(params.child("subscription_data"), now),
        "payment_intent_data": _payment_data(params.child("payment_intent_data")),
    }
    recovery = params.child("after_expiration").child("recovery")
    if recovery.tree:
        said["after_expiration"] = {
            "recovery": {name: recovery.flag(name) or False for name in ("enabled", "allow_promotion_codes")}
        }
    if params.has("custom_text"):
        said["custom_text"] = _custom_text(params.child("custom_text"))
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        if params.has(name):
            said[name] = params.texts(name)
    return said


def _custom_text(params: Params) -> Json:
    return {
        name: {"message": params.child(name).need("message")} for name in params.tree if params.tree[name]
    }


def _check_url(params: Params, name: str) -> None:
    url = params.text(name)
    if url and not url.startswith(("http://", "https://")):
        raise request_error("Not a valid URL", "url_invalid", name)


def _expiry(params: Params, now: int) -> int:
    at = params.integer("expires_at")
    if at is None:
        return now + DAY
    if not now + HALF_HOUR - 60 <= at <= now + DAY + 60:
        raise request_error(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session"
            " creation.",
            param="expires_at",
        )
    return at


def _subscription_data(params: Params, now: int) -> Json:
    days, end = params.integer("trial_period_days", least=1), params.integer("trial_end")
    if days and end:
        raise request_error(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
            "parameters_exclusive",
        )
    if end and end < now + 2 * DAY:
        raise request_error(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )
    behavior = params.child("trial_settings").child("end_behavior")
    missing_method = behavior.choice("missing_payment_method", "cancel", "create_invoice", "pause")
    return {
        "metadata": params.metadata(),
        "description": params.text("description"),
        "trial_period_days": days,
        "trial_end": end,
        "trial_settings": {"end_behavior": {"missing_payment_method": missing_method or "create_invoice"}},
    }


def _payment_data(params: Params) -> Json:
    said = params.words("description", "receipt_email", "statement_descriptor_suffix")
    usage = params.choice("setup_future_usage", "off_session", "on_session")
    return said | {"metadata": params.metadata(), "setup_future_usage": usage}
