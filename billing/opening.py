"""Opening and closing a Checkout Session: what Stripe is asked for, and what its answer is kept for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import audit, grants
from billing.clock import from_stripe
from billing.config import Config
from billing.models import CheckoutSession, User
from billing.payloads import Object
from billing.write_request import WriteRequest

# Our locales as Checkout names them (Stripe: ``locale`` of a Checkout Session). Ours without a country writes as
# they do in Britain.
LOCALES = {"en": "en-GB", "en_US": "en", "de": "de"}


def create_request(
    row: CheckoutSession, user: User, title: str, config: Config, installation: str
) -> WriteRequest:
    """The write that opens the Session. Metadata goes on the Session and on what the Session creates,
    since Stripe does not copy it from one to the other. The address is the customer’s, so the page shows it and lets
    nobody change it."""
    metadata = _metadata(row, user, installation)
    back = f"subscribe/{row.item}" if row.mode == "subscription" else f"buy/{row.item}"
    params: dict[str, Any] = {
        "mode": row.mode,
        "customer": user.stripe_customer_id,
        "client_reference_id": str(user.id),
        "line_items": [{"price": row.price_id, "quantity": row.quantity}],
        "metadata": metadata,
        "success_url": f"{config.public_url}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{config.public_url}/{back}?canceled={row.id}",
    }
    if row.locale:
        params["locale"] = LOCALES.get(row.locale, "auto")
    if row.mode == "subscription":
        params |= _subscription(row, metadata)
    else:
        params["payment_intent_data"] = {"metadata": metadata, "description": title}
    return WriteRequest("checkout.session.create", f"checkout:{row.id}", params, user_id=user.id)


def _metadata(row: CheckoutSession, user: User, installation: str) -> dict[str, str]:
    metadata = {
        "user_id": str(user.id),
        **grants.Promise(row.item, row.credits or 0, row.gives or "").metadata,
        "installation": installation,
        "checkout": str(row.id),
    }
    if user.referral_code:
        metadata["referral_code"] = user.referral_code
    return metadata


def _subscription(row: CheckoutSession, metadata: dict[str, str]) -> dict[str, Any]:
    """What only a subscription is asked with: its trial, what happens where that ends without a card, codes."""
    data: dict[str, Any] = {"metadata": metadata}
    params: dict[str, Any] = {"subscription_data": data}
    if row.promotion_codes:
        params["allow_promotion_codes"] = True
    if row.trial_days:
        data["trial_period_days"] = row.trial_days
    if row.trial_days and row.trial_end_behavior:
        params["payment_method_collection"] = "if_required"
        data["trial_settings"] = {"end_behavior": {"missing_payment_method": row.trial_end_behavior}}
    return params


def expire_request(row: CheckoutSession) -> WriteRequest:
    """The write that closes a Session nobody paid, so that another may be opened."""
    return WriteRequest(
        "checkout.session.expire", f"checkout-expire:{row.id}", target=row.stripe_id, user_id=row.user_id
    )


def opened(session: Session, write_name: str, answer: Object) -> WriteRequest | None:
    """Keep the id, address and end of the Session that Stripe opened. Returns the write that closes it where the
    person's place was freed before we heard of it: they may have another one by now, and could pay both."""
    row = session.get_one(CheckoutSession, int(write_name.partition(":")[2]), with_for_update=True)
    if row.status == CheckoutSession.CREATING:
        row.stripe_id, row.url, row.status = answer["id"], answer["url"], answer["status"]
        row.expires_at = from_stripe(answer["expires_at"])
        audit.changed(session, row, {}, actor="dunlin")
    return expire_request(row) if row.superseded_at is not None and row.status == "open" else None


def expired_by_us(session: Session, answer: Object) -> None:
    """Make room for another Session; what this one came to is still told by its event."""
    found = select(CheckoutSession).where(CheckoutSession.stripe_id == answer["id"])
    row = session.execute(found.with_for_update()).scalar()
    if row is not None:  # else somebody made it at Stripe's dashboard
        row.superseded_at = row.superseded_at or func.now()


def refused(session: Session, write_name: str) -> None:
    """Stripe would not open the Session: free the person's place."""
    kind, _, number = write_name.partition(":")
    if kind == "checkout":
        row = session.get_one(CheckoutSession, int(number), with_for_update=True)
        row.superseded_at = row.superseded_at or func.now()
