"""What the clock owes about unpaid invoices: the stages that come by time, and the end of the days of grace.

By the database's clock, or by Stripe's present moment of the subscription's test clock. The keys are those of
``dunning``: whoever comes first, an event or the clock, owes a stage, and nobody owes it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from billing import dunning, ladder, readers
from billing.models import Invoice, Notice, Subscription, User
from billing.standing import LIVE

PRESENT = func.coalesce(Subscription.clock_time, func.now())


def due(session: Session) -> list[str]:
    """The invoices whose next stage has come by itself, by their ids at Stripe, the oldest first. It only reads."""
    found = []
    for invoice, subscription, _, present in session.execute(_owing().order_by(Invoice.id)).all():
        number = ladder.by_time(invoice, subscription, present)
        if number is not None and not dunning.of_a_change(invoice, subscription):
            found.append((invoice.stripe_id, number))
    wanted = {key: name for name, number in found for key in dunning.keys(name, number)}
    asked = select(Notice.dedupe_key).where(Notice.dedupe_key.in_(wanted))
    told = {wanted[key] for key in session.execute(asked).scalars()} if wanted else set()
    return [name for name, _ in found if name not in told]


def owe(session: Session, stripe_id: str) -> None:
    """Owe the notice of the stage that this invoice is at, if it is still so. The caller commits."""
    locked = _owing().where(Invoice.stripe_id == stripe_id).with_for_update(of=Invoice, skip_locked=True)
    found = session.execute(locked.execution_options(populate_existing=True)).first()
    if found is None:
        return
    invoice, subscription, user, present = found
    number = ladder.by_time(invoice, subscription, present)
    with readers.speaking_to(user):
        if number == ladder.STOPPED:
            dunning.tell_of_the_end(
                session, user, subscription, invoice, ladder.grace_end(invoice, subscription)
            )
        elif number is not None and number < ladder.STOPPED:
            dunning.tell(session, user, invoice, subscription, number, present)


def of_plans(found: Select[*tuple[Any, ...]], statuses: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Of the invoices that are asked for, those that are owed after a failed try, or were sent and are late; of plans
    of these statuses. Not those whose payment is under way."""
    failed = Invoice.first_failed_at.is_not(None)
    late = and_(Invoice.due_date <= PRESENT, Subscription.status == "past_due")
    return found.join(Subscription, Subscription.stripe_id == Invoice.subscription).where(
        Invoice.status == "open",
        Invoice.processing.is_(False),
        Subscription.status.in_(statuses),
        or_(failed, late),
    )


def _owing() -> Select[*tuple[Any, ...]]:
    """What is owed while Stripe has not given the plan up, with whose it is and Stripe's present moment."""
    found = select(Invoice, Subscription, User, PRESENT).join(User, User.id == Invoice.user_id)
    return of_plans(found, (*LIVE, "past_due"))
