"""/v1/customers/<id>/balance_transactions: what moved a customer's balance."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing, prices
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import balance
from sandbox.errors import missing, request_error, required
from sandbox.events import change
from sandbox.house import db

Json = dict[str, Any]

KIND, URL = "customer_balance_transaction", "/v1/customers/<id>/balance_transactions"


def create(call: Call) -> Json:
    """Negative is a credit, positive a debt; in the currency that the customer is billed in."""
    customer, params = call.subject("customer"), call.params
    amount = params.integer("amount")
    if amount is None:
        raise required("amount")
    currency = prices.currency_of(params)
    if customer["currency"] not in (None, currency):
        raise request_error(
            f"The customer is billed in {customer['currency']}: its balance is not in {currency}.",
            param="currency",
        )
    given = {"description": params.text("description"), "metadata": params.metadata()}
    return balance.move(customer["id"], amount, currency, "adjustment", given)


def retrieve(call: Call) -> Json:
    customer = call.subject("customer")
    found = db().find(KIND, call.ids[1])
    if found is None or found["customer"] != customer["id"]:
        raise missing("customer balance transaction", call.ids[1])
    return found


def update(call: Call) -> Json:
    transaction, params = retrieve(call), call.params
    changed = params.words("description")
    if params.has("metadata"):
        changed["metadata"] = params.metadata(transaction["metadata"])
    return change(transaction, None, **changed)


def list_(call: Call) -> Json:
    customer = call.subject("customer")
    where = {"customer": customer["id"], "invoice": call.params.text("invoice")}
    return listing.page(call, KIND, URL.replace("<id>", customer["id"]), where)


OPERATIONS = (
    Operation("POST", URL, create, "amount currency description metadata metadata.*"),
    Operation("GET", URL, list_, f"{LISTED} {CREATED} invoice"),
    Operation("GET", f"{URL}/<id>", retrieve),
    Operation("POST", f"{URL}/<id>", update, "description metadata metadata.*"),
)
