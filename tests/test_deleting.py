"""Asking for one's account to be deleted, and keeping it after all: nothing is charged, lost or undone by accident."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from billing import outbox, refresh, stripe_client
from billing.clock import now
from billing.extensions import db
from billing.models import AuditEntry, Deletion, LoginSession, Notice, StripeWrite, Subscription, User
from billing.words import day
from local.mailsink import MailSink
from tests.counter import Counter, look, open_counter, text_of
from tests.doors import enter
from tests.leavers import ask, asked, with_a_plan
from tests.registry import sweep
from tests.story import Shopper, config_of, count, session_of, shopper
from tests.support import Databases, Sandbox, csrf_of, sign_in
from tests.watching import all_rows

KEEP = "/account/keep"


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        yield found


@pytest.fixture
def alice(counter: Counter) -> Iterator[Shopper]:
    person = with_a_plan(counter)
    person._csrf = csrf_of(person.client)
    yield person
    person.sandbox.calm()


def renews(person: Shopper) -> bool:
    """Whether Stripe will charge a next period."""
    found = person.sandbox.stripe.subscriptions.retrieve(person.row.stripe_id)
    return not found["cancel_at_period_end"]


def mailed(counter: Counter, mails: MailSink, to: str) -> list[str]:
    mails.messages.clear()
    outbox.send_due(db.session(), config_of(counter.app))
    return [one.subject.removeprefix("[Test] ") for one in mails.to(to)]


def test_it_says_what_goes_what_stays_and_what_becomes_of_the_plan_before_anything_is_done(
    alice: Shopper,
) -> None:
    before = all_rows(db.session())
    assert 'href="/account/delete"' in alice.get("/account").text
    said = text_of(alice.get("/account/delete").text)
    due = day(now() + timedelta(days=7))
    for words in (
        f"Your account will be deleted on {due}",
        "Pro isn’t renewed any more from now on",
        "isn’t paid back",
        "Invoices, payments and refunds",
        "Get a copy of your data first",
        "Type DELETE to be sure",
    ):
        assert words in said
    after = all_rows(db.session())
    assert {name for name in after if after[name] != before[name]} <= {"login_sessions"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"current_password": "not my password"}, "This is not your current password."),
        ({"current_password": ""}, "Enter your password."),
        ({"word": "yes"}, "Type the word DELETE."),
    ],
)
def test_nobody_loses_their_account_by_a_slip(alice: Shopper, wrong: dict[str, str], words: str) -> None:
    answer = ask(alice, **wrong)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert (alice.user.deletion_due_at, renews(alice)) == (None, True)
    for _ in range(6):
        answer = ask(alice, current_password="guess again")
    assert answer.status_code == 429


def test_with_stripe_away_nothing_is_deleted_or_written_and_the_page_says_so(
    counter: Counter, alice: Shopper
) -> None:
    before = {name: rows for name, rows in all_rows(db.session()).items() if name != "rate_hits"}
    stripe_client.init_app(counter.app, replace(config_of(counter.app), stripe_api_base="http://127.0.0.1:1"))
    answer = ask(alice)
    stripe_client.init_app(counter.app, config_of(counter.app))
    assert answer.status_code == 503
    assert "We couldn’t reach Stripe, so nothing was deleted." in text_of(answer.text)
    after = all_rows(db.session())
    assert [name for name in before if after[name] != before[name]] == []
    assert renews(alice)


def test_an_admin_is_told_why_an_admins_account_stays(counter: Counter) -> None:
    boss = shopper(counter.app, "boss@example.com", is_admin=True)
    assert "an admin’s account isn’t deleted here" in text_of(boss.get("/account/delete").text)
    assert ask(boss).status_code == 409
    assert boss.user.deletion_due_at is None


def test_while_it_waits_nothing_renews_nothing_can_be_bought_and_every_way_leads_to_the_choice(
    counter: Counter, alice: Shopper, mail_sink: MailSink
) -> None:
    mailed(counter, mail_sink, alice.email)
    other = counter.app.test_client()
    sign_in(other, alice.user)
    assert (renews(alice), ask(alice, word=" delete ").location) == (True, KEEP)
    assert not renews(alice)
    look(alice)
    assert alice.row.ends_at is not None, (
        "and the person isn’t told of that as if they had canceled their plan"
    )
    assert mailed(counter, mail_sink, alice.email) == ["Your Dunlin account will be deleted"]
    assert other.get("/account").location.startswith("/login"), "other browsers are signed out"
    for page in ("/billing", "/account", "/subscribe/pro", "/billing/change/team", "/shop", "/app"):
        assert alice.get(page).location == KEEP, page
    for form in ("/checkout", "/buy/credits-100", "/billing/resume", "/billing/cancel", "/account/password"):
        assert alice.post(form).location == KEEP, form
    assert ask(alice).location == KEEP
    assert count(Deletion, user_id=alice.id) == 1
    assert alice.get("/invoices").status_code == 200
    said = text_of(alice.get(KEEP).text)
    due = alice.user.deletion_due_at
    assert due is not None
    assert f"Your account will be deleted on {day(due)}." in said
    assert ("Keep my account" in said, "Sign out" in said) == (True, True)


def test_signing_in_shows_the_way_back_and_undoes_nothing_by_itself_and_one_press_brings_all_of_it_back(
    counter: Counter, alice: Shopper, mail_sink: MailSink
) -> None:
    ask(alice)
    mailed(counter, mail_sink, alice.email)
    browser = counter.app.test_client()
    answer = enter(browser, alice.email)
    assert browser.get(answer.location).location == KEEP
    assert alice.user.deletion_due_at is not None
    kept = browser.post(KEEP, data={"csrf_token": csrf_of(browser, KEEP)})
    assert kept.location == "/billing"
    assert "Your account stays." in text_of(browser.get("/billing").text)
    assert alice.user.deletion_due_at is None
    assert renews(alice)
    assert alice.row.ends_at is None
    assert set(mailed(counter, mail_sink, alice.email)) <= {"Your Dunlin account stays", "You’re keeping Pro"}
    assert count(Notice, kind="delete_undone", user_id=alice.id, state="sent") == 1
    assert browser.get(KEEP).location == "/account"
    assert ask(alice).location == KEEP, "and it can be asked for again"
    assert count(Deletion, user_id=alice.id) == 2
    assert not renews(alice)


def test_a_plan_that_i_had_canceled_before_stays_canceled_when_i_keep_my_account(alice: Shopper) -> None:
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    ask(alice)
    assert count(StripeWrite, operation="subscription.update", user_id=alice.id) == 0
    alice.post(KEEP)
    assert not renews(alice)
    assert alice.user.deletion_due_at is None


def test_taking_it_back_while_stripe_is_away_arrives_after_what_it_takes_back(alice: Shopper) -> None:
    """Asked for and taken back before Stripe has answered anything: the plan goes on in the end."""
    alice.sandbox.control("trouble", api="cut_before", api_path="/v1/subscriptions/", api_method="POST")
    assert ask(alice).location == KEEP
    assert alice.post(KEEP).location == "/billing"
    alice.sandbox.calm()
    later = timedelta(hours=30)  # so late that nothing else would be sent any more
    for _ in range(3):
        sweep(later)
        later = timedelta(minutes=2)
    written = select(StripeWrite.name, StripeWrite.state).where(
        StripeWrite.user_id == alice.id, StripeWrite.operation == "subscription.update"
    )
    states = {name.partition(":")[0]: state for name, state in db.session.execute(written)}
    assert states == {"cancel": "done", "stay": "done"}
    assert renews(alice)


def test_once_it_has_begun_it_can_not_be_taken_back_and_the_page_says_so(alice: Shopper) -> None:
    ask(alice)
    db.session.query(Deletion).filter_by(user_id=alice.id).update({"begun_at": now()})
    db.session.commit()
    assert "can’t be taken back any more" in text_of(alice.get(KEEP).text)
    answer = alice.post(KEEP)
    assert (answer.status_code, "Your account is being deleted." in answer.text) == (409, True)
    assert asked(alice).undone_at is None


def test_in_german_the_word_is_german(counter: Counter) -> None:
    person = shopper(counter.app, "greta@example.com")
    db.session.query(User).filter_by(id=person.id).update({"locale": "de"})
    db.session.commit()
    assert "Schreiben Sie LÖSCHEN" in text_of(person.get("/account/delete").text)
    assert ask(person).status_code == 422
    assert ask(person, word="löschen").location == KEEP
    assert count(LoginSession, user_id=person.id) == 1


def test_somebody_whose_customer_was_deleted_at_stripes_dashboard_can_buy_again(alice: Shopper) -> None:
    """They live here, and what they had ended there: another customer is made of them, once."""
    old, ended = alice.customer, alice.row.stripe_id
    alice.sandbox.stripe.customers.delete(old)
    look(alice)  # its events have come
    answers = [alice.post("/checkout", plan="team", interval="month") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len({answer.location for answer in answers}) == 1
    assert alice.customer != old
    assert count(StripeWrite, operation="customer.create", user_id=alice.id) == 1
    assert db.session.query(Subscription).filter_by(stripe_id=ended).one().status == "canceled"
    assert alice.pay(session_of(answers[0])).status == 303
    look(alice)
    assert (alice.row.status, alice.row.plan) == ("active", "team")
    refresh.everything(db.session(), config_of(alice.desk), full=True)
    assert count(AuditEntry, kind="reconciler.stray") == 0
