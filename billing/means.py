"""With what Stripe will charge a subscription."""

from __future__ import annotations

from billing.payloads import Object

# What a source calls a brand, where a payment method has another word than the same in lower case.
BRANDS = {"American Express": "amex", "Diners Club": "diners"}


def charged(subscription: Object) -> tuple[str | None, str | None]:
    """The card network (of what is no card: its type) and the last four digits; (None, None) where there is nothing.

    The first that there is of: the subscription's own payment method, its own source, its customer's default
    payment method, its customer's default source. That is Stripe's order
    (``Subscription.default_payment_method`` and ``default_source`` in the API reference).
    """
    customer = subscription.get("customer")
    customer = customer if isinstance(customer, dict) else {}
    for method in (
        subscription.get("default_payment_method"),
        subscription.get("default_source"),
        (customer.get("invoice_settings") or {}).get("default_payment_method"),
        customer.get("default_source"),
    ):
        if isinstance(method, dict):
            return _named(method)
    return None, None


def _named(method: Object) -> tuple[str | None, str | None]:
    """A payment method has brand and digits under its type; an old source may have them itself."""
    kind = method.get("type") or method.get("object")
    inner = method.get(str(kind)) or {}
    brand, last4 = inner.get("brand") or method.get("brand"), inner.get("last4") or method.get("last4")
    return BRANDS.get(brand, str(brand).lower()) if brand else kind, last4
