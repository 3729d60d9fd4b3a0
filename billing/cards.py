"""Which card Stripe will charge, and what follows where a person has put another one there.

Stripe's portal sets the *customer's* default card; a subscription's own one stands before it, and no open invoice is
paid by changing a card. So both are done here, as a consequence of what is seen at a subscription, by whichever event:
what a person did on Stripe's page counts though they never come back from it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import invoices, pauses
from billing.models import Invoice, StripeWrite, Subscription
from billing.payloads import Object, ref
from billing.syncing import Cause
from billing.write_request import WriteRequest

# An incomplete subscription can't be changed (Stripe: only metadata and default_source), and a final one needn't be.
CAN_BE_POINTED = ("active", "trialing", "past_due", "unpaid", "paused")


def methods(found: Object) -> dict[str, Any] | None:
    """The ids that ``Subscription.payment_methods`` keeps; None where the customer could not be looked into."""
    customer = found.get("customer")
    if not isinstance(customer, dict):
        return None
    own = ref(found.get("default_payment_method")) or ref(found.get("default_source"))
    chosen = ref((customer.get("invoice_settings") or {}).get("default_payment_method"))
    return {"own": own, "customer": chosen}


def follow(
    session: Session, row: Subscription, before: dict[str, Any], cause: Cause
) -> tuple[WriteRequest, ...]:
    """What Stripe is to be told where the customer's default card is another one than at the look before.

    The subscription is pointed at it, what failed is paid with it, and what waited for a card goes on. A removed
    default changes nothing: the card of before is not taken from a plan by that.
    """
    known, seen = before.get("payment_methods"), row.payment_methods
    if row.final or known is None or seen is None or seen["customer"] is None:
        return ()
    if row.collection_method != "charge_automatically":
        return ()
    if seen["customer"] == known["customer"]:
        return _point(row, seen, cause) if _put_there_by_us(session, row, seen) else ()
    return (*_point(row, seen, cause), *(_pay(session, row, seen["customer"]) or _go_on(row, cause)))


def _point(row: Subscription, seen: dict[str, Any], cause: Cause) -> tuple[WriteRequest, ...]:
    """One write for each time that it is wanted: its name has the number of the lease under which that was seen."""
    chosen = seen["customer"]
    if seen["own"] in (None, chosen) or row.status not in CAN_BE_POINTED:
        return ()
    name = f"card:{row.stripe_id}:{chosen}:{cause.fence}"
    params = {"default_payment_method": chosen}
    return (WriteRequest("subscription.update", name, params, row.stripe_id, row.user_id),)


def _put_there_by_us(session: Session, row: Subscription, seen: dict[str, Any]) -> bool:
    """Whether the subscription's own card is one that we pointed it at, and the person has chosen another one since:
    two of our writes overtook each other. A card that somebody else put there stays."""
    if seen["own"] in (None, seen["customer"]):
        return False
    ours = select(StripeWrite.id).where(
        StripeWrite.target == row.stripe_id,
        StripeWrite.name.startswith(f"card:{row.stripe_id}:{seen['own']}:", autoescape=True),
    )
    return session.execute(ours.limit(1)).first() is not None


def _pay(session: Session, row: Subscription, chosen: str) -> tuple[WriteRequest, ...]:
    """The oldest invoice that is owed, once with each card. One that only a change waits for is not what they owe."""
    owed = invoices.open_failed(session, row.stripe_id)
    pending = (row.coming or {}).get("kind") == "pending"
    if owed is None or (pending and owed.stripe_id == row.latest_invoice):
        return ()
    return (pay_request(owed, chosen),)


def pay_request(owed: Invoice, method: str) -> WriteRequest:
    """The write that takes what is owed from one card. Stripe pays an invoice once, whoever asks for it."""
    name = f"pay:{owed.stripe_id}:{method}"
    return WriteRequest("invoice.pay", name, {"payment_method": method}, owed.stripe_id, owed.user_id)


def _go_on(row: Subscription, cause: Cause) -> tuple[WriteRequest, ...]:
    waits = row.status == "paused" and row.status_reason == "trial_end_without_payment_method"
    return (pauses.resume_request(row, str(cause.fence)),) if waits else ()
