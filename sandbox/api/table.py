"""Every operation of the API."""

from __future__ import annotations

from sandbox.api import (
    account,
    balance_transactions,
    charges,
    coupons,
    customers,
    discounts,
    intents,
    invoice_actions,
    invoice_lines,
    invoice_payments,
    invoiceitems,
    invoices,
    payment_methods,
    plans,
    portal,
    prices,
    products,
    promotion_codes,
    sessions,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)
from sandbox.api.operation import Operation

TABLE: tuple[Operation, ...] = (
    *account.OPERATIONS,
    *customers.OPERATIONS,
    *balance_transactions.OPERATIONS,
    *products.OPERATIONS,
    *prices.OPERATIONS,
    *plans.OPERATIONS,
    *coupons.OPERATIONS,
    *promotion_codes.OPERATIONS,
    *discounts.OPERATIONS,
    *sessions.OPERATIONS,
    *subscriptions.OPERATIONS,
    *invoices.OPERATIONS,
    *invoice_lines.OPERATIONS,
    *invoice_actions.OPERATIONS,
    *invoice_payments.OPERATIONS,
    *invoiceitems.OPERATIONS,
    *intents.OPERATIONS,
    *payment_methods.OPERATIONS,
    *charges.OPERATIONS,
    *portal.OPERATIONS,
    *webhook_endpoints.OPERATIONS,
    *test_clocks.OPERATIONS,
)
