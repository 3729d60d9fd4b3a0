"""What is known of one person, as label and value: the account, the subscriptions, the money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import labels, running, tags
from billing.admin import links, paging
from billing.extensions import db
from billing.models import Dispute, Invoice, Payment, Subscription, User
from billing.models.subscriptions import speaking_rank

Pairs = list[tuple[str, object]]
MONEY_ROWS = 100


@dataclass(frozen=True)
class Money:
    """The newest invoices, one-off payments and disputes of one person, and the subscriptions that they are about."""

    subscriptions: Sequence[Subscription]
    invoices: Sequence[Invoice]
    payments: Sequence[Payment]
    disputes: Sequence[Dispute]


def person(user_id: int) -> User:
    """The person of an address, or 404."""
    if user_id > paging.LARGEST_ID:
        abort(404)
    return db.session.get(User, user_id) or abort(404)


def subscriptions(session: Session, user: User) -> list[Subscription]:
    """All of the person's; the first is the one that speaks (``speaking_rank``)."""
    found = select(Subscription).where(Subscription.user_id == user.id)
    order = speaking_rank(Subscription), Subscription.created.desc(), Subscription.id.desc()
    return list(session.execute(found.order_by(*order)).scalars())


def money(session: Session, user: User, subscriptions: Sequence[Subscription]) -> Money:
    """One query for each kind."""
    invoices = select(Invoice).where(Invoice.user_id == user.id).order_by(Invoice.created.desc())
    payments = select(Payment).where(Payment.user_id == user.id).order_by(Payment.created.desc())
    disputes = select(Dispute).where(Dispute.user_id == user.id).order_by(Dispute.created.desc())
    return Money(
        subscriptions,
        session.execute(invoices.limit(MONEY_ROWS)).scalars().all(),
        session.execute(payments.limit(MONEY_ROWS)).scalars().all(),
        session.execute(disputes.limit(MONEY_ROWS)).scalars().all(),
    )


def account(user: User) -> Pairs:
    customer = user.stripe_customer_id
    return _known(
        [
            ("Account", user.id),
            ("Email", user.email),
            ("Signed up", links.moment(user.created_at)),
            ("Email confirmed", links.moment(user.email_confirmed_at)),
            ("Stripe customer", links.stripe_object("customers", customer) if customer else "none yet"),
            ("Referral code", user.referral_code),
            ("Admin", "yes" if user.is_admin else None),
        ]
    )


def subscription(rows: Iterable[Subscription]) -> Pairs:
    """The first in full, every other in one line."""
    listed = list(rows)
    if not listed:
        return []
    others = [("Also", _in_a_line(row)) for row in listed[1:]]
    return [*_known(_in_full(listed[0])), *others]


def _in_full(row: Subscription) -> Pairs:
    price = labels.price(row)
    return [
        ("Subscription", links.stripe_object("subscriptions", row.stripe_id)),
        ("Timeline", links.timeline(row.stripe_id)),
        ("Stripe’s status", row.status + (f", {row.status_reason}" if row.status_reason else "")),
        ("Plan", labels.title(row.plan) if row.plan else "not in our catalogue"),
        ("Price", f"{price} a {row.interval}" if price and row.interval else price),
        ("Stripe price", row.price_id),
        ("Made", links.moment(row.created)),
        ("Period ends", links.moment(row.current_period_end)),
        ("Trial ends", links.moment(row.trial_end)),
        ("Then, without a card", row.trial_end_behavior),
        ("Payments paused", (row.pause_collection or {}).get("behavior")),
        ("Last known", "{status}, {plan}, until {at}".format(**row.known) if row.known else None),
        ("Set to end", links.moment(row.ends_at) if not row.final else None),
        ("Ended", links.moment(row.ended_at)),
        ("Why it ended", row.cancellation_reason),
        ("First failed payment", links.moment(row.first_failed_at)),
        ("Card", labels.card(row)),
        ("Latest invoice", row.latest_invoice),
        ("Test clock says", links.moment(row.clock_time)),
        ("Last event applied", row.cause_event_id),
    ]


def _in_a_line(row: Subscription) -> object:
    plan = labels.title(row.plan) if row.plan else "not in our catalogue"
    link = links.stripe_object("subscriptions", row.stripe_id)
    return Markup("{}, {}, {}, {}").format(link, row.status, plan, links.timeline(row.stripe_id))


def _known(pairs: Pairs) -> Pairs:
    return [(label, value) for label, value in pairs if value not in (None, "")]


def entries(found: Money) -> list[dict[str, Any]]:
    """Invoices, one-off payments and disputes as one ledger, newest first."""
    rows = [_invoice(one) for one in found.invoices]
    rows += [_payment(one) for one in found.payments]
    rows += [_dispute(one) for one in found.disputes]
    return sorted(rows, key=lambda row: row["date"], reverse=True)[:MONEY_ROWS]


def _invoice(one: Invoice) -> dict[str, Any]:
    text = f"Invoice {one.number or one.stripe_id}: {one.description}".removesuffix(": ")
    if one.decline_code:
        text += f" (declined: {one.decline_code})"
    address = links.in_dashboard(f"invoices/{one.stripe_id}")
    return _entry(one, text, one.total, tags.invoice(one), address)


def _payment(one: Payment) -> dict[str, Any]:
    catalogue = running.catalogue()
    address = links.in_dashboard(f"payments/{one.payment_intent}")
    return _entry(one, catalogue.title(one.product), one.amount, tags.payment(one), address)


def _dispute(one: Dispute) -> dict[str, Any]:
    address = links.in_dashboard(f"payments/{one.payment_intent}") if one.payment_intent else None
    return _entry(one, f"Dispute: {one.reason}", one.amount, tags.dispute(one.status), address)


def _entry(
    row: Invoice | Payment | Dispute, text: str, amount: int, tag: tags.Tag, href: str | None
) -> dict[str, Any]:
    return {
        "date": row.created,
        "text": text,
        "amount": amount,
        "currency": row.currency,
        "tag": tag[0],
        "tone": tag[1],
        "glyph": tag[2],
        "href": href,
    }
