"""What is read of Stripe: each object as our rows need it, and lists page by page.

Every read is a plain dictionary of Stripe's JSON, or raises StripeError; it runs outside any database transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from billing.errors import StripeRefused
from billing.stripe_client import Object, ask

# What a subscription is seen with: what it is paid with, its schedule, what its discounts take off, and its customer's
# means of payment, which a deleted customer has none of.
OWN = ["default_payment_method", "default_source", "schedule", "discounts.source.coupon"]
SHOWN = [*OWN, "customer.invoice_settings.default_payment_method", "customer.default_source"]
# Its latest invoice, as ``each_invoice`` gives it.
LATEST_INVOICE = "latest_invoice.payments"


def get_subscription(stripe_id: str, *also: str) -> Object:
    """The subscription with its card, its schedule and its customer's card, and ``also`` these, each expanded.

    A customer that was deleted has no settings to expand; its subscription must still be seen to have ended.
    """
    try:
        return ask(lambda v1: v1.subscriptions.retrieve(stripe_id, {"expand": [*SHOWN, *also]}))
    except StripeRefused as problem:
        if problem.status != 400:
            raise
        return ask(lambda v1: v1.subscriptions.retrieve(stripe_id, {"expand": [*OWN, *also]}))


def get_discounts(subscription: str) -> Object:
    """The subscription with its discounts and its customer's, each with its coupon."""
    expand = ["discounts.source.coupon", "customer.discount.source.coupon"]
    return ask(lambda v1: v1.subscriptions.retrieve(subscription, {"expand": expand}))


def get_invoice(stripe_id: str) -> Object:
    """The invoice with its payments and the PaymentIntent of each (fields that need expanding since basil)."""
    expand = ["payments.data.payment.payment_intent"]
    return ask(lambda v1: v1.invoices.retrieve(stripe_id, {"expand": expand}))


def invoice_lines(stripe_id: str) -> list[Object]:
    """Every line of an invoice; the invoice itself shows the first ten."""
    return list(_pages(lambda v1, p: v1.invoices.line_items.list(stripe_id, p), {}))


def preview_invoice(params: Object) -> Object:
    """What Stripe would charge; a POST that makes nothing (``POST /v1/invoices/create_preview``)."""
    return ask(lambda v1: v1.invoices.create_preview(params))


def get_subscription_schedule(stripe_id: str) -> Object:
    return ask(lambda v1: v1.subscription_schedules.retrieve(stripe_id))


def get_checkout_session(stripe_id: str) -> Object:
    return ask(lambda v1: v1.checkout.sessions.retrieve(stripe_id))


def get_payment_intent(stripe_id: str) -> Object:
    """The PaymentIntent with its charge, and every refund of that; the charge itself shows the first ten."""
    found = ask(lambda v1: v1.payment_intents.retrieve(stripe_id, {"expand": ["latest_charge.refunds"]}))
    charge = found.get("latest_charge")
    if isinstance(charge, dict) and (charge.get("refunds") or {}).get("has_more"):
        charge["refunds"] = {"data": list(list_refunds(stripe_id))}
    return found


def get_charge(stripe_id: str) -> Object:
    return ask(lambda v1: v1.charges.retrieve(stripe_id))


def get_dispute(stripe_id: str) -> Object:
    return ask(lambda v1: v1.disputes.retrieve(stripe_id, {"expand": ["charge"]}))


def get_refund(stripe_id: str) -> Object:
    return ask(lambda v1: v1.refunds.retrieve(stripe_id))


def get_early_fraud_warning(stripe_id: str) -> Object:
    return ask(lambda v1: v1.radar.early_fraud_warnings.retrieve(stripe_id, {"expand": ["charge"]}))


def get_customer(stripe_id: str) -> Object:
    """The customer; one that was deleted has little more than its id."""
    return ask(lambda v1: v1.customers.retrieve(stripe_id))


def get_test_clock(stripe_id: str) -> Object:
    return ask(lambda v1: v1.test_helpers.test_clocks.retrieve(stripe_id))


def get_account() -> Object:
    """The account that the key belongs to (``GET /v1/account``)."""
    return ask(lambda v1: v1.accounts.retrieve_current())


def account_and_time() -> tuple[Object, datetime | None]:
    """The account, and Stripe's clock as it answered (the ``Date`` header, to the second)."""
    heard: list[str] = []

    def look(v1: Any) -> Any:
        answer = v1.accounts.retrieve_current()
        heard.append(answer.headers.get("Date", ""))
        return answer

    account = ask(look)
    return account, parsedate_to_datetime(heard[-1]) if heard[-1] else None


def list_webhook_endpoints() -> list[Object]:
    """Every webhook endpoint of the account in the key's mode. Their secrets are told by no read."""
    return list(_pages(lambda v1, p: v1.webhook_endpoints.list(p), {}))


def default_portal_configuration() -> Object | None:
    """What customers may do in Stripe's portal; None where the settings were never saved in this mode."""
    page = ask(lambda v1: v1.billing_portal.configurations.list({"is_default": True, "limit": 1}))
    return page["data"][0] if page["data"] else None


def list_undelivered(since: int) -> list[Object]:
    """The newest events since then that some endpoint of the account has not taken, or not yet; 100 at most."""
    params = {"created": {"gte": since}, "delivery_success": False, "limit": 100}
    return list(ask(lambda v1: v1.events.list(params))["data"])


def invoice_of_payment(payment_intent: str) -> str | None:
    """The invoice that a PaymentIntent paid, found by its InvoicePayment; None for a one-off payment."""
    params = {"payment": {"type": "payment_intent", "payment_intent": payment_intent}, "limit": 1}
    page = ask(lambda v1: v1.invoice_payments.list(params))
    return str(page["data"][0]["invoice"]) if page["data"] else None


def find_prices(lookup_keys: list[str]) -> list[Object]:
    """The prices of these lookup keys with their products, archived ones too; Stripe takes 10 keys at a time."""
    found: list[Object] = []
    for start in range(0, len(lookup_keys), 10):
        some = lookup_keys[start : start + 10]
        wanted = {"lookup_keys": some, **_expanded(["product"])}
        found += _pages(lambda v1, p: v1.prices.list(p), wanted)
    return found


def each_price(product: str) -> Iterator[Object]:
    """The prices of a product that can be sold, the newest first."""
    return _pages(lambda v1, p: v1.prices.list(p), {"product": product, "active": True})


def get_price(stripe_id: str) -> Object:
    return ask(lambda v1: v1.prices.retrieve(stripe_id))


def get_product(stripe_id: str) -> Object:
    return ask(lambda v1: v1.products.retrieve(stripe_id))


def list_products() -> Iterator[Object]:
    """Every product of the account, the newest first."""
    return _pages(lambda v1, p: v1.products.list(p), {})


def list_checkout_sessions(customer: str) -> Iterator[Object]:
    """Every Checkout Session of a customer, the newest first."""
    return _pages(lambda v1, p: v1.checkout.sessions.list(p), {"customer": customer})


def list_customers(email: str) -> Iterator[Object]:
    """Every customer with exactly this address."""
    return _pages(lambda v1, p: v1.customers.list(p), {"email": email})


def list_subscriptions(customer: str) -> list[Object]:
    """Every subscription of a customer, ended ones too."""
    return list(_pages(lambda v1, p: v1.subscriptions.list(p), {"customer": customer, "status": "all"}))


def list_refunds(payment_intent: str) -> Iterator[Object]:
    """Every refund of a payment."""
    return _pages(lambda v1, p: v1.refunds.list(p), {"payment_intent": payment_intent})


def list_disputes(payment_intent: str) -> Iterator[Object]:
    """Every dispute of a payment."""
    return _pages(lambda v1, p: v1.disputes.list(p), {"payment_intent": payment_intent})


def each_subscription(params: Object) -> Iterator[Object]:
    """Subscriptions as ``get_subscription`` gives them; canceled ones only where asked for.

    Where one customer of a page was deleted, that page is without its customers' cards.
    """
    return _pages(lambda v1, p: v1.subscriptions.list(p), {**params, **_expanded(SHOWN)}, _expanded(OWN))


def each_invoice(params: Object) -> Iterator[Object]:
    """Invoices with their payments; what each PaymentIntent says lies deeper than a list can be expanded."""
    return _pages(lambda v1, p: v1.invoices.list(p), {**params, **_expanded(["payments"])})


def each_payment_intent(params: Object) -> Iterator[Object]:
    """PaymentIntents with their charge."""
    return _pages(lambda v1, p: v1.payment_intents.list(p), {**params, **_expanded(["latest_charge"])})


def each_dispute(params: Object) -> Iterator[Object]:
    """Disputes with their charge."""
    return _pages(lambda v1, p: v1.disputes.list(p), {**params, **_expanded(["charge"])})


def each_refund(params: Object) -> Iterator[Object]:
    """Refunds as they are."""
    return _pages(lambda v1, p: v1.refunds.list(p), params)


def each_early_fraud_warning(params: Object) -> Iterator[Object]:
    """Early fraud warnings with their charge."""
    return _pages(lambda v1, p: v1.radar.early_fraud_warnings.list(p), {**params, **_expanded(["charge"])})


def _expanded(names: list[str]) -> Object:
    return {"expand": [f"data.{name}" for name in names]}


def get_event(event_id: str) -> Object:
    """The event as Stripe keeps it, for 30 days."""
    return ask(lambda v1: v1.events.retrieve(event_id))


def list_events(types: list[str], since: int) -> Iterator[Object]:
    """Events created at or after ``since`` (Unix seconds), newest first; Stripe keeps them 30 days.

    Stripe filters by at most 20 types, so a longer list is filtered here.
    """
    for event in _pages(lambda v1, p: v1.events.list(p), {"created": {"gte": since}}):
        if event["type"] in types:
            yield event


def _pages(
    lists: Callable[[Any, Object], Any], params: Object, narrower: Object | None = None
) -> Iterator[Object]:
    """``narrower``: what to ask for where Stripe refuses to show as much of a page."""
    cursor: Object = {"limit": 100}
    while True:
        try:
            page = _page(lists, {**params, **cursor})
        except StripeRefused as problem:
            if narrower is None or problem.status != 400:
                raise
            page = _page(lists, {**params, **narrower, **cursor})
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        cursor["starting_after"] = page["data"][-1]["id"]


def _page(lists: Callable[[Any, Object], Any], params: Object) -> Object:
    return ask(lambda v1: lists(v1, params))
