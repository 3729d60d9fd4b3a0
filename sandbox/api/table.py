"""Every operation of the API."""

from __future__ import annotations

from sandbox.api import (
    account,
    charges,
    customers,
    intents,
    invoices,
    payment_methods,
    portal,
    previews,
    prices,
    products,
    schedules,
    sessions,
    subscription_items,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)
from sandbox.api.operation import Operation

TABLE: tuple[Operation, ...] = (
    *account.OPERATIONS,
    *customers.OPERATIONS,
    *products.OPERATIONS,
    *prices.OPERATIONS,
    *sessions.OPERATIONS,
    *subscriptions.OPERATIONS,
    *subscription_items.OPERATIONS,
    *schedules.OPERATIONS,
    *previews.OPERATIONS,
    *invoices.OPERATIONS,
    *intents.OPERATIONS,
    *payment_methods.OPERATIONS,
    *charges.OPERATIONS,
    *portal.OPERATIONS,
    *webhook_endpoints.OPERATIONS,
    *test_clocks.OPERATIONS,
)
