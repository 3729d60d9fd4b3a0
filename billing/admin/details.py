"""What is known of one person, as label and value: the account, the subscriptions, the money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, url_for
from markupsafe import Markup
from sqlalchemy import Row, and_, func, select
from sqlalchemy.orm import Session, aliased

from billing import comps, labels, running, tags
from billing.admin import links, paging
from billing.extensions import db
from billing.models import Comp, Deletion, Dispute, FraudWarning, Invoice, Payment, Refund, Subscription, User
from billing.models.subscriptions import speaking_rank

Pairs = list[tuple[str, object]]
MONEY_ROWS = 100


@dataclass(frozen=True)
class Money:
    """The newest of each kind of one person's money, and the subscriptions that it is about."""

    subscriptions: Sequence[Subscription]
    invoices: Sequence[Invoice]
    payments: Sequence[Payment]
    disputes: Sequence[Dispute] = ()
    refunds: Sequence[Refund] = ()
    warnings: Sequence[FraudWarning] = ()


def person(user_id: int) -> User:
    """The person of an address, or 404."""
    if user_id > paging.LARGEST_ID:
        abort(404)
    return db.session.get(User, user_id) or abort(404)


def whole(session: Session, user_id: int) -> Row[User, Deletion | None, Comp | None]:
    """The person of an address, their newest wish to be deleted and what an admin gives them now; one query, or 404."""
    theirs = aliased(Deletion)
    newest = select(func.max(theirs.id)).where(theirs.user_id == user_id).scalar_subquery()
    found = (
        select(User, Deletion, Comp)
        .select_from(User)
        .outerjoin(Deletion, Deletion.id == newest)
        .outerjoin(Comp, and_(Comp.user_id == User.id, *comps.HOLDS))
        .where(User.id == user_id)
    )
    return (user_id <= paging.LARGEST_ID and session.execute(found).first()) or abort(404)


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
    refunds = select(Refund).where(Refund.user_id == user.id).order_by(Refund.created.desc())
    warnings = select(FraudWarning).where(FraudWarning.user_id == user.id)
    return Money(
        subscriptions,
        session.execute(invoices.limit(MONEY_ROWS)).scalars().all(),
        session.execute(payments.limit(MONEY_ROWS)).scalars().all(),
        session.execute(disputes.limit(MONEY_ROWS)).scalars().all(),
        session.execute(refunds.limit(MONEY_ROWS)).scalars().all(),
        session.execute(warnings.order_by(FraudWarning.created.desc()).limit(MONEY_ROWS)).scalars().all(),
    )


def account(user: User, asked: Deletion | None = None) -> Pairs:
    """``asked``: the newest wish for the account to be deleted."""
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
            *(_deletion(asked) if asked else []),
        ]
    )


def _deletion(asked: Deletion) -> Pairs:
    """What was asked for, and what stands in the way of it."""
    tried = f"{asked.problem} (tried {asked.tries} times)" if asked.problem else None
    return [
        ("Deletion asked for", links.moment(asked.asked_at)),
        ("Deletion due", links.moment(asked.due_at) if asked.open else None),
        ("Deletion begun", links.moment(asked.begun_at) if asked.open else None),
        ("Not deleted yet, because", tried if asked.open else None),
        ("Tried again", links.moment(asked.next_try_at) if asked.open else None),
        ("Deletion taken back", links.moment(asked.undone_at)),
        ("Deleted", links.moment(asked.done_at)),
    ]


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
    """Invoices, one-off payments, refunds, disputes and fraud warnings as one ledger, newest first."""
    rows = [_invoice(one) for one in found.invoices]
    rows += [_payment(one) for one in found.payments]
    rows += [_dispute(one) for one in found.disputes]
    rows += [_refund(one) for one in found.refunds]
    rows += [_warning(one) for one in found.warnings]
    return sorted(rows, key=lambda row: row["date"], reverse=True)[:MONEY_ROWS]


def _invoice(one: Invoice) -> dict[str, Any]:
    text = f"Invoice {one.number or one.stripe_id}: {one.description}".removesuffix(": ")
    if one.decline_code:
        text += f" (declined: {one.decline_code})"
    address = links.in_dashboard(f"invoices/{one.stripe_id}")
    left = one.amount_paid - one.amount_refunded if one.payment_intent else 0
    return {
        **_entry(one, text, one.total, tags.invoice(one), address),
        "more": _back(one.payment_intent, left),
    }


def _payment(one: Payment) -> dict[str, Any]:
    catalogue = running.catalogue()
    address = links.in_dashboard(f"payments/{one.payment_intent}")
    left = one.amount - one.amount_refunded if one.status == "succeeded" else 0
    entry = _entry(one, catalogue.title(one.product), one.amount, tags.payment(one), address)
    return {**entry, "more": _back(one.payment_intent, left)}


def _back(payment_intent: str | None, left: int) -> tuple[str, str] | None:
    """The way to give back what is left of it."""
    if not payment_intent or left <= 0:
        return None
    return "Refund", url_for("admin.refund", payment_intent=payment_intent)


def _dispute(one: Dispute) -> dict[str, Any]:
    address = url_for("admin.dispute", dispute_id=one.stripe_id)
    return _entry(one, f"Dispute: {one.reason}", one.amount, tags.dispute(one.status), address)


def _refund(one: Refund) -> dict[str, Any]:
    reason = one.failure_reason if one.status == "failed" else one.reason
    text = f"Refund {one.stripe_id}" + (f": {reason.replace('_', ' ')}" if reason else "")
    address = url_for("admin.refund", payment_intent=one.payment_intent) if one.payment_intent else None
    return _entry(one, text, one.amount, tags.refund(one), address)


def _warning(one: FraudWarning) -> dict[str, Any]:
    text = f"Fraud warning: {one.fraud_type.replace('_', ' ')}"
    return _entry(one, text, one.amount, tags.fraud_warning(one), url_for("admin.disputes"))


def _entry(
    row: Invoice | Payment | Dispute | Refund | FraudWarning,
    text: str,
    amount: int,
    tag: tags.Tag,
    href: str | None,
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
