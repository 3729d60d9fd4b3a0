"""What a request for a Checkout Session may say, and what it says."""

from __future__ import annotations

from typing import Any

from sandbox.api import session_collecting, session_data
from sandbox.api.form import Params
from sandbox.api.method_types import refuse_removed
from sandbox.errors import not_built, request_error
from sandbox.house import house

Json = dict[str, Any]

LINES = (
    "line_items.#.price line_items.#.quantity line_items.#.adjustable_quantity.enabled"
    " line_items.#.adjustable_quantity.minimum line_items.#.adjustable_quantity.maximum"
    " line_items.#.metadata.* line_items.#.price_data.currency line_items.#.price_data.unit_amount"
    " line_items.#.price_data.product line_items.#.price_data.recurring.interval"
    " line_items.#.price_data.recurring.interval_count line_items.#.price_data.tax_behavior"
    " line_items.#.price_data.product_data.name line_items.#.price_data.product_data.description"
    " line_items.#.price_data.product_data.metadata.* line_items.#.price_data.product_data.images.#"
    " line_items.#.price_data.product_data.unit_label line_items.#.price_data.product_data.tax_code"
    " line_items.#.tax_rates.#"
)
PLAIN = (
    "mode success_url cancel_url client_reference_id customer customer_email customer_creation currency"
    " expires_at locale metadata.* submit_type allow_promotion_codes payment_method_collection ui_mode"
    " after_expiration.recovery.enabled after_expiration.recovery.allow_promotion_codes"
    " customer_update.address customer_update.name customer_update.shipping"
    " allowed_payment_method_types.# excluded_payment_method_types.#"
    " payment_method_options.card.request_three_d_secure"
    " saved_payment_method_options.payment_method_save saved_payment_method_options.payment_method_remove"
    " saved_payment_method_options.allow_redisplay_filters.# adaptive_pricing.enabled"
    " payment_method_types payment_method_types.# discounts.#.coupon discounts.#.promotion_code"
)
# Taken to be refused by name: Stripe could do it, this sandbox can't.
NOT_BUILT = (
    "automatic_tax.enabled tax_id_collection.enabled tax_id_collection.required optional_items.#.price"
    " optional_items.#.quantity shipping_options.#.shipping_rate return_url redirect_on_completion"
    " shipping_address_collection.allowed_countries.# name_collection.individual.enabled"
    " name_collection.business.enabled managed_payments.enabled payment_method_configuration"
)
ACCEPTED = f"{PLAIN} {LINES} {session_collecting.ACCEPTED} {session_data.ACCEPTED} {NOT_BUILT}"
CUSTOMER_CREATION = ("always", "if_required")
DATA_MODES = {
    "subscription_data": "subscription",
    "payment_intent_data": "payment",
    "setup_intent_data": "setup",
    "invoice_creation": "payment",
}
HALF_HOUR, DAY = 1800, 86400


def refuse(params: Params) -> None:
    refuse_removed(params)
    for name in dict.fromkeys(each.partition(".")[0] for each in NOT_BUILT.split()):
        node = params.tree.get(name)
        off = isinstance(node, dict) and node.get("enabled") == "false" and len(node) == 1
        if node and not off:
            raise not_built(
                name, f"{name}[enabled]" if isinstance(node, dict) and "enabled" in node else name
            )
    card = params.child("payment_method_options").child("card")
    if card.text("request_three_d_secure") not in (None, "automatic"):
        raise not_built("3D Secure on request", card.name("request_three_d_secure"))
    if params.choice("ui_mode", "hosted_page", "embedded_page", "elements", "form") not in (
        None,
        "hosted_page",
    ):
        raise not_built("Checkout outside its hosted page", "ui_mode")
    for name, mode in DATA_MODES.items():
        if params.has(name) and params.text("mode") != mode:
            raise request_error(f"You can not pass `{name}` in `{params.text('mode')}` mode.", param=name)
    if params.has("discounts") and params.has("allow_promotion_codes"):
        raise request_error(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            "parameters_exclusive",
            "discounts",
        )


def given(params: Params, mode: str, now: int) -> Json:
    """What the session is made of, without its lines; see `objects.session`."""
    said = params.words("cancel_url", "client_reference_id", "customer_email", "locale")
    if len(said.get("client_reference_id") or "") > 200:
        raise request_error("client_reference_id may have up to 200 characters.", param="client_reference_id")
    for name in ("success_url", "cancel_url"):
        _check_url(params, name)
    _check_mode(params, mode)
    said |= {
        "mode": mode,
        "success_url": params.need("success_url"),
        "metadata": params.metadata(),
        "expires_at": _expiry(params, now),
        "customer_creation": params.choice("customer_creation", *CUSTOMER_CREATION),
        "submit_type": params.choice("submit_type", "auto", "book", "donate", "pay", "subscribe"),
        "payment_method_collection": params.choice("payment_method_collection", "always", "if_required"),
        "allow_promotion_codes": params.flag("allow_promotion_codes"),
        "base_url": house().base_url,
        "business_name": house().settings()["business_name"],
        "after_expiration": _recovery(params),
        "saved_payment_method_options": _saved(params.child("saved_payment_method_options")),
        "customer_update": _customer_update(params),
        "subscription_data": session_data.subscription(params.child("subscription_data"), now),
        "payment_intent_data": session_data.payment_intent(params.child("payment_intent_data")),
        "setup_intent_data": session_data.setup_intent(params.child("setup_intent_data")),
        "invoice_creation": session_data.invoice_creation(params.child("invoice_creation")),
    }
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        said[name] = params.texts(name) if params.has(name) else None
    return said | session_collecting.given(params)


def _check_mode(params: Params, mode: str) -> None:
    if params.text("payment_method_collection") and mode != "subscription":
        raise request_error(
            "You can only set `payment_method_collection` if there are recurring prices.",
            param="payment_method_collection",
        )
    if params.text("customer_creation") and mode == "subscription":
        raise request_error(
            "`customer_creation` can not be used in `subscription` mode.", param="customer_creation"
        )
    for name in ("customer_creation", "customer_email"):
        if params.text(name) and params.text("customer"):
            message = f"You may only specify one of these parameters: customer, {name}."
            raise request_error(message, "parameters_exclusive", "customer")
    if params.text("submit_type") == "subscribe" and mode != "subscription":
        raise request_error("`submit_type` subscribe needs `subscription` mode.", param="submit_type")


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


def _recovery(params: Params) -> Json | None:
    recovery = params.child("after_expiration").child("recovery")
    if not recovery.tree:
        return None
    names = ("enabled", "allow_promotion_codes")
    return {"recovery": {name: recovery.flag(name) or False for name in names}}


def _saved(params: Params) -> Json:
    return {
        "allow_redisplay_filters": params.texts("allow_redisplay_filters") or ["always"],
        "payment_method_remove": params.choice("payment_method_remove", "enabled", "disabled") or "disabled",
        "payment_method_save": params.choice("payment_method_save", "enabled", "disabled"),
    }


def _customer_update(params: Params) -> Json:
    if params.has("customer_update") and not params.text("customer"):
        raise request_error("`customer_update` can only be used with `customer`.", param="customer_update")
    update = params.child("customer_update")
    if update.text("shipping") == "auto":
        raise not_built("the collection of shipping addresses", update.name("shipping"))
    return {name: update.choice(name, "auto", "never") == "auto" for name in ("address", "name")}
