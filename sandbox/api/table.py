"""Every operation of the API."""

from __future__ import annotations

from sandbox.api import (
    account,
    cash_balances,
    charges,
    customers,
    disputes,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    prices,
    products,
    refunds,
    sessions,
    setup_intents,
    sources,
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
    *invoices.OPERATIONS,
    *payment_intents.OPERATIONS,
    *setup_intents.OPERATIONS,
    *payment_methods.OPERATIONS,
    *sources.OPERATIONS,
    *charges.OPERATIONS,
    *cash_balances.OPERATIONS,
    *refunds.OPERATIONS,
    *disputes.OPERATIONS,
    *portal.OPERATIONS,
    *webhook_endpoints.OPERATIONS,
    *test_clocks.OPERATIONS,
)
