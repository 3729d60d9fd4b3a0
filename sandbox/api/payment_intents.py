"""/v1/payment_intents."""

from __future__ import annotations

from typing import Any

from sandbox import money
from sandbox.api import customers, intent_params, listing, method_types
from sandbox.api.form import Params
from sandbox.api.intent_params import (
    CONFIRMING,
    METHOD,
    SHIPPING,
    check_secret,
    confirmation,
    request_3ds,
    shipping,
)
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import direct, payments
from sandbox.errors import not_built, request_error, required
from sandbox.house import db

Json = dict[str, Any]

WORDS = ("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix")
TRANSFER = (
    "payment_method_options.customer_balance.funding_type"
    " payment_method_options.customer_balance.bank_transfer.type"
)
COMMON = f"{TRANSFER} {METHOD} {SHIPPING} capture_method setup_future_usage receipt_email"
EDITABLE = (
    f"{COMMON} amount currency customer metadata.* description statement_descriptor"
    " statement_descriptor_suffix"
)
NOW = f"{CONFIRMING} error_on_requires_action off_session"
CREATING = f"{EDITABLE} {NOW} confirm confirmation_method {method_types.AUTOMATIC}"
ONLY_CONFIRMING = ("off_session", "return_url", "error_on_requires_action", "mandate_data")
MONEY = ("amount", "currency", "customer", "payment_method", "payment_method_data", "setup_future_usage")
REASONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")


def create(call: Call) -> Json:
    """With `confirm`, paid at once or 402; the intent stays either way."""
    params = call.params
    currency = _currency(params.need("currency"), params)
    amount = _amount(params, currency)
    types = method_types.read(params, currency)
    customer = params.text("customer")
    given = (
        {name: params.text(name) for name in WORDS}
        | types
        | {
            "automatic_payment_methods": method_types.automatic(params),
            "capture_method": _capture_method(params) or "automatic_async",
            "confirmation_method": params.choice("confirmation_method", "automatic", "manual"),
            "metadata": params.metadata(),
            "setup_future_usage": params.choice("setup_future_usage", "off_session", "on_session"),
            "shipping": shipping(params),
        }
    )
    confirming = params.flag("confirm") or False
    for name in ONLY_CONFIRMING if not confirming else ():
        if params.has(name):
            raise request_error(f"You can only set `{name}` when `confirm` is true.", param=name)
    owner = customers.living(customer)["id"] if customer else None
    method = intent_params.method(params)
    intent = payments.open_intent(amount, currency, owner, given)
    _options(intent, params)
    if method is not None:
        direct.choose(intent, method)
    return direct.confirm(intent, confirmation(params, None)) if confirming else intent


def _currency(given: str, params: Params) -> str:
    currency = given.lower()
    if currency not in money.KNOWN:
        raise request_error(f"Invalid currency: {given}.", param=params.name("currency"))
    return currency


def _amount(params: Params, currency: str) -> int:
    amount = params.integer("amount", least=1)
    if amount is None:
        raise required("amount")
    least = money.minimum(currency)
    if amount < least:
        raise request_error(
            f"Amount must be at least {money.words(least, currency)} {currency}", "amount_too_small", "amount"
        )
    wrong = money.problem(amount, currency)
    if wrong is not None:
        code = "amount_too_large" if "large" in wrong else "parameter_invalid_integer"
        raise request_error(f"amount {wrong}", code, "amount")
    return amount


def _capture_method(params: Params) -> str | None:
    return params.choice("capture_method", "automatic", "automatic_async", "manual")


def _options(intent: Json, params: Params) -> None:
    """payment_method_options. Only transfers in Japan are built; the Stripe CLI calls them `jp_bank_account`."""
    request_3ds(intent, params)
    given = params.child("payment_method_options").child("customer_balance")
    given.choice("funding_type", "bank_transfer")
    transfer = given.child("bank_transfer")
    if transfer.text("type") not in (None, "jp_bank_transfer", "jp_bank_account"):
        raise not_built("bank transfers outside Japan", transfer.name("type"))


def retrieve(call: Call) -> Json:
    return check_secret(call.subject("payment_intent"), call.params)


def update(call: Call) -> Json:
    """Money and method only before it is confirmed; words at any time. There is no event for it."""
    intent, params = retrieve(call), call.params
    method_types.refuse_removed(params)
    if intent["status"] not in direct.CONFIRMABLE and any(params.has(name) for name in MONEY):
        raise direct.unexpected(
            intent,
            f"This PaymentIntent's {', '.join(n for n in MONEY if params.has(n))} could not be updated because"
            f" it has a status of {intent['status']}.",
        )
    _edit(intent, params)
    db().put(intent)
    _options(intent, params)
    method = intent_params.method(params)
    if method is not None:
        direct.choose(intent, method)
    return intent


def _edit(intent: Json, params: Params) -> None:
    intent |= params.words(*WORDS)
    if params.has("currency"):
        intent["currency"] = _currency(params.need("currency"), params)
    if params.has("amount"):
        intent["amount"] = _amount(params, intent["currency"])
    if params.has("customer"):
        intent["customer"] = customers.living(params.need("customer"))["id"]
    if params.has("metadata"):
        intent["metadata"] = params.metadata(intent["metadata"])
    if params.has("shipping"):
        intent["shipping"] = shipping(params)
    if params.has("setup_future_usage"):
        intent["setup_future_usage"] = params.choice("setup_future_usage", "off_session", "on_session")
    if params.has("capture_method"):
        intent["capture_method"] = _capture_method(params)
    if params.has("allowed_payment_method_types") or params.has("excluded_payment_method_types"):
        intent |= method_types.read(params, intent["currency"])


def confirm(call: Call) -> Json:
    intent, params = retrieve(call), call.params
    method_types.refuse_removed(params)
    if intent["status"] in direct.CONFIRMABLE:
        _edit(intent, params)
        db().put(intent)
        _options(intent, params)
    return direct.confirm(intent, confirmation(params, intent_params.method(params)))


def capture(call: Call) -> Json:
    intent, params = retrieve(call), call.params
    amount = params.integer("amount_to_capture", least=1)
    if params.has("metadata"):
        intent["metadata"] = params.metadata(intent["metadata"])
        db().put(intent)
    return direct.capture(intent, amount)


def cancel(call: Call) -> Json:
    reason = call.params.choice("cancellation_reason", *REASONS)
    return direct.cancel(retrieve(call), reason)


def list_(call: Call) -> Json:
    where = {"customer": call.params.text("customer")}
    return listing.page(call, "payment_intent", "/v1/payment_intents", where)


OPERATIONS = (
    Operation("POST", "/v1/payment_intents", create, CREATING),
    Operation("GET", "/v1/payment_intents", list_, f"{LISTED} {CREATED} customer"),
    Operation("GET", "/v1/payment_intents/<id>", retrieve, "client_secret"),
    Operation("POST", "/v1/payment_intents/<id>", update, EDITABLE),
    Operation("POST", "/v1/payment_intents/<id>/confirm", confirm, f"{COMMON} {NOW}"),
    Operation("POST", "/v1/payment_intents/<id>/capture", capture, "amount_to_capture metadata.*"),
    Operation("POST", "/v1/payment_intents/<id>/cancel", cancel, "cancellation_reason"),
)
