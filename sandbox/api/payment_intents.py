"""/v1/payment_intents."""

from __future__ import annotations

from typing import Any

from sandbox import money
from sandbox.api import customers, listing, method_types, payment_methods
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import direct, methods, payments
from sandbox.engine.direct import Confirmation
from sandbox.errors import request_error, required
from sandbox.house import db

Json = dict[str, Any]

WORDS = ("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix")
SHIPPING = (
    "shipping shipping.name shipping.phone shipping.carrier shipping.tracking_number shipping.address.*"
)
REQUEST_3DS = "payment_method_options.card.request_three_d_secure"
DATA = payment_methods.nested(payment_methods.DATA, "payment_method_data")
MANDATE = (
    "mandate_data.customer_acceptance.type mandate_data.customer_acceptance.accepted_at"
    " mandate_data.customer_acceptance.online.ip_address mandate_data.customer_acceptance.online.user_agent"
)
COMMON = (
    f"capture_method payment_method setup_future_usage {SHIPPING} {REQUEST_3DS} {DATA}"
    f" {method_types.ACCEPTED} receipt_email"
)
EDITABLE = (
    f"{COMMON} amount currency customer metadata.* description statement_descriptor"
    " statement_descriptor_suffix"
)
CONFIRMING = f"error_on_requires_action off_session return_url use_stripe_sdk {MANDATE}"
CREATING = f"{EDITABLE} {CONFIRMING} confirm confirmation_method {method_types.AUTOMATIC}"
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
            "shipping": _shipping(params),
        }
    )
    confirming = params.flag("confirm") or False
    for name in ONLY_CONFIRMING if not confirming else ():
        if params.has(name):
            raise request_error(f"You can only set `{name}` when `confirm` is true.", param=name)
    owner = customers.living(customer)["id"] if customer else None
    method = _method(params)
    intent = payments.open_intent(amount, currency, owner, given)
    _request_3ds(intent, params)
    if method is not None:
        direct.choose(intent, method)
    return direct.confirm(intent, _confirmation(params, None)) if confirming else intent


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


def _shipping(params: Params) -> Json | None:
    given = params.plain("shipping")
    if not given:
        return None
    words = ("carrier", "name", "phone", "tracking_number")
    return {
        "address": customers.whole_address(given.get("address") or {}),
        **{name: given.get(name) or None for name in words},
    }


def _method(params: Params) -> Json | None:
    id_ = params.text("payment_method")
    if id_:
        return methods.find(id_)
    data = params.child("payment_method_data")
    return payment_methods.make(data) if data.tree else None


def _request_3ds(intent: Json, params: Params) -> None:
    card = params.child("payment_method_options").child("card")
    wanted = card.choice("request_three_d_secure", "any", "automatic", "challenge")
    if wanted and "card" in intent["payment_method_options"]:
        intent["payment_method_options"]["card"]["request_three_d_secure"] = wanted
        db().put(intent)


def _confirmation(params: Params, method: Json | None) -> Confirmation:
    off_session = params.choice("off_session", "true", "false", "one_off", "recurring")
    return Confirmation(
        method,
        off_session=off_session not in (None, "false"),
        return_url=params.text("return_url"),
        refuse_action=params.flag("error_on_requires_action") or False,
        acceptance=acceptance(params),
        sdk=params.flag("use_stripe_sdk") or False,
    )


def acceptance(params: Params) -> Json | None:
    """customer_acceptance of mandate_data as a mandate shows it; None when it is not given."""
    given = params.child("mandate_data").child("customer_acceptance")
    if not given.tree:
        return None
    kind = given.choice("type", "online", "offline")
    if kind is None:
        raise required(given.name("type"))
    accepted = given.integer("accepted_at")
    online = given.child("online")
    shown: Json = {"type": kind} | ({"accepted_at": accepted} if accepted is not None else {})
    if kind == "online":
        return shown | {"online": {name: online.need(name) for name in ("ip_address", "user_agent")}}
    return shown | {"offline": {}}


def retrieve(call: Call) -> Json:
    return call.subject("payment_intent")


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
    _request_3ds(intent, params)
    method = _method(params)
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
        intent["shipping"] = _shipping(params)
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
        _request_3ds(intent, params)
    return direct.confirm(intent, _confirmation(params, _method(params)))


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
    Operation("POST", "/v1/payment_intents/<id>/confirm", confirm, f"{COMMON} {CONFIRMING}"),
    Operation("POST", "/v1/payment_intents/<id>/capture", capture, "amount_to_capture metadata.*"),
    Operation("POST", "/v1/payment_intents/<id>/cancel", cancel, "cancellation_reason"),
)
