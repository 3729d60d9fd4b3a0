"""/v1/customers/<id>/cash_balance and the test helper that fills it."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import transfers
from sandbox.errors import not_built, required
from sandbox.objects import cash

Json = dict[str, Any]


def fund(call: Call) -> Json:
    customer, params = call.subject("customer"), call.params
    amount = params.integer("amount", least=1)
    if amount is None:
        raise required("amount")
    currency = params.need("currency").lower()
    if currency not in cash.SENDERS:
        raise not_built("bank transfers in other currencies than yen and dollars", "currency")
    return transfers.fund(customer, amount, currency, params.text("reference"))


def retrieve(call: Call) -> Json:
    return cash.cash_balance(call.subject("customer"))


def transactions(call: Call) -> Json:
    customer = call.subject("customer")
    url = f"/v1/customers/{customer['id']}/cash_balance_transactions"
    return listing.page(call, "customer_cash_balance_transaction", url, {"customer": customer["id"]})


OPERATIONS = (
    Operation("POST", "/v1/test_helpers/customers/<id>/fund_cash_balance", fund, "amount currency reference"),
    Operation("GET", "/v1/customers/<id>/cash_balance", retrieve),
    Operation("GET", "/v1/customers/<id>/cash_balance_transactions", transactions, LISTED),
)
