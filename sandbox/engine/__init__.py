"""The billing engine: what Stripe does when a person pays, when time passes and when the API asks.

Reading order: methods, banks and sources (what is paid with), states (of a PaymentIntent), charging, debits and
captures (its charges), account_balance, payments (one attempt), setups, direct and direct_setups (intents that the API
confirms), refunds, disputes, aftermath (what follows a test card's charge), subscriptions; totals (the arithmetic of
invoices), discounts, balance, items, reckoning, invoicing, closing and editing; checkout, portal, renewals (what
becomes due), time (clocks).
Every function runs inside the caller's `db().transaction()`.
"""
