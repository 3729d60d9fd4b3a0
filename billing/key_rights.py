"""What a restricted API key must be allowed, and asking Stripe which of it the key lacks, while nothing is changed.

Reading is asked by reading one of each. Writing is asked by changing an object that nobody has: Stripe looks at the
key first (403), then for the object (404), so that nothing can come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from billing import stripe_client

NOBODY = "dunlin_asks_what_it_may"
ONE = {"limit": 1}

READS: dict[str, Callable[[Any], Any]] = {
    "the account": lambda v1: v1.accounts.retrieve_current(),
    "customers": lambda v1: v1.customers.list(ONE),
    "subscriptions": lambda v1: v1.subscriptions.list(ONE),
    "subscription schedules": lambda v1: v1.subscription_schedules.list(ONE),
    "invoices": lambda v1: v1.invoices.list(ONE),
    "invoice payments": lambda v1: v1.invoice_payments.list(ONE),
    "Checkout Sessions": lambda v1: v1.checkout.sessions.list(ONE),
    "PaymentIntents": lambda v1: v1.payment_intents.list(ONE),
    "charges": lambda v1: v1.charges.list(ONE),
    "refunds": lambda v1: v1.refunds.list(ONE),
    "disputes": lambda v1: v1.disputes.list(ONE),
    "events": lambda v1: v1.events.list(ONE),
    "products": lambda v1: v1.products.list(ONE),
    "prices": lambda v1: v1.prices.list(ONE),
}
OF_TEST_MODE: dict[str, Callable[[Any], Any]] = {
    "test clocks": lambda v1: v1.test_helpers.test_clocks.list(ONE),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "customers": lambda v1: v1.customers.update(NOBODY, {}),
    "products": lambda v1: v1.products.update(NOBODY, {}),
    "prices": lambda v1: v1.prices.update(NOBODY, {}),
    "Checkout Sessions": lambda v1: v1.checkout.sessions.expire(NOBODY),
    "billing portal sessions": lambda v1: v1.billing_portal.sessions.create({"customer": NOBODY}),
    "subscriptions": lambda v1: v1.subscriptions.update(NOBODY, {}),
    "subscription schedules": lambda v1: v1.subscription_schedules.release(NOBODY),
    "invoices": lambda v1: v1.invoices.pay(NOBODY),
    "refunds": lambda v1: v1.refunds.update(NOBODY, {}),
}


def missing(*, livemode: bool) -> Iterator[str]:
    """A line for each thing that the key may not do: “to read charges (Stripe answered 403 …)”."""
    reads = READS if livemode else READS | OF_TEST_MODE
    for verb, calls in (("read", reads), ("write", WRITES)):
        for what, send in calls.items():
            said = stripe_client.lacking(send)
            if said is not None:
                yield f"to {verb} {what} ({said})"
