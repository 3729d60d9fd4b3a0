"""Steps with invoices, items and discounts that several test files take."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Json, Sandbox


def item(sandbox: Sandbox, customer: str, amount: int = 2000, currency: str = "usd", **more: Any) -> Any:
    params: Any = {"customer": customer, "amount": amount, "currency": currency, **more}
    return sandbox.api.invoice_items.create(params)


def draft(sandbox: Sandbox, customer: str, *amounts: int, currency: str = "usd", **more: Any) -> Any:
    """A draft of these amounts, made by hand."""
    for amount in amounts:
        item(sandbox, customer, amount, currency)
    params: Any = {
        "customer": customer,
        "pending_invoice_items_behavior": "include",
        "currency": currency,
        **more,
    }
    return sandbox.api.invoices.create(params)


def payer(sandbox: Sandbox, card: str = "pm_card_visa", **more: Any) -> str:
    """A customer with a default card."""
    params: Any = {"payment_method": card, **more}
    customer = sandbox.api.customers.create(params)
    (method,) = sandbox.api.customers.payment_methods.list(customer.id).data
    sandbox.api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    return str(customer.id)


def told(sandbox: Sandbox, customer: str, since: str | None) -> list[str]:
    """Types of the events about one customer, but for the one that comes late."""
    return [each for each in sandbox.types(since, customer) if each != "invoice_payment.paid"]


def previous(sandbox: Sandbox, customer: str, since: str | None, kind: str) -> Json:
    found = [each for each in sandbox.events(since, customer) if each["type"] == kind]
    assert len(found) == 1, f"{len(found)} × {kind}"
    before: Json = found[0]["data"]["previous_attributes"]
    return before


def refused(code: str | None, param: str | None = None) -> Any:
    """A block in which Stripe answers 400 with this code."""

    class Refusal:
        def __enter__(self) -> None:
            self.catcher = pytest.raises(stripe.InvalidRequestError)
            self.caught = self.catcher.__enter__()

        def __exit__(self, *exc: Any) -> bool | None:
            done = self.catcher.__exit__(*exc)
            assert self.caught.value.code == code, self.caught.value
            if param is not None:
                assert self.caught.value.param == param, self.caught.value.param
            return done

    return Refusal()
