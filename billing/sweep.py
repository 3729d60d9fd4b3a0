"""The sweep: each of Stripe's objects beside our row, and a look at those that differ.

What is compared is not written: the look fetches again, under the lease, and its event is the cause of every change.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from billing import (
    audit,
    comparing,
    inbox,
    jobs,
    mirrors,
    notices,
    people,
    registry,
    stripe_reads,
)
from billing.clock import now
from billing.comparing import GONE, STRAY, Finding
from billing.config import Config
from billing.installation import public_id
from billing.mirrors import KINDS, Kind
from billing.models import AuditEntry
from billing.payloads import ref
from billing.syncing import Cause

log = logging.getLogger(__name__)

ACTOR = "reconciler"
STRAY_KIND, VANISHED_KIND = "reconciler.stray", "reconciler.vanished"
# One row that Stripe doesn't know is a damaged row. Many are a wrong key or a wrong Stripe: then nothing is removed.
MOST_GONE = 5
RAISE = text(
    "insert into leases (name, token, until, fence)"
    " select stripe_customer_id, '', '-infinity', max(fetch_no) from subscriptions join users on users.id = user_id"
    " where stripe_customer_id is not null group by stripe_customer_id"
    " having max(fetch_no) > coalesce((select fence from leases where name = stripe_customer_id), 0)"
    " on conflict (name) do update set fence = greatest(leases.fence, excluded.fence) returning name"
)

# The same for one customer, whose row may name nobody that is theirs.
RAISE_ONE = text(
    "insert into leases (name, token, until, fence) values (:customer, '', '-infinity', :fence)"
    " on conflict (name) do update set fence = :fence where leases.fence < :fence returning name"
)


def repair(session: Session, config: Config, *, full: bool, customer: str | None = None) -> tuple[int, int]:
    """Compare, and look again at what differs. Returns how many objects were compared, and how many differed.

    ``customer``: theirs alone.
    """
    first, last = list(KINDS[:-2]), list(KINDS[-2:])
    _raise_fences(session)
    # Rows of nothing go first: else a second subscription would seem to run beside the real one.
    compared, found = _compared(session, first, full=full, customer=customer)
    looked = _look_at(session, config, sorted(found, key=lambda one: GONE not in one.differs))
    more, paid = _compared(session, last, full=full, customer=customer)
    looked += _look_at(session, config, paid)
    lost = [one for one in found + paid if STRAY in one.differs]
    given_back = [one for one in lost if _found_again(session, one)]
    if given_back:  # what they bought is somebody's now
        again = repair(session, config, full=full, customer=customer)
        return again[0], looked + again[1]
    for one in lost:
        _tell(session, STRAY_KIND, "Bought by a customer that this database does not know", one.stripe_id)
    return compared + more, looked


def findings(session: Session, *, full: bool, customer: str | None = None) -> Iterator[Finding]:
    """What a sweep would look at again."""
    for kind in KINDS:
        for batch in comparing.differing(session, kind, full=full, customer=customer):
            yield from batch.found


def _raise_fences(session: Session) -> None:
    """No row may stand above its customer's lease: every write of it would be refused, for ever."""
    for customer in session.execute(RAISE).scalars().all():
        _tell_raised(session, customer)
    session.commit()


def _raise_fence(session: Session, finding: Finding) -> None:
    """A row that names another person stands under a lease of which ``RAISE`` could not know: Stripe says whose."""
    if finding.kind == mirrors.SUBSCRIPTIONS.name and finding.customer and finding.seen:
        asked = {"customer": finding.customer, "fence": finding.seen}
        if session.execute(RAISE_ONE, asked).scalar():
            _tell_raised(session, finding.customer)
    session.commit()


def _tell_raised(session: Session, customer: str) -> None:
    audit.record(session, "lease.raised", actor=ACTOR, subject=customer, alert=True)


def _compared(
    session: Session, kinds: list[Kind], *, full: bool, customer: str | None
) -> tuple[int, list[Finding]]:
    batches = [
        batch for kind in kinds for batch in comparing.differing(session, kind, full=full, customer=customer)
    ]
    return sum(batch.compared for batch in batches), [one for batch in batches for one in batch.found]


def _look_at(session: Session, config: Config, found: list[Finding]) -> int:
    gone = sorted(one.stripe_id for one in found if GONE in one.differs)
    if len(gone) > MOST_GONE:
        what = "Stripe does not know many of our rows; none was removed"
        _tell(session, VANISHED_KIND, what, gone[0])
        found = [one for one in found if GONE not in one.differs]
    return sum(_look(session, config, one) for one in found if STRAY not in one.differs)


def _look(session: Session, config: Config, finding: Finding) -> bool:
    if comparing.changed_since(session, finding):
        session.rollback()
        return False
    log.info("differs", extra={"subject": finding.stripe_id, "reason": ", ".join(finding.differs)})
    if ref(finding.stripe_id) is None:  # no event can be about it
        mirrors.forget(session, finding.stripe_id, Cause("", 0, public_id(session), now(), actor=ACTOR))
        session.commit()
        return True
    _raise_fence(session, finding)
    event_id = ask(session, finding, config, ACTOR)
    session.commit()
    jobs.apply_one(session, event_id)
    return True


def ask(session: Session, finding: Finding, config: Config, actor: str) -> str:
    """Put a look at the object into the inbox. Returns the event's id. The caller commits."""
    return inbox.ask_for_refresh(
        session,
        finding.stripe_id,
        finding.customer,
        livemode=config.livemode,
        actor=actor,
        kind=finding.kind,
        subscription=finding.subscription,
    )


def _found_again(session: Session, finding: Finding) -> bool:
    """Give a lost customer back to the person that it was made for, where that is beyond doubt."""
    session.rollback()
    customer = stripe_reads.get_customer(finding.customer or "")
    user = people.lost_owner(session, customer, public_id(session))
    if user is None:
        return False
    moved = people.bind_customer(session, user.id, customer["id"], customer["email"])
    if moved is not None:  # the same address in other letters
        registry.record(session, moved)
    audit.record(
        session,
        "customer.found_again",
        actor=ACTOR,
        user_id=user.id,
        subject=customer["id"],
        before={"stripe_customer_id": None},
        after={"stripe_customer_id": customer["id"]},
    )
    session.commit()
    return True


def _tell(session: Session, kind: str, what: str, subject: str) -> None:
    """Alert once for each subject: it will be found again at every pass until a person has acted."""
    told = exists().where(AuditEntry.kind == kind, AuditEntry.subject == subject)
    if not session.execute(select(told)).scalar():
        audit.record(session, kind, actor=ACTOR, subject=subject, alert=True)
        notices.admin_alert(session, f"{kind}:{subject}", what, subject)
    session.commit()
