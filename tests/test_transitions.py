"""From status to status: what Stripe can do, what it never should, and what is written down of either."""

from __future__ import annotations

from itertools import product

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing import facts
from billing.clock import now
from billing.config import Config
from billing.models import AuditEntry, Notice, StripeEvent, Subscription, User
from billing.payloads import Object, first_item
from billing.subscriptions import STATUSES
from tests.admin_rows import audit_of
from tests.story import count
from tests.support import make_user
from tests.told import START, a_subscription, tell

FINAL = ("canceled", "incomplete_expired")


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def row_of(session: Session, subscription: Object) -> Subscription:
    session.rollback()
    return session.query(Subscription).filter_by(stripe_id=subscription["id"]).one()


def alerts(session: Session, kind: str, subscription: Object) -> list[AuditEntry]:
    return [entry for entry in audit_of(session, kind) if entry.subject == subscription["id"]]


def possible(before: str, after: str) -> bool:
    """Nothing leaves a final status, nothing returns to incomplete, and only incomplete expires."""
    if before == after:
        return True
    if before in FINAL or after == "incomplete":
        return False
    return after != "incomplete_expired" or before == "incomplete"


def test_each_step_between_two_statuses_is_taken_refused_or_taken_with_an_alert(
    db_session: Session, alice: User
) -> None:
    expected, seen = {}, {}
    for before, after in product(STATUSES, STATUSES):
        told = a_subscription(alice, status=before)
        tell(db_session, told)
        tell(db_session, {**told, "status": after})
        unexpected = alerts(db_session, "subscription.unexpected_transition", told)
        left = alerts(db_session, "subscription.left_final_state", told)
        assert all(entry.alert for entry in (*unexpected, *left))
        seen[before, after] = (row_of(db_session, told).status, len(unexpected), len(left))
        stays = before in FINAL and after != before
        odd = not stays and not possible(before, after)
        expected[before, after] = (before if stays else after, int(odd), int(stays))
    assert seen == expected
    assert len([each for each in expected.values() if each[1:] == (0, 0)]) == 8 + 5 * 5 + 7


def test_a_step_that_stripe_should_never_make_is_kept_and_named_with_its_cause_once(
    db_session: Session, alice: User
) -> None:
    told = a_subscription(alice)
    tell(db_session, told)
    for _ in range(2):
        tell(db_session, {**told, "status": "incomplete"})
    [alert] = audit_of(db_session, "subscription.unexpected_transition")
    assert (alert.before, alert.after) == ({"value": "active"}, {"value": "incomplete"})
    [change] = [entry for entry in audit_of(db_session, "subscription.status") if entry.before]
    assert alert.cause_event_id == change.cause_event_id
    assert alert.user_id == alice.id


@pytest.mark.parametrize("final", FINAL)
def test_what_has_ended_stays_ended_whatever_is_told_of_it(
    db_session: Session, config: Config, alice: User, final: str
) -> None:
    told = a_subscription(alice, status=final, ended_at=START)
    tell(db_session, told)
    cause = row_of(db_session, told).cause_event_id
    outcome = tell(db_session, {**told, "status": "active", "ended_at": None})
    row = row_of(db_session, told)
    assert outcome.ignored == "a final status never changes"
    assert (row.status, row.ended_at is None, row.cause_event_id) == (final, False, cause)
    assert facts.standing_of(db_session, alice.id, config, now()).access is False
    [alert] = audit_of(db_session, "subscription.left_final_state")
    assert (alert.alert, alert.before, alert.after) == (True, {"value": final}, {"value": "active"})
    assert count(StripeEvent, event_id=alert.cause_event_id, state=StripeEvent.IGNORED) == 1


def test_the_details_of_what_has_ended_may_still_be_corrected(db_session: Session, alice: User) -> None:
    told = a_subscription(alice, status="canceled", ended_at=START)
    tell(db_session, told)
    reason = {"comment": None, "feedback": None, "reason": "payment_failed"}
    tell(db_session, {**told, "cancellation_details": reason})
    assert row_of(db_session, told).cancellation_reason == "payment_failed"
    assert count(AuditEntry, alert=True) == 0


def test_the_database_itself_refuses_what_no_code_may_do(db_session: Session, alice: User) -> None:
    told = a_subscription(alice, status="canceled")
    tell(db_session, told)
    refused = {"status = 'active'": "has ended and stays", "fetch_no = fetch_no - 1": "under a newer lease"}
    for change, words in refused.items():
        with pytest.raises(DBAPIError, match=words):
            db_session.execute(text(f"update subscriptions set {change}"))
        db_session.rollback()
    assert row_of(db_session, told).status == "canceled"


def test_a_change_is_written_down_with_what_it_was_what_it_is_and_its_cause(
    db_session: Session, alice: User
) -> None:
    told = a_subscription(alice)
    tell(db_session, told)
    item = {**first_item(told), "quantity": 3}
    tell(db_session, {**told, "items": {"data": [item]}, "cancel_at": START})
    tell(db_session, {**told, "items": {"data": [item]}, "cancel_at": START, "status": "past_due"})
    causes = list(
        db_session.execute(select(StripeEvent.event_id).order_by(StripeEvent.received_at)).scalars()
    )
    [first, change, status] = db_session.execute(select(AuditEntry).order_by(AuditEntry.id)).scalars()
    assert [entry.cause_event_id for entry in (first, change, status)] == causes
    assert (first.kind, first.before, (first.after or {})["status"]) == (
        "subscription.status",
        None,
        "active",
    )
    assert change.kind == "subscription.changed"
    assert change.before == {"quantity": 1, "cancel_at": None}
    assert change.after == {"quantity": 3, "cancel_at": row_of(db_session, told).cancel_at.isoformat()}
    failed = row_of(db_session, told).first_failed_at.isoformat()
    assert (status.kind, status.before, status.after) == (
        "subscription.status",
        {"status": "active", "first_failed_at": None},
        {"status": "past_due", "first_failed_at": failed},
    )
    assert {(entry.actor, entry.user_id, entry.subject) for entry in (first, change, status)} == {
        ("stripe", alice.id, told["id"])
    }


def test_hearing_again_what_is_known_writes_nothing_down(db_session: Session, alice: User) -> None:
    told = a_subscription(alice)
    for _ in range(3):
        tell(db_session, told)
    assert (count(AuditEntry), count(StripeEvent, state=StripeEvent.APPLIED)) == (1, 3)


def test_a_row_names_the_applied_event_that_it_stands_on_and_keeps_it_from_being_removed(
    db_session: Session, alice: User
) -> None:
    told = a_subscription(alice)
    for status in ("incomplete", "active"):
        tell(db_session, {**told, "status": status})
    newest = db_session.query(StripeEvent).order_by(StripeEvent.received_at.desc()).first()
    assert newest is not None
    assert (newest.event_id, newest.state) == (row_of(db_session, told).cause_event_id, StripeEvent.APPLIED)
    with pytest.raises(DBAPIError, match="foreign key"):
        db_session.query(StripeEvent).filter_by(event_id=row_of(db_session, told).cause_event_id).delete()


@pytest.fixture
def two(db_session: Session, alice: User) -> tuple[Object, Object]:
    """Two subscriptions that run at once; the second heard of three times. An admin is there to be told."""
    make_user(db_session, "admin@example.com", is_admin=True)
    first, second = a_subscription(alice), a_subscription(alice, created=START + 60)
    tell(db_session, first)
    for _ in range(3):
        tell(db_session, second)
    return first, second


def test_a_second_live_subscription_is_an_alert_and_one_mail_to_the_admin(
    db_session: Session, two: tuple[Object, Object]
) -> None:
    first, second = two
    [alert] = audit_of(db_session, "subscription.second")
    assert (alert.alert, alert.subject) == (True, second["id"])
    assert alert.before == {"value": first["id"]}
    [mail] = db_session.query(Notice).filter_by(kind="admin_alert")
    assert (mail.to, mail.facts["subject"]) == ("admin@example.com", second["id"])


def test_two_live_subscriptions_are_one_access_that_lasts_until_the_last_ends(
    db_session: Session, config: Config, alice: User, two: tuple[Object, Object]
) -> None:
    first, second = two
    assert count(Subscription, user_id=alice.id) == 2
    access = [facts.standing_of(db_session, alice.id, config, now()).access]
    for told in (second, first):
        tell(db_session, {**told, "status": "canceled", "ended_at": START})
        access.append(facts.standing_of(db_session, alice.id, config, now()).access)
    assert access == [True, True, False]
    assert len(audit_of(db_session, "subscription.second")) == 1


def test_a_plan_after_one_that_has_ended_is_no_second_one(db_session: Session, alice: User) -> None:
    make_user(db_session, "admin@example.com", is_admin=True)
    tell(db_session, a_subscription(alice, status="canceled"))
    tell(db_session, a_subscription(alice))
    assert audit_of(db_session, "subscription.second") == []
    assert count(Notice, kind="admin_alert") == 0
