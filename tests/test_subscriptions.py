"""Our row of a subscription is Stripe's object: every status, field and shape, and nothing that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import facts, leases, subscriptions
from billing.clock import now
from billing.config import Config
from billing.installation import public_id
from billing.models import Notice, PlanPrice, StripeEvent, Subscription, User
from billing.payloads import Object, first_item
from billing.standing import Standing
from billing.syncing import Cause, Outcome
from tests.admin_rows import audit_of
from tests.story import count
from tests.support import make_user
from tests.told import DAY, START, a_subscription, tell

# Whether each of Stripe's words lets its owner in, within the grace where a payment failed.
STATUSES = {
    "incomplete": False,
    "incomplete_expired": False,
    "trialing": True,
    "active": True,
    "past_due": True,
    "canceled": False,
    "unpaid": False,
    "paused": False,
}


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def row_of(session: Session, subscription: Object) -> Subscription:
    session.rollback()
    return session.query(Subscription).filter_by(stripe_id=subscription["id"]).one()


def standing(session: Session, user: User, config: Config) -> Standing:
    session.rollback()
    return facts.standing_of(session, user.id, config, now())


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def with_item(subscription: Object, **changes: Any) -> Object:
    """The subscription with another price, quantity or period on its item."""
    item = {**first_item(subscription), **changes}
    return {**subscription, "items": {**subscription["items"], "data": [item]}}


def priced(subscription: Object, **changes: Any) -> Object:
    return with_item(subscription, price={**first_item(subscription)["price"], **changes})


def test_the_table_of_this_module_names_every_status_that_is_known() -> None:
    assert set(STATUSES) == set(subscriptions.STATUSES)


def test_each_status_is_kept_in_stripes_own_word_and_gives_its_access(
    app: Flask, db_session: Session, config: Config, sign_in: Callable[[FlaskClient, User], None]
) -> None:
    kept, access, pages = {}, {}, {}
    for status in STATUSES:
        user = make_user(db_session, f"{status}@example.com", customer=f"cus_{status}")
        told = a_subscription(user, status=status)
        tell(db_session, told, clock=START + DAY)
        kept[status] = row_of(db_session, told).status
        access[status] = standing(db_session, user, config).access
        browser = app.test_client()
        sign_in(browser, user)
        pages[status] = browser.get("/billing").status_code
    assert kept == {status: status for status in STATUSES}
    assert access == STATUSES
    assert pages == dict.fromkeys(STATUSES, 200)
    assert audit_of(db_session, "subscription.unexpected_transition") == []


def test_a_status_that_stripe_invents_tomorrow_is_kept_shown_and_gives_no_access(
    db_session: Session,
    config: Config,
    client: FlaskClient,
    sign_in: Callable[[FlaskClient, User], None],
    alice: User,
) -> None:
    known, new = a_subscription(alice), a_subscription(alice, status="hibernating")
    tell(db_session, known)
    for told in ({**known, "status": "hibernating"}, new):
        tell(db_session, told)
        assert row_of(db_session, told).status == "hibernating"
    found = standing(db_session, alice, config)
    assert (found.code, found.access) == ("unknown", False)
    alerts = audit_of(db_session, "subscription.unexpected_transition")
    assert [(entry.alert, entry.before, entry.after) for entry in alerts] == [
        (True, {"value": "active"}, {"value": "hibernating"}),
        (True, {"value": None}, {"value": "hibernating"}),
    ]
    sign_in(client, alice)
    assert client.get("/billing").status_code == 200


def test_the_period_is_read_from_the_item_and_before_basil_from_the_subscription(
    db_session: Session, alice: User
) -> None:
    today = a_subscription(alice)
    tell(db_session, today)
    before_basil = with_item(a_subscription(alice), current_period_start=None, current_period_end=None)
    tell(
        db_session,
        {**before_basil, "current_period_start": START + DAY, "current_period_end": START + 31 * DAY},
    )
    periods = [
        (row.current_period_start, row.current_period_end)
        for row in (row_of(db_session, today), row_of(db_session, before_basil))
    ]
    assert periods == [
        (moment(START), moment(START + 30 * DAY)),
        (moment(START + DAY), moment(START + 31 * DAY)),
    ]


def test_both_of_stripes_ways_to_say_that_it_ends_are_one_date(
    db_session: Session, config: Config, alice: User
) -> None:
    told, end = a_subscription(alice), START + 30 * DAY
    endings: list[tuple[Object, int | None]] = [
        ({}, None),
        ({"cancel_at_period_end": True}, end),
        ({"cancel_at": START + 9 * DAY}, START + 9 * DAY),
        ({"cancel_at_period_end": True, "cancel_at": end}, end),
        ({}, None),
    ]
    for changes, ends in endings:
        tell(db_session, {**told, **changes})
        assert row_of(db_session, told).ends_at == (moment(ends) if ends else None)
        found = standing(db_session, alice, config)
        assert (found.code, found.access) == ("canceling" if ends else "active", True)


def test_payments_that_are_paused_are_not_a_status_and_are_seen_all_the_same(
    db_session: Session, config: Config, alice: User
) -> None:
    told = a_subscription(alice)
    pause = {"behavior": "void", "resumes_at": START + 20 * DAY}
    tell(db_session, {**told, "pause_collection": pause})
    row = row_of(db_session, told)
    assert (row.status, row.pause_collection) == ("active", pause)
    assert standing(db_session, alice, config).code == "collection_paused"
    tell(db_session, told)
    assert row_of(db_session, told).pause_collection is None
    assert standing(db_session, alice, config).code == "active"


def test_why_it_is_paused_is_kept(db_session: Session, config: Config, alice: User) -> None:
    reason = {"paused": {"subscription": {"type": "trial_end_without_payment_method"}}}
    told = a_subscription(alice, status="paused", status_details=reason)
    tell(db_session, told)
    assert row_of(db_session, told).status_reason == "trial_end_without_payment_method"
    assert standing(db_session, alice, config).code == "paused_trial"


def test_a_price_that_is_not_in_the_catalogue_is_kept_and_gives_no_access(
    db_session: Session, config: Config, alice: User
) -> None:
    told = priced(a_subscription(alice), id="price_of_somebody_else", metadata={})
    tell(db_session, told)
    row = row_of(db_session, told)
    assert (row.status, row.price_id, row.plan) == ("active", "price_of_somebody_else", None)
    found = standing(db_session, alice, config)
    assert (found.code, found.access) == ("unknown", False)


def test_the_catalogue_names_the_plan_and_an_archived_price_remembers_its_own(
    db_session: Session, alice: User
) -> None:
    line = {"lookup_key": "team.month.eur", "product_id": "prod_1", "amount": 7900, "currency": "eur"}
    db_session.add(PlanPrice(price_id="price_team", item="team", interval="month", **line))
    db_session.commit()
    listed = priced(a_subscription(alice), id="price_team", metadata={"plan": "an old name"})
    tell(db_session, {**listed, "status": "canceled"})
    archived = priced(a_subscription(alice), id="price_of_last_year", metadata={"plan": "pro"})
    tell(db_session, archived)
    assert [row_of(db_session, told).plan for told in (listed, archived)] == ["team", "pro"]


def test_a_subscription_without_an_item_or_price_is_kept_and_gives_no_access(
    db_session: Session, config: Config, alice: User
) -> None:
    told = a_subscription(alice, items={"object": "list", "data": [], "has_more": False})
    tell(db_session, told)
    assert row_of(db_session, told).plan is None
    assert standing(db_session, alice, config).access is False


VISA = {"type": "card", "card": {"brand": "visa", "last4": "4242"}}
AMEX = {"type": "card", "card": {"brand": "amex", "last4": "0005"}}
SEPA = {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}


def test_the_card_is_the_one_that_stripe_will_charge(db_session: Session, alice: User) -> None:
    told, shown = a_subscription(alice), []
    for own, customers in ((VISA, AMEX), (None, AMEX), (None, None), (SEPA, AMEX)):
        settings = {"invoice_settings": {"default_payment_method": customers}}
        customer = {**told["customer"], **settings}
        tell(db_session, {**told, "default_payment_method": own, "customer": customer})
        row = row_of(db_session, told)
        shown.append((row.card_brand, row.card_last4))
    assert shown == [("visa", "4242"), ("amex", "0005"), (None, None), ("sepa_debit", "3000")]


def test_what_is_not_ours_changes_nothing_and_says_so(
    db_session: Session, config: Config, alice: User
) -> None:
    told = a_subscription(alice)
    stranger = {**told["customer"], "id": "cus_stranger"}
    for theirs in ({"customer": stranger}, {"metadata": {"installation": "somebody else's"}}):
        outcome = tell(db_session, {**told, **theirs})
        assert outcome == Outcome(None, "not ours: no customer of this installation")
        assert (count(Subscription), count(Notice)) == (0, 0)
        assert standing(db_session, alice, config).access is False
    tell(db_session, {**told, "metadata": {"installation": public_id(db_session)}})
    assert count(Subscription) == 1


def test_a_write_commits_nothing_by_itself(app: Flask, db_session: Session, alice: User) -> None:
    """Who calls ``write`` marks the events in the same transaction: both are there, or neither."""
    told = a_subscription(alice)
    tell(db_session, told)
    event = db_session.query(StripeEvent).one()
    lease = leases.take(db_session, "cus_alice")
    assert lease is not None
    fetched = subscriptions.Fetched({**told, "status": "past_due"}, [], None)
    cause = Cause(event.event_id, lease.fence, public_id(db_session), now())
    subscriptions.write(db_session, fetched, cause)
    db_session.rollback()
    assert row_of(db_session, told).status == "active"
