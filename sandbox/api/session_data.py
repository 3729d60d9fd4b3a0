"""What a Checkout Session hands on to the objects it makes: `subscription_data` and its siblings."""

from __future__ import annotations

from typing import Any

from sandbox.api.form import Params
from sandbox.errors import not_built, request_error

Json = dict[str, Any]

_SUBSCRIPTION = (
    "subscription_data.metadata.* subscription_data.description subscription_data.trial_end"
    " subscription_data.trial_period_days subscription_data.billing_mode.type"
    " subscription_data.billing_mode.flexible.proration_discounts subscription_data.billing_cycle_anchor"
    " subscription_data.proration_behavior subscription_data.invoice_settings.description"
    " subscription_data.invoice_settings.footer subscription_data.invoice_settings.custom_fields.#.name"
    " subscription_data.invoice_settings.custom_fields.#.value subscription_data.invoice_settings.issuer.type"
    " subscription_data.default_tax_rates.# subscription_data.billing_cycle_anchor_config.*"
    " subscription_data.trial_settings.end_behavior.missing_payment_method"
    " subscription_data.application_fee_percent subscription_data.on_behalf_of"
    " subscription_data.pending_invoice_item_interval.interval"
)
_PAYMENT = (
    "payment_intent_data.metadata.* payment_intent_data.description payment_intent_data.receipt_email"
    " payment_intent_data.setup_future_usage payment_intent_data.statement_descriptor"
    " payment_intent_data.statement_descriptor_suffix payment_intent_data.capture_method"
    " payment_intent_data.shipping.name payment_intent_data.shipping.phone"
    " payment_intent_data.shipping.carrier payment_intent_data.shipping.tracking_number"
    " payment_intent_data.transfer_group payment_intent_data.on_behalf_of"
    " payment_intent_data.application_fee_amount"
)
_ADDRESS = "line1 line2 city state postal_code country".split()
_INVOICE = (
    "invoice_creation.enabled invoice_creation.invoice_data.description invoice_creation.invoice_data.footer"
    " invoice_creation.invoice_data.metadata.* invoice_creation.invoice_data.custom_fields.#.name"
    " invoice_creation.invoice_data.custom_fields.#.value"
)
ACCEPTED = (
    f"{_SUBSCRIPTION} {_PAYMENT} {_INVOICE} setup_intent_data.metadata.* setup_intent_data.description"
    + "".join(f" payment_intent_data.shipping.address.{name}" for name in _ADDRESS)
)
DAY = 86400


def _refuse(params: Params, *names: str) -> None:
    for name in names:
        if params.has(name):
            raise not_built(name, params.name(name))


def subscription(params: Params, now: int) -> Json:
    """`billing_cycle_anchor` is UTC seconds; `trial_end` too, at least two days ahead."""
    _refuse(
        params, "default_tax_rates", "billing_cycle_anchor_config", "application_fee_percent", "on_behalf_of",
        "pending_invoice_item_interval",
    )  # fmt: skip
    mode = params.child("billing_mode")
    if mode.choice("type", "classic", "flexible") == "classic":
        raise not_built("the classic billing mode", mode.name("type"))
    if mode.child("flexible").choice("proration_discounts", "included", "itemized") == "itemized":
        raise not_built("itemized proration discounts", mode.child("flexible").name("proration_discounts"))
    days, end = params.integer("trial_period_days", least=1), params.integer("trial_end")
    anchor = params.integer("billing_cycle_anchor")
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
    if anchor is not None and anchor <= now:
        raise request_error(
            "`billing_cycle_anchor` must be in the future.", param=params.name("billing_cycle_anchor")
        )
    if anchor is not None and (days or end):
        raise not_built("a billing cycle anchor beside a trial", params.name("billing_cycle_anchor"))
    behavior = params.child("trial_settings").child("end_behavior")
    missing_method = behavior.choice("missing_payment_method", "cancel", "create_invoice", "pause")
    return {
        "metadata": params.metadata(),
        "description": params.text("description", 500),
        "trial_period_days": days,
        "trial_end": end,
        "trial_settings": {"end_behavior": {"missing_payment_method": missing_method or "create_invoice"}},
        "billing_cycle_anchor": anchor,
        "proration_behavior": params.choice("proration_behavior", "create_prorations", "none"),
        "invoice_settings": _settings(params.child("invoice_settings")),
    }


def _settings(params: Params) -> Json:
    if params.child("issuer").choice("type", "account", "self") == "account":
        raise not_built("invoices of another account", params.child("issuer").name("type"))
    settings = params.words("description", "footer")
    fields = params.rows("custom_fields")
    if len(fields) > 4:
        raise request_error("An invoice has up to 4 custom fields.", param=params.name("custom_fields"))
    if fields:
        settings["custom_fields"] = [{"name": row.need("name"), "value": row.need("value")} for row in fields]
    return settings


def payment_intent(params: Params) -> Json:
    _refuse(params, "transfer_group", "on_behalf_of", "application_fee_amount")
    said = params.words("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix")
    if params.text("capture_method") == "manual":  # the session would say paid of money that is only held
        raise not_built("manual capture in Checkout", params.name("capture_method"))
    return said | {
        "metadata": params.metadata(),
        "setup_future_usage": params.choice("setup_future_usage", "off_session", "on_session"),
        "capture_method": params.choice("capture_method", "automatic", "automatic_async"),
        "shipping": _shipping(params.child("shipping")),
    }


def _shipping(params: Params) -> Json | None:
    if not params.tree:
        return None
    address = params.child("address")
    shipping = {name: params.text(name) for name in ("carrier", "phone", "tracking_number")}
    return shipping | {
        "name": params.need("name"),
        "address": {name: address.text(name) for name in _ADDRESS} | {"line1": address.need("line1")},
    }


def setup_intent(params: Params) -> Json:
    return {"metadata": params.metadata(), "description": params.text("description")}


def invoice_creation(params: Params) -> Json:
    """`enabled`, and the invoice's own description, footer, metadata and custom_fields."""
    data = params.child("invoice_data")
    return {
        "enabled": bool(params.flag("enabled")),
        "invoice_data": _settings(data) | {"metadata": data.metadata()},
    }
