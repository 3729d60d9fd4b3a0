"""The billing engine: what Stripe does when a person pays, when time passes and when the API asks.

Reading order: methods (cards), payments (intents and charges), aftermath (refunds, disputes, warnings),
subscriptions; totals (the arithmetic of invoices), discounts, balance, items, reckoning, invoicing, closing and
editing; checkout, portal, renewals (what becomes due), time (clocks).
Every function runs inside the caller's `db().transaction()`.
"""
