"""With what Stripe will charge a subscription."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.clock import months_later
from billing.payloads import Object

# What a source calls a brand, where a payment method has another word than the same in lower case.
BRANDS = {"American Express": "amex", "Diners Club": "diners"}


def charged(subscription: Object) -> tuple[str | None, str | None]:
    """The card network (of what is no card: its type) and the last four digits; (None, None) where there is nothing.

    The first that there is of: the subscription's own payment method, its own source, its customer's default
    payment method, its customer's default source. That is Stripe's order
    (``Subscription.default_payment_method`` and ``default_source`` in the API reference).
    """
    method = _method(subscription)
    return _named(method) if method else (None, None)


def expires_at(subscription: Object) -> datetime | None:
    """The first moment (UTC) at which that card is valid no more: the end of the month that Stripe names as
    ``exp_month`` and ``exp_year``. None where it is no card."""
    method = _method(subscription) or {}
    card = method.get("card") or method  # an old source may have them itself
    month, year = card.get("exp_month"), card.get("exp_year")
    return months_later(datetime(year, month, 1, tzinfo=UTC), 1) if month and year else None


def _method(subscription: Object) -> Object | None:
    customer = subscription.get("customer")
    customer = customer if isinstance(customer, dict) else {}
    known = (
        subscription.get("default_payment_method"),
        subscription.get("default_source"),
        (customer.get("invoice_settings") or {}).get("default_payment_method"),
        customer.get("default_source"),
    )
    return next((method for method in known if isinstance(method, dict)), None)


def _named(method: Object) -> tuple[str | None, str | None]:
    """A payment method has brand and digits under its type; an old source may have them itself."""
    kind = method.get("type") or method.get("object")
    inner = method.get(str(kind)) or {}
    brand, last4 = inner.get("brand") or method.get("brand"), inner.get("last4") or method.get("last4")
    return BRANDS.get(brand, str(brand).lower()) if brand else kind, last4
