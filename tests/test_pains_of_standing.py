"""What people and sellers suffer elsewhere of a standing that is not what it seems, and not here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import declines, facts, language, refresh, voice
from billing.clock import now
from billing.config import Config
from billing.models import Subscription, User
from billing.payloads import Object
from billing.standing import Facts, Policy, Standing, standing
from billing.voice import Action, Voice
from tests.conftest import make_config
from tests.support import make_user, sign_in
from tests.test_standing import DECLINE_CODES, PRO, error_codes
from tests.told import DAY, START, a_subscription, an_invoice, owing, tell
from tests.watching import Lines


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def standing_of(session: Session, user: User, config: Config) -> Standing:
    session.rollback()
    return facts.standing_of(session, user.id, config, now())


def said(found: Standing) -> Voice:
    return voice.speak(found, product=Action("Go", "/app"), contact="mailto:help@example.com")


def setting(config: Config, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(config, name, value)


# 9: locked out on the first decline, or let in free for ever.


def test_nobody_is_locked_out_by_a_first_decline_and_everybody_reads_until_when_and_how_to_mend_it(
    client: FlaskClient, db_session: Session, alice: User, config: Config
) -> None:
    plan = a_subscription(alice)
    tell(db_session, plan)
    bill = owing(plan, 1, status_transitions={"finalized_at": START, "paid_at": None})
    tell(db_session, {**plan, "status": "past_due"}, bill, clock=START + 3600)
    found = standing_of(db_session, alice, config)
    assert (found.code, found.access) == ("past_due", True)
    sign_in(client, alice)
    page = client.get("/billing").text
    for words in ("€29.00 was due on 18 November 2026", "until 2 December 2026", "Update card"):
        assert words in page, words
    assert f'action="/invoices/{bill["id"]}/open"' in page


def test_nobody_gets_free_months_by_failing_again_and_again(
    db_session: Session, alice: User, config: Config
) -> None:
    plan = a_subscription(alice)
    bill = owing(plan, 1, status_transitions={"finalized_at": START, "paid_at": None})
    ends, open_ = set(), []
    for day, attempts in ((1, 1), (5, 2), (13, 3), (14, 4), (40, 8)):
        tell(
            db_session,
            {**plan, "status": "past_due"},
            {**bill, "attempt_count": attempts},
            clock=START + day * DAY,
        )
        found = standing_of(db_session, alice, config)
        ends.add(found.grace_end)
        open_.append(found.access)
    assert ends == {datetime.fromtimestamp(START, UTC) + timedelta(days=14)}
    assert open_ == [True, True, True, False, False]


# 22: pause_collection keeps the status active, and months go by unpaid.


@pytest.mark.parametrize("behavior", ["void", "mark_uncollectible", "keep_as_draft", "of_tomorrow"])
@pytest.mark.parametrize("gives_access", [True, False])
@pytest.mark.parametrize("ending", [True, False])
def test_paused_payments_give_no_free_months_unseen(
    db_session: Session, alice: User, config: Config, behavior: str, gives_access: bool, ending: bool
) -> None:
    setting(config, access_while_collection_paused=gives_access)
    pause = {"behavior": behavior, "resumes_at": START + 60 * DAY}
    tell(
        db_session,
        a_subscription(alice, pause_collection=pause, cancel_at_period_end=ending),
        clock=START + DAY,
    )
    found = standing_of(db_session, alice, config)
    assert found.access is gives_access, "the status is active, and the policy decides all the same"
    assert found.code == ("canceling" if ending and gives_access else "collection_paused"), (
        "never a paused status"
    )
    words = said(found)
    if found.code == "collection_paused":
        assert words.tag == "Payments paused"
        assert ("You have access" in words.body) is gives_access
        assert words.primary.label == ("Go" if gives_access else "Contact us")
    assert any(rule.rule == "payment collection is paused" and behavior in rule.value for rule in found.why)


# What else is decided by a setting.


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("status", ["active", "incomplete"])
def test_a_first_bank_debit_opens_nothing_before_it_has_arrived_unless_the_operator_says_so(
    db_session: Session, alice: User, config: Config, allowed: bool, status: str
) -> None:
    setting(config, access_while_processing=allowed)
    plan = a_subscription(alice, status=status)
    first = an_invoice(
        plan, status="open", intent="processing", billing_reason="subscription_create", attempt_count=0
    )
    tell(db_session, plan, first)
    found = standing_of(db_session, alice, config)
    assert (found.code, found.access) == ("first_confirming", allowed)
    body = said(found).body
    assert "Bank payments can take up to 14 working days. We’ll email you." in body
    assert ("You have access meanwhile." in body) is allowed
    tell(db_session, {**plan, "status": "active"}, {**an_invoice(plan), "id": first["id"]})
    assert standing_of(db_session, alice, config).code == "active"


@pytest.mark.parametrize(
    ("policy", "facts_", "code", "access"),
    [
        (Policy(), replace(PRO, disputed="€29.00"), "disputed", True),
        (Policy(hold_while_disputed=True), replace(PRO, disputed="€29.00"), "disputed_hold", False),
        (Policy(), replace(PRO, status="paused", status_reason="pause_requested"), "paused_asked", False),
        (
            Policy(access_while_paused=True),
            replace(PRO, status="paused", status_reason="pause_requested"),
            "paused_asked",
            True,
        ),
        (Policy(fail_open=timedelta(hours=1)), replace(PRO, unreachable=True), "active", False),
    ],
)
def test_each_policy_decides_what_it_is_about(policy: Policy, facts_: Facts, code: str, access: bool) -> None:
    fetched = replace(facts_, fetched_at=datetime(2026, 11, 24, 9, tzinfo=UTC))
    found = standing(fetched, policy, datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert (found.code, found.access) == (code, access)


def test_the_policy_is_what_the_settings_say() -> None:
    url = "postgresql://127.0.0.1:1/none"
    assert Policy.of(make_config(url)) == Policy(), "the defaults of both are the same"
    chosen = make_config(
        url, GRACE_DAYS="3", ACCESS_WHILE_DISPUTED="no", ACCESS_WHILE_PAUSED="yes", ACCESS_WHILE_PROCESSING="yes",
        ACCESS_WHILE_COLLECTION_PAUSED="no", KEEP_DATA_DAYS="7", FRESH_HOURS="2", FAIL_OPEN_HOURS="9", PAUSE_MONTHS="0",
    )  # fmt: skip
    assert Policy.of(chosen) == Policy(3, True, True, True, False, 7, False, timedelta(hours=9))
    assert refresh.fresh(chosen) == timedelta(hours=2)


@pytest.mark.parametrize("days", [0, 30])
def test_how_long_data_are_kept_is_said_only_where_it_is_promised_and_not_over(days: int) -> None:
    gone = replace(PRO, status="canceled", ended_at=datetime(2026, 11, 1, 9, tzinfo=UTC))
    for day, promised in ((24, days == 30), (30, days == 30)):
        found = standing(gone, Policy(keep_data_days=days), datetime(2026, 11, day, tzinfo=UTC))
        assert ("We keep your data until 1 December 2026." in said(found).body) is promised
    late = standing(gone, Policy(keep_data_days=days), datetime(2026, 12, 2, tzinfo=UTC))
    assert "keep your data" not in said(late).body


# B16 and pain 2: a value of tomorrow.


def test_a_status_of_tomorrow_locks_nobody_out_at_once_lets_nobody_in_for_good_and_is_told_once(
    client: FlaskClient, db_session: Session, alice: User, config: Config
) -> None:
    plan = a_subscription(alice)
    tell(db_session, plan, clock=START)
    strange = {**plan, "status": "frobnicated"}
    with Lines() as logged:
        for hour in (1, 2, 71):
            tell(db_session, strange, clock=START + 3600 * hour)
            found = standing_of(db_session, alice, config)
            assert (found.code, found.access) == ("unknown", True), hour
    assert logged.text.count("unknown word") == 1
    sign_in(client, alice)
    page = client.get("/billing")
    assert (page.status_code, "We’re checking your plan with Stripe." in page.text) == (200, True)
    row = db_session.query(Subscription).one()
    assert row.known is not None
    assert (row.known["status"], row.known["plan"]) == ("active", "pro")
    tell(db_session, strange, clock=START + 3600 * 73)
    assert standing_of(db_session, alice, config).access is False
    tell(db_session, plan, clock=START + 3600 * 74)
    assert (standing_of(db_session, alice, config).code, db_session.query(Subscription).one().known) == (
        "active",
        None,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (
            {"status": "paused", "status_details": {"paused": {"subscription": {"type": "of_tomorrow"}}}},
            "paused_other",
        ),
        (
            {"status": "canceled", "ended_at": START, "cancellation_details": {"reason": "of_tomorrow"}},
            "ended",
        ),
        ({"pause_collection": {"behavior": "of_tomorrow", "resumes_at": None}}, "collection_paused"),
        ({"collection_method": "of_tomorrow"}, "active"),
    ],
)
def test_a_reason_of_tomorrow_is_told_to_the_log_once_and_the_page_goes_on(
    client: FlaskClient, db_session: Session, alice: User, config: Config, changes: Object, code: str
) -> None:
    plan = a_subscription(alice)
    tell(db_session, plan)
    with Lines() as logged:
        for _ in range(3):
            tell(db_session, {**plan, **changes})
    assert logged.text.count("unknown word") == 1
    assert standing_of(db_session, alice, config).code == code
    sign_in(client, alice)
    assert client.get("/billing").status_code == 200


@pytest.mark.parametrize(
    ("before", "after", "access"),
    [
        ({"status": "unpaid"}, {"status": "frobnicated"}, False),
        ({"status": "canceled"}, {"status": "frobnicated"}, False),  # nothing leaves a final state
        ({}, {"price": "of another shop"}, True),
        ({}, {"price": "of another shop", "status": "unpaid"}, False),
        (None, {"status": "frobnicated"}, False),
        (None, {"price": "of another shop"}, False),
    ],
)
def test_what_we_don_t_know_is_as_before_and_where_nothing_was_it_is_no(
    db_session: Session, alice: User, config: Config, before: Object | None, after: Object, access: bool
) -> None:
    plan = a_subscription(alice)
    if before is not None:
        tell(db_session, {**plan, **before}, clock=START)
    found = {**plan, **after}
    if found.pop("price", None):
        other = {**plan["items"]["data"][0]["price"], "id": "price_other", "metadata": {}}
        found["items"] = {"data": [{**plan["items"]["data"][0], "price": other}]}
    tell(db_session, found, clock=START + 3600)
    assert standing_of(db_session, alice, config).access is access


def test_grace_ends_on_its_day_also_where_a_value_of_tomorrow_came_meanwhile(
    db_session: Session, alice: User, config: Config
) -> None:
    setting(config, grace_days=2)
    known = {"known": "past_due", "known_plan": "pro", "known_at": datetime(2026, 11, 24, tzinfo=UTC)}
    late = replace(PRO, status="frobnicated", first_failed_at=datetime(2026, 11, 23, tzinfo=UTC), **known)
    for day, access in ((24, True), (25, False)):
        found = standing(late, Policy.of(config), datetime(2026, 11, day, 1, tzinfo=UTC))
        assert (found.code, found.access) == ("unknown", access)


# Paid by invoice, and what a bank said.


def test_whoever_pays_by_invoice_reads_by_when_and_nothing_of_a_card(
    db_session: Session, alice: User, config: Config
) -> None:
    plan = a_subscription(
        alice, status="past_due", collection_method="send_invoice", default_payment_method=None
    )
    bill = an_invoice(
        plan, status="open", attempt_count=0, collection_method="send_invoice", due_date=START + 20 * DAY
    )
    for day, told in (
        (2, "€29.00 is due. Pay by 8 December 2026."),
        (21, "€29.00 was due on 8 December 2026."),
    ):
        tell(db_session, plan, bill, clock=START + day * DAY)
        words = said(standing_of(db_session, alice, config))
        assert told in words.body
        assert "card" not in (words.sentence + words.body + words.primary.label).lower()
        assert (words.primary.label, words.primary.href) == ("Pay €29.00 now", f"/invoices/{bill['id']}/open")


def test_no_decline_says_lost_stolen_or_fraud_in_any_language() -> None:
    with language.speaking("de"):
        for code in [*error_codes(), *DECLINE_CODES, None]:
            text = declines.reason(code).lower()
            assert not [word for word in ("verloren", "gestohlen", "betrug", "gesperrt") if word in text], (
                code
            )
            assert text != declines.GENERIC.lower(), "it is translated"
