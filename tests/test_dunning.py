"""Which mail a state owes: by the invoice's attempts, each once, and only as long as it is true."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jinja2 import StrictUndefined
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing import (
    accounts,
    addresses,
    ahead,
    breaks,
    deletions,
    exports,
    fraud_warnings,
    ladder,
    mailer,
    notices,
    outbox,
    payments,
    refunds,
    reminders,
    withdrawals,
)
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import AuthToken, CheckoutSession, Invoice, Notice, Subscription, User
from billing.payloads import Object
from billing.syncing import Cause
from local.mailsink import MailSink
from tests.admin_rows import stripe_event
from tests.support import make_user
from tests.told import DAY, START, a_subscription, an_invoice, owing, tell

TEMPLATES = Path(__file__).parent.parent / "templates" / "mail"
CUSTOMER = "cus_alice"


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer=CUSTOMER)


@pytest.fixture
def subscription(db_session: Session, alice: User) -> Object:
    """Alice's plan, known and running."""
    found = a_subscription(alice)
    tell(db_session, found)
    return found


def past_due(subscription: Object, **changes: Any) -> Object:
    return {**subscription, "status": "past_due", **changes}


def owed(session: Session) -> list[tuple[str, str]]:
    """Every mail as (kind, state), in the order in which they were queued."""
    session.rollback()
    rows = session.execute(select(Notice.kind, Notice.state).order_by(Notice.id)).all()
    return [(kind, state) for kind, state in rows]


def send(session: Session, config: Config) -> None:
    outbox.send_due(session, config)


ATTEMPTS = [(1, "dun1"), (2, "dun2"), (3, "dun3"), (4, "dun3"), (8, "dun3")]


@pytest.mark.parametrize(("attempts", "kind"), ATTEMPTS)
def test_the_number_of_failed_attempts_decides_the_mail(
    db_session: Session, subscription: Object, attempts: int, kind: str
) -> None:
    tell(db_session, past_due(subscription), owing(subscription, attempts))
    assert owed(db_session) == [(kind, "queued")]


def test_a_payment_that_waits_for_the_bank_asks_for_the_confirmation_instead(
    db_session: Session, subscription: Object
) -> None:
    waiting = owing(subscription, 0, intent="requires_action", next_payment_attempt=None)
    tell(db_session, past_due(subscription), waiting)
    failed = {**waiting, "attempt_count": 1}
    tell(db_session, past_due(subscription), failed)
    assert owed(db_session) == [("action_required", "queued")]


def test_each_mail_of_a_whole_ladder_leaves_once_however_often_it_is_told(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    invoice = owing(subscription, 1)
    for attempts in (1, 1, 2, 2, 2, 3, 3, 4, 4):
        tell(db_session, past_due(subscription), {**invoice, "attempt_count": attempts})
        send(db_session, config)
    gone = {**past_due(subscription), "status": "canceled", "ended_at": START + 11 * DAY,
            "latest_invoice": invoice["id"],
            "cancellation_details": {"reason": "payment_failed"}}  # fmt: skip
    for _ in range(2):
        tell(db_session, gone, {**invoice, "attempt_count": 4})
        send(db_session, config)
    assert [kind for kind, _ in owed(db_session)] == ["dun1", "dun2", "dun3", "dun5"]
    assert len(mails.messages) == 4
    assert len({message.subject for message in mails.messages}) == 4


def test_a_jump_of_attempts_sends_the_mail_of_where_it_stands_and_none_for_the_past(
    db_session: Session, subscription: Object
) -> None:
    invoice = owing(subscription, 3)
    tell(db_session, past_due(subscription), invoice)
    tell(db_session, past_due(subscription), {**invoice, "attempt_count": 4})
    assert owed(db_session) == [("dun3", "queued")]


def test_workers_that_are_told_at_once_owe_one_mail(
    app: Flask, db_session: Session, subscription: Object
) -> None:
    invoice, start = owing(subscription, 1), threading.Barrier(6)

    def work() -> None:
        with app.app_context():
            start.wait(30)
            tell(db.session(), past_due(subscription), invoice)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert owed(db_session) == [("dun1", "queued")]


def test_paid_before_the_mail_left_the_bad_news_stays_here_and_a_receipt_goes(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    invoice = owing(subscription, 1)
    tell(db_session, past_due(subscription), invoice)
    tell(db_session, subscription, an_invoice(subscription, id=invoice["id"]))
    send(db_session, config)
    assert owed(db_session) == [("dun1", "obsolete"), ("receipt", "sent")]
    assert [message.subject.split(" for")[0] for message in mails.messages] == ["[Test] Receipt"]


def test_paid_after_the_bad_news_the_good_news_is_that_it_is_sorted(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    invoice = owing(subscription, 1)
    tell(db_session, past_due(subscription), invoice)
    send(db_session, config)
    for _ in range(2):
        tell(db_session, subscription, an_invoice(subscription, id=invoice["id"]))
        send(db_session, config)
    assert owed(db_session) == [("dun1", "sent"), ("recovered", "sent")]
    assert "You have full access to Pro as before." in mails.messages[-1].text


def test_sorted_promises_access_only_where_the_plan_runs_again(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    invoice = owing(subscription, 1)
    tell(db_session, past_due(subscription), invoice)
    send(db_session, config)
    tell(db_session, past_due(subscription), an_invoice(subscription, id=invoice["id"]))
    send(db_session, config)
    assert "access" not in mails.messages[-1].text


def test_a_reminder_overtakes_a_first_notice_that_never_left(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    invoice = owing(subscription, 1)
    tell(db_session, past_due(subscription), invoice)
    tell(db_session, past_due(subscription), {**invoice, "attempt_count": 2})
    send(db_session, config)
    assert owed(db_session) == [("dun1", "obsolete"), ("dun2", "sent")]


def test_a_plan_that_came_back_does_not_hear_that_it_has_stopped(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    tell(db_session, {**subscription, "status": "unpaid"}, owing(subscription, 4))
    assert ("dun5", "queued") in owed(db_session)
    tell(db_session, subscription)
    send(db_session, config)
    assert ("dun5", "obsolete") in owed(db_session)


def test_a_plan_that_ends_unpaid_twice_over_is_told_once(db_session: Session, subscription: Object) -> None:
    stopped = {**subscription, "status": "unpaid", "latest_invoice": "in_last"}
    tell(db_session, stopped)
    gone = {"status": "canceled", "ended_at": START, "cancellation_details": {"reason": "payment_failed"}}
    tell(db_session, {**stopped, **gone})
    assert owed(db_session) == [("dun5", "queued")]


def test_canceled_then_kept_before_the_mail_left_says_only_what_is_so(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    ending = {**subscription, "cancel_at_period_end": True, "cancel_at": START + 30 * DAY}
    tell(db_session, ending)
    tell(db_session, subscription)
    send(db_session, config)
    assert owed(db_session) == [("cancel_set", "obsolete"), ("kept", "sent")]


@pytest.mark.parametrize(
    "change", [{"cancel_at_period_end": True}, {"cancel_at": START + 30 * DAY}], ids=["period end", "date"]
)
def test_both_of_stripes_ways_to_end_a_plan_are_told_with_the_day(
    db_session: Session, config: Config, mails: MailSink, subscription: Object, change: Object
) -> None:
    for _ in range(2):
        tell(db_session, {**subscription, **change})
    send(db_session, config)
    assert owed(db_session) == [("cancel_set", "sent")]
    assert mails.messages[0].subject == "[Test] Pro will end on 18 December 2026"


def test_a_trial_that_is_about_to_be_charged_is_announced_but_not_one_that_was_canceled(
    db_session: Session, alice: User, config: Config, mails: MailSink
) -> None:
    trial = {**a_subscription(alice), "status": "trialing", "trial_end": START + 14 * DAY}
    heard = ("customer.subscription.trial_will_end",)
    tell(db_session, trial, types=heard)
    tell(db_session, trial, types=heard)
    assert owed(db_session) == [("trial_end", "queued")]
    ending = {**trial, "cancel_at_period_end": True}
    tell(db_session, ending, types=heard)
    send(db_session, config)
    assert ("trial_end", "obsolete") in owed(db_session)


def test_a_trial_that_is_set_to_end_hears_of_no_first_payment(db_session: Session, alice: User) -> None:
    trial = {**a_subscription(alice), "status": "trialing", "trial_end": START, "cancel_at": START}
    tell(db_session, trial, types=("customer.subscription.trial_will_end",))
    assert owed(db_session) == []


def test_a_first_payment_that_fails_is_the_pages_matter_not_a_mails(
    db_session: Session, subscription: Object
) -> None:
    first = {**subscription, "id": "sub_first", "status": "incomplete"}
    tell(db_session, first, owing(first, 1, billing_reason="subscription_create"))
    assert owed(db_session) == []


def test_a_bank_debit_that_comes_back_is_told_by_mail_without_days_of_grace(
    db_session: Session, subscription: Object
) -> None:
    behind = {**subscription, "status": "past_due"}
    tell(db_session, behind, owing(behind, 1, billing_reason="subscription_create"))
    assert owed(db_session) == [("dun1", "queued")]
    [notice] = db_session.query(Notice)
    assert (notice.facts["access"], notice.facts["access_until"]) == (False, None)


def test_nobody_gets_a_receipt_for_nothing_or_for_last_year(
    db_session: Session, subscription: Object
) -> None:
    long_ago = int((now() - timedelta(days=4)).timestamp())
    tell(db_session, subscription, an_invoice(subscription, total=0, amount_due=0, amount_paid=0))
    tell(db_session, subscription, an_invoice(subscription, status_transitions={"paid_at": long_ago}))
    assert owed(db_session) == []


def test_grace_starts_at_stripes_first_try_and_no_later_try_or_late_news_moves_it(
    db_session: Session, alice: User, subscription: Object
) -> None:
    first = datetime.fromtimestamp(START + 3600, UTC)
    invoice = owing(subscription, 1)
    for attempts in (1, 2, 3):
        tell(
            db_session,
            past_due(subscription),
            {**invoice, "attempt_count": attempts},
            clock=START + attempts * DAY,
        )
        row = db_session.execute(select(Subscription)).scalar_one()
        found = db_session.execute(select(Invoice)).scalar_one()
        assert (row.first_failed_at, found.first_failed_at) == (first, first)
        assert ladder.grace_end(found, row) == first + timedelta(days=14)
    tell(db_session, subscription, an_invoice(subscription, id=invoice["id"]))
    assert db_session.execute(select(Subscription.first_failed_at)).scalar_one() is None


def test_a_later_invoice_promises_no_access_that_an_older_debt_has_ended(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    old, new = owing(subscription, 1), owing(subscription, 1, created=START + 30 * DAY)
    new["status_transitions"] = {"finalized_at": START + 30 * DAY, "paid_at": None}
    tell(db_session, past_due(subscription), old, clock=START + DAY)
    tell(db_session, past_due(subscription), new, clock=START + 30 * DAY)
    send(db_session, config)
    first, second = (message.text for message in mails.messages)
    assert "You keep full access until 2 December 2026." in first
    assert "You keep" not in second
    assert "Your access is on hold until it is paid." in second


def test_a_receipt_names_no_next_payment_where_none_will_come(
    db_session: Session, config: Config, mails: MailSink, subscription: Object
) -> None:
    tell(db_session, subscription, an_invoice(subscription))
    tell(db_session, {**subscription, "cancel_at_period_end": True}, an_invoice(subscription))
    send(db_session, config)
    receipts = [message.text for message in mails.messages if "Receipt" in message.subject]
    assert ["Next payment" in text for text in receipts] == [True, False]


def test_ending_kept_and_ending_again_on_the_same_day_is_told_each_time(
    db_session: Session, subscription: Object
) -> None:
    for asked in (START + DAY, START + 2 * DAY):
        tell(db_session, {**subscription, "cancel_at_period_end": True, "canceled_at": asked})
        tell(db_session, subscription)
    assert [kind for kind, _ in owed(db_session)] == ["cancel_set", "kept", "cancel_set", "kept"]


def test_a_mail_goes_to_the_address_that_the_person_has_now(
    db_session: Session, config: Config, mails: MailSink, alice: User, subscription: Object
) -> None:
    tell(db_session, past_due(subscription), owing(subscription, 1))
    alice.email = "alice@new.example.com"
    db_session.commit()
    send(db_session, config)
    assert [message.recipients for message in mails.messages] == [("alice@new.example.com",)]


def every_kind(session: Session, config: Config, alice: User) -> None:
    """Owe each mail there is, by the code that owes it."""
    user, plan = alice, a_subscription(alice)
    invoice = owing(plan, 1)
    tell(session, plan, an_invoice(plan))
    for attempts in (1, 2, 3):
        tell(session, past_due(plan), {**invoice, "attempt_count": attempts})
    session.execute(update(Notice).where(Notice.kind == "dun1").values(state="sent"))
    waiting = owing(plan, 0, intent="requires_action", next_payment_attempt=None)
    tell(session, plan, an_invoice(plan, id=invoice["id"]), waiting)
    tell(session, {**plan, "cancel_at_period_end": True})
    tell(session, plan)
    other = a_subscription(alice)
    tell(session, other)
    near = owing(other, 1)
    tell(session, past_due(other), near, clock=START + 13 * DAY)
    reminders.owe(session, near["id"])
    tell(session, {**other, "status": "unpaid"})
    second = a_subscription(alice)
    tell(session, second)
    tell(session, {**second, "status": "canceled", "ended_at": START})
    tell(session, {**plan, "status": "canceled", "ended_at": START})
    trial = {**a_subscription(alice), "status": "trialing", "trial_end": START}
    tell(session, trial, types=("customer.subscription.trial_will_end",), clock=START)
    moved_and_long(session, config, user)
    cause = Cause(stripe_event(session).event_id, 1, "", now())
    back = {
        "id": "re_1", "amount": 500, "currency": "eur", "created": START, "status": "succeeded",
    }  # fmt: skip
    charge = {"amount_refunded": 500, "refunds": {"data": [back]}}
    payments.write_intent(session, {
        "id": "pi_1", "customer": CUSTOMER, "metadata": {"plan": "credits-100"}, "status": "succeeded",
        "amount": 1500, "currency": "eur", "created": START, "latest_charge": charge,
    }, cause)  # fmt: skip
    payments.write_dispute(session, {
        "id": "du_1", "charge": {"customer": CUSTOMER}, "status": "needs_response", "reason": "fraudulent",
        "amount": 2900, "currency": "eur", "created": START, "evidence_details": {"due_by": START + 7 * DAY},
    }, cause)  # fmt: skip
    session.add(CheckoutSession(
        user_id=user.id, mode="payment", item="credits-100", price_id="p", status="complete", payment_intent="pi_2",
    ))  # fmt: skip
    payments.write_intent(session, {
        "id": "pi_2", "customer": CUSTOMER, "metadata": {"plan": "credits-100"}, "status": "requires_payment_method",
        "amount": 1500, "currency": "eur", "created": START, "latest_charge": None,
    }, cause)  # fmt: skip
    bounced = {"id": "re_1", "status": "failed", "amount": 500, "currency": "eur", "created": START}
    refunds.write(session, user, {"latest_charge": {"refunds": {"data": [bounced]}}}, 0, cause)
    fraud_warnings.write(session, {
        "id": "issfr_1", "actionable": True, "fraud_type": "misc", "created": START, "payment_intent": "pi_1",
        "charge": {"id": "ch_1", "customer": CUSTOMER, "amount": 1500, "currency": "eur"},
    }, cause)  # fmt: skip
    accounts.start_sign_up(session, "dora@example.com", "three warm words", None, config.secret_key)
    token = session.execute(select(AuthToken).order_by(AuthToken.id.desc()).limit(1)).scalar_one()
    code = session.execute(select(Notice.secret).where(Notice.kind == "code")).scalar_one()
    accounts.start_sign_up(session, user.email, "three warm words", None, config.secret_key)
    accounts.finish_sign_up(session, token.id, code or "", config.secret_key)
    accounts.start_reset(session, user.email)
    accounts.set_password(session, user, "four warm words here")
    moved_and_exported(session, user, config)
    resting_and_withdrawn(session, user, cause)
    leaving_for_good(session, user)
    session.commit()


def leaving_for_good(session: Session, user: User) -> None:
    """Asked for and taken back; asked for again, stuck, and done."""
    nothing = deletions.AtStripe(gone=True, living=[], open=[])
    for kind in ("delete_undone", "delete_stuck"):
        deletions.ask(session, user.id, nothing)
        asked = deletions.of(session, user.id)
        assert asked is not None
        if kind == "delete_undone":
            deletions.undo(session, user.id)
        else:
            deletions.tell(session, user, asked, kind)
            deletions.say_goodbye(session, user, asked, user.locale, user.email)


def moved_and_long(session: Session, config: Config, user: User) -> None:
    """Another plan; then a year that is nearly over, and with it the card."""
    today = int(now().timestamp())
    long = a_subscription(user)
    tell(session, long)
    [item] = long["items"]["data"]
    year = {"current_period_start": today - 360 * DAY, "current_period_end": today + 5 * DAY}
    team = {**item["price"], "id": "price_team", "unit_amount": 4900, "metadata": {"plan": "team"}}
    tell(session, {**long, "items": {"data": [{**item, **year, "price": team}]}})
    row = session.execute(select(Subscription).where(Subscription.stripe_id == long["id"])).scalar_one()
    row.card_expires_at = now()
    session.commit()
    ahead.owe_what_is_near(session, config)


def resting_and_withdrawn(session: Session, user: User, cause: Cause) -> None:
    row = session.execute(select(Subscription).order_by(Subscription.id.desc()).limit(1)).scalar_one()
    row.status, row.status_reason = "paused", "pause_requested"
    row.resumes_at = now() + timedelta(days=3)
    breaks.written(session, user, row, {"status": "active"}, cause)
    session.flush()
    breaks.owe_what_is_near(session)
    asked = {"status": "paused", "status_reason": "pause_requested"}
    row.status, row.status_reason = "active", None
    breaks.written(session, user, row, asked, cause)
    withdrawals.make(session, row, user, "Alice Ahrens", user.email)
    notices.owe(session, "withdraw_link", "withdraw_link:1", user.email, {}, user_id=user.id, secret="x")


@pytest.mark.alone
def test_every_mail_is_written_with_the_facts_that_it_is_really_given(
    app: Flask, db_session: Session, config: Config, alice: User
) -> None:
    make_user(db_session, "admin@example.com", is_admin=True)
    every_kind(db_session, config, alice)
    app.jinja_env.undefined = StrictUndefined
    notices = db_session.execute(select(Notice).order_by(Notice.id)).scalars().all()
    db_session.expunge_all()
    db_session.rollback()  # no transaction waits while they are written
    assert {one.kind for one in notices} == {path.name for path in TEMPLATES.iterdir() if path.is_dir()}
    for notice in notices:
        message = mailer.compose(notice, notice.to, config)
        subject, text = str(message["Subject"]), part(message, "plain")
        assert subject.startswith("[Test] ")
        for said in (subject, text, part(message, "html")):
            assert not re.search(r"None|Undefined|\{[{%]", said), (notice.kind, said)
        assert text.strip().splitlines()[-1].startswith(config.public_url)


def test_no_two_mails_have_the_same_message_id(db_session: Session, config: Config, alice: User) -> None:
    every_kind(db_session, config, alice)
    ids = db_session.execute(select(func.count(), func.count(Notice.message_id.distinct()))).one()
    assert ids[0] == ids[1] > 15


def moved_and_exported(session: Session, user: User, config: Config) -> None:
    """Owe the mails of an address that became another one and was put back, and of a copy of the data."""
    addresses.ask(session, user, "erin@example.com", config.secret_key)
    addresses.ask(session, user, "dora@example.com", config.secret_key)
    addresses.ask(session, user, "alma@example.com", config.secret_key)
    wanted = select(Notice.secret).where(Notice.kind == "email_code").order_by(Notice.id.desc()).limit(1)
    code, key = session.execute(wanted).scalar_one() or "", config.secret_key
    assert addresses.confirm(session, user, code, key, keep_session=0, user_agent="")
    links = select(Notice.secret).where(Notice.kind == "email_changed", Notice.secret.is_not(None))
    link = accounts.open_link(session, "undo", session.execute(links).scalar_one() or "")
    assert link is not None
    addresses.undo(session, link)
    exports.ask(session, user.id)
    session.commit()
    assert exports.make_due(session) == 1


def part(message: Any, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())
