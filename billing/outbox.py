"""Sending what is owed: a row leaves ``queued`` before SMTP is spoken to, so that no mail leaves twice.

queued → sending (committed) → sent. Trouble before the message was handed over: queued again, later. Lost
while it was handed over: unknown, never sent again by itself, shown to the admin. Refused for good:
suppressed, and where it was the mailbox that refused, so is what comes after it. No longer true, or not ours
to send (``senders``): obsolete.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from jinja2 import TemplateError
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing import audit, bounces, dunning, erasing, facts, mailer, readers, running, senders, still, voice
from billing.clock import database_now
from billing.config import Config
from billing.errors import MailFailed
from billing.models import Notice, User

log = logging.getLogger(__name__)

# Longer than a slow SMTP conversation, each of whose steps may take the mailer's 10 seconds.
LEASE = timedelta(seconds=180)
# A server that answers nobody must not hold the job until its time is up in the middle of a mail.
WORK_SECONDS = 15.0
PATIENCE = timedelta(hours=72)
# Mails about the account itself go to the address they were asked for; all others to the current one.
TO_THE_ADDRESS_GIVEN = frozenset(
    {
        "code", "exists", "reset", "pw_changed", "admin_alert", "admin_dispute", "admin_fraud_warning",
        "withdrawn", "email_code", "email_taken", "email_changed", "email_undone",
        "delete_asked", "delete_undone", "delete_stuck", "deleted",
    }
)  # fmt: skip

# Mails that also say where the person stands as they are written: all that are about somebody's plan.
OF_A_PLAN = dunning.DUNNING | {
    "dun5", "receipt", "recovered", "trial_end", "cancel_set", "kept", "ended", "second_ended",
    "trial_start", "changed", "renewal", "card_expiring",
}  # fmt: skip


# Made once (``people.OF_CUSTOMER``): every job asks for them.
DUE = (
    select(Notice)
    .where(Notice.state == "queued", Notice.next_attempt_at <= func.clock_timestamp())
    .order_by(Notice.next_attempt_at, Notice.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
# The sender died: it may or may not have left, and is not sent again.
GIVE_UP = text(
    "update notices set state = 'unknown', reason = 'the sender stopped while sending', lease_until = null,"
    ' secret = null, "to" = case when kind = :last then :nowhere else "to" end'
    " where state = 'sending' and lease_until < clock_timestamp() returning dedupe_key, user_id"
)


def send_due(session: Session, config: Config, *, limit: int = 50) -> int:
    """Send what is due, one at a time, for a while. Returns how many rows were handled."""
    _give_up_on_lost(session)
    handled, stop = 0, time.monotonic() + WORK_SECONDS
    while handled < limit and time.monotonic() < stop and (notice := _start_one(session)) is not None:
        _send(session, notice, config)
        handled += 1
    return handled


def _start_one(session: Session) -> Notice | None:
    notice: Notice | None
    while (notice := session.execute(DUE).scalar()) is not None:
        withheld = senders.withheld(notice.kind, running.config().billing_emails)
        if withheld:  # chosen since it was owed
            _end(session, notice, "obsolete", withheld)
        elif not still.still_true(session, notice):
            _end(session, notice, "obsolete", "no longer true")
        elif bounces.stops(session, notice.kind, _address(session, notice)):
            _end(session, notice, "suppressed", "not tried: the address refuses mail")
        else:
            notice.state, notice.lease_until = "sending", func.clock_timestamp() + LEASE
            notice.attempts += 1
            session.commit()
            return notice
    session.commit()
    return None


def _send(session: Session, notice: Notice, config: Config) -> None:
    try:
        stands = _stands(session, notice, config)
        message = mailer.compose(notice, _address(session, notice), config, stands, _zone(session, notice))
    except (TemplateError, LookupError, TypeError, ValueError) as problem:
        # Nothing has left. A mail that can't be written is our fault; it waits for the release that can.
        log.error("mail not written", exc_info=problem, extra={"kind": notice.kind, "notice": notice.id})
        _later(session, notice, f"not written: {type(problem).__name__}")
        return
    session.rollback()
    try:
        mailer.send(message, config)
    except MailFailed as problem:
        if problem.mailbox:
            bounces.refused(session, str(message["To"]))
        if problem.permanent or database_now(session) - notice.created_at > PATIENCE:
            _end(session, notice, "suppressed", str(problem))
        else:
            _later(session, notice, str(problem))
    except mailer.LOST as problem:
        _end(session, notice, "unknown", type(problem).__name__)
    else:
        if notice.kind in bounces.ASKED_FOR:
            bounces.taken(session, str(message["To"]))
        _end(session, notice, "sent", None)


def _stands(session: Session, notice: Notice, config: Config) -> Callable[[], str | None]:
    """Where the person stands as the mail is written, in the words of their billing page and the mail's language."""

    def sentence() -> str | None:
        if notice.kind not in OF_A_PLAN or notice.user_id is None:
            return None
        return voice.sentence(facts.standing_of(session, notice.user_id, config, database_now(session)))

    return sentence


def _address(session: Session, notice: Notice) -> str:
    if notice.kind in TO_THE_ADDRESS_GIVEN or notice.user_id is None:
        return notice.to
    return session.get_one(User, notice.user_id).email


def _zone(session: Session, notice: Notice) -> str | None:
    return readers.zone_of(session.get_one(User, notice.user_id)) if notice.user_id else None


def _later(session: Session, notice: Notice, reason: str) -> None:
    wait = min(30 * 2 ** min(notice.attempts, 9), 4 * 3600)
    notice.state, notice.lease_until, notice.reason = "queued", None, reason
    notice.next_attempt_at = func.clock_timestamp() + timedelta(seconds=wait)
    session.commit()


def _end(session: Session, notice: Notice, state: str, reason: str | None) -> None:
    notice.state, notice.reason, notice.lease_until, notice.secret = state, reason, None, None
    notice.sent_at = func.clock_timestamp() if state == "sent" else None
    if notice.kind == still.LAST:  # the one address that was left of somebody
        notice.to = erasing.nobody(notice.user_id or 0)
    if state in ("unknown", "suppressed"):
        audit.record(
            session,
            f"mail.{state}",
            actor="dunlin",
            user_id=notice.user_id,
            subject=notice.dedupe_key,
            alert=state == "unknown",
        )
    session.commit()
    log.info("mail", extra={"kind": notice.kind, "notice": notice.id, "state": state, "reason": reason})


def _give_up_on_lost(session: Session) -> None:
    for key, user_id in session.execute(GIVE_UP, {"last": still.LAST, "nowhere": erasing.NOWHERE}).all():
        audit.record(session, "mail.unknown", actor="dunlin", user_id=user_id, subject=key, alert=True)
    session.commit()
