"""/v1/payment_methods, and /v1/mandates."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import customers, listing
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import banks, methods
from sandbox.errors import not_built, request_error, required, unreadable_card
from sandbox.events import change

Json = dict[str, Any]

BILLING = (
    "billing_details.email billing_details.name billing_details.phone"
    " billing_details.address billing_details.address.*"
)
CARD = "card.number card.exp_month card.exp_year card.cvc card.token"
DEBITS = (
    "sepa_debit.iban us_bank_account.account_number us_bank_account.routing_number"
    " us_bank_account.account_holder_type us_bank_account.account_type"
)
DATA = f"type allow_redisplay metadata.* {BILLING} {DEBITS}"  # what payment_method_data takes
PARTS = {"invalid_expiry_month": "exp_month", "invalid_expiry_year": "exp_year"}


def nested(accepted: str, under: str) -> str:
    """The same parameters one level down: `payment_method_data.type`."""
    return " ".join(f"{under}.{each}" for each in accepted.split())


def make(params: Params) -> Json:
    """A stored payment method of nobody, from the parameters of its creation or payment_method_data."""
    kind = params.need("type")
    billing = _billing(params) | {
        "allow_redisplay": params.choice("allow_redisplay", "always", "limited", "unspecified"),
        "metadata": params.metadata(),
    }
    if kind == "card":
        return _card(params.child("card"), billing)
    if kind == "sepa_debit":
        return banks.create_sepa_debit(params.child("sepa_debit").need("iban"), billing, clock.wall())
    if kind == "us_bank_account":
        account = params.child("us_bank_account")
        given = {
            "account_number": account.need("account_number"),
            "routing_number": account.need("routing_number"),
            "account_holder_type": account.choice("account_holder_type", "individual", "company"),
            "account_type": account.choice("account_type", "checking", "savings") or "checking",
        }
        if given["account_holder_type"] is None:
            raise required(account.name("account_holder_type"))
        return banks.create_us_bank_account(given, billing, clock.wall())
    if kind == "customer_balance":
        return banks.create_customer_balance(billing, clock.wall())
    raise not_built(f"payment methods of type {kind}", params.name("type"))


def _card(card: Params, billing: Json) -> Json:
    token = card.text("token")
    if token:
        found = methods.find(token, card.name("token"))

        def edit(obj: Json) -> None:
            obj["metadata"] = billing["metadata"]
            for name, value in billing.items():
                if name in obj["billing_details"] and value is not None:
                    obj["billing_details"][name] = value

        return change(found, None, edit)
    number = card.text("number")
    if number is None:
        raise required(card.name("number"))
    month, year = card.integer("exp_month") or 0, card.integer("exp_year") or 0
    year += 2000 if 0 < year < 100 else 0
    cvc = card.text("cvc")
    wrong = methods.problem(number, month, year, cvc or methods.some_cvc(number))
    if wrong is not None:
        raise unreadable_card(wrong.message, wrong.code, PARTS.get(wrong.code, wrong.field))
    return methods.create(number, billing, clock.wall(), (month, year), cvc is not None)


def _billing(params: Params) -> Json:
    details = params.child("billing_details")
    address = details.plain("address")
    words: Json = {name: details.text(name) for name in ("email", "name", "phone")}
    return words | {"address": customers.whole_address(address) if address else None}


def create(call: Call) -> Json:
    return make(call.params)


def retrieve(call: Call) -> Json:
    return call.subject("payment_method", "PaymentMethod")


def update(call: Call) -> Json:
    """Billing details, expiry, metadata; only of a payment method that is attached to a customer."""
    method, params = retrieve(call), call.params
    if method["customer"] is None:
        raise request_error(
            "You must save this PaymentMethod to a customer before you can update it.", param="payment_method"
        )
    details, card = params.child("billing_details"), params.child("card")
    if card.tree and method["type"] != "card":
        raise request_error("This payment method is no card.", param="card")
    month, year = card.integer("exp_month", least=1), card.integer("exp_year", least=1)

    def edit(obj: Json) -> None:
        obj["metadata"] = params.metadata(obj["metadata"])
        obj["billing_details"] |= details.words("email", "name", "phone")
        if details.has("address"):
            obj["billing_details"]["address"] = customers.whole_address(details.plain("address") or {})
        if params.has("allow_redisplay"):
            obj["allow_redisplay"] = params.choice("allow_redisplay", "always", "limited", "unspecified")
        if month is not None:
            obj["card"]["exp_month"] = month
        if year is not None:
            obj["card"]["exp_year"] = year

    if month is not None and month > 12:
        raise unreadable_card("There is no such month of expiry.", "invalid_expiry_month", "exp_month")
    return change(method, "payment_method.updated", edit)


def list_(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "type": params.text("type")}
    return listing.page(call, "payment_method", "/v1/payment_methods", where)


def attach(call: Call) -> Json:
    customer = customers.living(call.params.need("customer"))
    return methods.attach(methods.find(call.id, "payment_method"), customer)


def detach(call: Call) -> Json:
    method = retrieve(call)
    if method["customer"] is None:
        raise request_error(
            "The payment method you provided is not attached to a customer.", param="payment_method"
        )
    return methods.detach(method)


def mandate(call: Call) -> Json:
    return call.subject("mandate")


OPERATIONS = (
    Operation("POST", "/v1/payment_methods", create, f"{DATA} {CARD}"),
    Operation("GET", "/v1/payment_methods", list_, f"{LISTED} customer type"),
    Operation("GET", "/v1/payment_methods/<id>", retrieve),
    Operation(
        "POST",
        "/v1/payment_methods/<id>",
        update,
        f"allow_redisplay metadata.* {BILLING} card.exp_month card.exp_year",
    ),
    Operation("POST", "/v1/payment_methods/<id>/attach", attach, "customer"),
    Operation("POST", "/v1/payment_methods/<id>/detach", detach),
    Operation("GET", "/v1/mandates/<id>", mandate),
)
