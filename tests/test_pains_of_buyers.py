"""What people suffer elsewhere between choosing and having, and not here: paid and told nothing, told what is not so
yet, charged because a trial ended quietly, let in or kept out by a bank that takes its time.

The page that they come back to is asked at every step, and each time it says what our rows say.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, update

from billing import grants
from billing.clock import now
from billing.extensions import db
from billing.models import CheckoutSession, Invoice, Payment, Subscription
from billing.words import day
from tests.seen import charges, mailed_to, may_enter, reads, running
from tests.story import DAY, Shopper, apply_all, card_form, catch_up, config_of, count, post_page, shopper
from tests.support import csrf_of

PAYS, FAILS = "AT321904300235473204", "AT051904300235473205"


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


def back(session_id: str) -> str:
    return f"/checkout/return?session_id={session_id}"


def heading(person: Shopper, session_id: str) -> str:
    [h1] = re.findall(r"<h1[^>]*>(.*?)</h1>", reads(person, back(session_id)))
    return str(h1)


def told(person: Shopper, session_id: str) -> dict[str, Any]:
    """What a poll is told, which must be what the rows say: no plan on the page without one in the database."""
    found: dict[str, Any] = person.get(f"/checkout/state?session_id={session_id}").get_json()
    assert found["h1"].startswith("You’re on ") is person.standing.access, found
    assert (
        not found["h1"].startswith("You’re on ")
        or count(Subscription, user_id=person.id, status="active") == 1
    )
    return found


def press(person: Shopper, **form: str) -> str:
    return html.unescape(person.post("/checkout", **form).text)


# 12: paid, and still told to pay


DELIVERIES: dict[str, Callable[[Shopper], object]] = {
    "at once": lambda alice: catch_up(alice.desk),
    "late": lambda alice: None,
    "never": lambda alice: alice.sandbox.control("trouble", delivery="drop"),
    "twice": lambda alice: alice.sandbox.control("trouble", delivery="twice"),
    "in reverse": lambda alice: alice.sandbox.control("trouble", delivery="reverse"),
}


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_nobody_who_paid_is_told_what_is_not_so_yet_or_left_without_it_however_the_webhooks_come(
    desk: Flask, alice: Shopper, delivery: str
) -> None:
    """Stripe can\u2019t be asked at first, so only webhooks could tell; then coming back once more is enough."""
    session_id = alice.order()
    alice.sandbox.control("trouble", delivery="hold", api="error_500")
    assert alice.pay(session_id).status == 303
    assert heading(alice, session_id) == "We’re confirming your payment."
    assert told(alice, session_id)["code"] == "confirming"
    assert not may_enter(alice)
    alice.sandbox.control("trouble", api="normal")
    DELIVERIES[delivery](alice)
    if delivery not in ("late", "never"):
        alice.sandbox.flush()
        told(alice, session_id)
        apply_all()
        assert told(alice, session_id)["code"] == "active"
    assert heading(alice, session_id).startswith("You’re on Pro.")
    alice.sandbox.calm()
    catch_up(desk)
    said = told(alice, session_id)
    assert (said["code"], said["action"]["label"]) == ("active", "Go to Dunlin")
    assert (count(Subscription), charges(alice)) == (1, [2900])
    assert alice.mails() == ["receipt"]


def test_nobody_who_comes_back_at_once_is_asked_to_pay_again_while_no_webhook_has_come(
    desk: Flask, alice: Shopper
) -> None:
    alice.sandbox.control("trouble", delivery="drop")
    session_id = alice.order()
    assert alice.pay(session_id).status == 303
    assert heading(alice, session_id).startswith("You’re on Pro.")
    assert may_enter(alice)
    details = told(alice, session_id)["details"]
    today, due = day(alice.row.created), day(alice.row.current_period_end)
    assert details == [
        ["Paid", f"€29.00 on {today}"],
        ["Next payment", f"€29.00 on {due}"],
        ["Receipt", f"by email to {alice.email}"],
    ]
    for path in ("/subscribe/pro", "/subscribe/basic?interval=year"):
        assert "You already have Pro." in reads(alice, path)
    assert "You already have Pro." in press(alice, plan="pro", interval="month")
    assert charges(alice) == [2900]


def test_nobody_pays_twice_because_they_left_one_window_and_paid_in_the_other(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order()
    left = alice.sandbox.stripe.checkout.sessions.retrieve(session_id)["cancel_url"]
    path = str(left).removeprefix(config_of(desk).public_url)
    assert "You haven’t been charged. Your choice is saved." in reads(alice, path)
    alice.sandbox.control("trouble", delivery="drop", api="error_500")
    assert alice.pay(session_id).status == 303
    said = reads(alice, path)
    assert "You haven’t been charged" not in said, "nobody knows"
    assert "You left the payment page. Your choice is saved." in said
    alice.sandbox.control("trouble", api="normal")
    said = reads(alice, path)
    assert "You already have Pro." in said
    assert "You haven’t been charged" not in said


# 13: the address as a key


def test_an_address_that_was_sent_on_or_guessed_shows_and_gives_a_stranger_nothing(
    desk: Flask, alice: Shopper
) -> None:
    mallory = shopper(desk, "mallory@example.com")
    session_id = alice.order()
    assert alice.pay(session_id).status == 303
    for page in ("return", "state"):
        answers = [
            mallory.get(f"/checkout/{page}?session_id={one}") for one in (session_id, "cs_test_nothing")
        ]
        blind = [re.sub(r"[0-9a-f]{12}|value=\"[^\"]+\"", "", answer.text) for answer in answers]
        assert ([answer.status_code for answer in answers], blind[0]) == ([404, 404], blind[1])
    number = db.session.query(CheckoutSession).one().id
    assert "Your choice is saved" not in reads(mallory, f"/subscribe/pro?canceled={number}")
    assert count(Subscription) == 0, "a stranger's visit makes us ask nothing"
    assert heading(alice, session_id).startswith("You’re on Pro.")
    assert not may_enter(mallory)


# 20: trials


def with_trials(desk: Flask, **changes: Any) -> None:
    """The catalogue of this desk: Pro and Team each with such a trial."""
    catalogue = desk.extensions["catalogue"]
    plans = [
        replace(plan, trial_days=14, **changes) if plan.name in ("pro", "team") else plan for plan in catalogue.plans
    ]  # fmt: skip
    desk.extensions["catalogue"] = replace(catalogue, plans=tuple(plans))


def begin_without_card(alice: Shopper) -> str:
    session_id = alice.order("team")
    page = f"{alice.sandbox.url}/c/pay/{session_id}"
    assert post_page(page).status == 303, "no card is asked for"
    catch_up(alice.desk)
    return session_id


ENDS = {
    "cancel": ("stops on {day} unless you add a card", "ended", "Your Team plan ended on {day}."),
    "pause": ("stops on {day} unless you add a card", "paused_trial", "Your trial has ended and Team is paused."),
    "create_invoice": ("€79.00 is due on {day}, then every month", "past_due", "We couldn’t take your last payment."),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_nobody_whose_trial_needs_no_card_is_surprised_by_its_end(
    desk: Flask, alice: Shopper, end: str
) -> None:
    """What they read each day: before it begins, while it runs, when the end is near, and after it."""
    terms, code, after = ENDS[end]
    with_trials(desk, payment_method_collection="if_required", missing_payment_method=end)
    check = reads(alice, "/subscribe/team")
    session_id = begin_without_card(alice)
    last = day(alice.row.trial_end)
    assert terms.format(day=last) in check
    assert "no card needed" in check
    assert heading(alice, session_id) == f"Your Team trial ends on {last}. Add a card to keep going."
    assert (alice.standing.code, may_enter(alice)) == ("trialing_no_card", True)
    alice.advance_by(12 * DAY)
    assert "trial_end" in alice.mails(), "three days before"
    assert f"Your Team trial ends on {last}. Add a card to keep going." in reads(alice)
    assert (charges(alice), may_enter(alice)) == ([], True)
    alice.advance_by(3 * DAY)
    assert alice.standing.code == code
    assert after.format(day=last) in reads(alice)
    assert heading(alice, session_id) == after.format(day=last), "what is so today, not thanks again"
    assert charges(alice) == []
    assert may_enter(alice) is (end == "create_invoice"), "the bill has its days of grace"


def test_nobody_whose_trial_was_paused_is_charged_before_they_add_a_card_and_resume(
    desk: Flask, alice: Shopper
) -> None:
    with_trials(desk, payment_method_collection="if_required", missing_payment_method="pause")
    begin_without_card(alice)
    alice.advance_by(15 * DAY)
    assert "Add a card and Team resumes" in reads(alice)
    api = alice.sandbox.stripe
    alice.use_card("4242424242424242")
    catch_up(desk)
    assert (alice.standing.code, charges(alice)) == ("paused_trial", [])
    api.subscriptions.resume(alice.row.stripe_id)
    catch_up(desk)
    assert (alice.standing.code, charges(alice), may_enter(alice)) == ("active", [7900], True)


def test_nobody_gets_a_second_trial_by_another_plan_by_many_clicks_or_by_losing_what_we_know(
    desk: Flask, alice: Shopper
) -> None:
    with_trials(desk)
    token, cookie = csrf_of(alice.client), alice.client.get_cookie("dunlin")
    assert cookie is not None

    def click(number: int) -> int:
        tab = desk.test_client()
        tab.set_cookie("dunlin", cookie.value)
        plan = ("pro", "team")[number % 2]
        return tab.post(
            "/checkout", data={"csrf_token": token, "plan": plan, "interval": "month"}
        ).status_code

    db.session.rollback()  # whoever waits for long holds no transaction
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(click, range(20))) <= {303, 409, 429, 503}
    api, listed = alice.sandbox.stripe, {"customer": alice.customer, "limit": 100}
    assert len([one for one in api.checkout.sessions.list(listed)["data"] if one["status"] == "open"]) <= 1
    db.session.execute(
        update(CheckoutSession).values(created_at=now() - timedelta(hours=2))
    )  # no card tester
    db.session.commit()
    alice.subscribe("team")
    assert alice.row.status == "trialing"
    api.subscriptions.cancel(alice.row.stripe_id)
    catch_up(desk)
    said = reads(alice, "/subscribe/pro")
    assert "You’ve had your free trial, so Pro is paid from today." in said
    assert "€29.00 today, then €29.00 every month" in said
    for model in (Invoice, Subscription, CheckoutSession):  # a restore lost all of it
        db.session.execute(delete(model))
    db.session.commit()
    assert "Nothing to pay today." in reads(alice, "/subscribe/pro"), "we can't know until Stripe is asked"
    again = alice.post("/checkout", plan="pro", interval="month")
    assert again.status_code == 409
    assert "You’ve had your free trial, so Pro is paid from today." in html.unescape(again.text)
    assert alice.order("pro")
    [session] = api.checkout.sessions.list({**listed, "status": "open"})["data"]
    assert session["amount_total"] == 2900


# 21: banks that take their time


@pytest.fixture
def bank(desk: Flask, alice: Shopper) -> Iterator[Callable[[str, str], None]]:
    """Pay a Session by direct debit from this account; it settles when the sandbox is told to."""
    alice.sandbox.control("settings", payment_methods=["card", "sepa_debit"], bank_debit_seconds=600)

    def pay(session_id: str, iban: str) -> None:
        form = {"pay_with": "sepa_debit", "iban": iban, "account_name": "Alice Ahrens"}
        assert post_page(f"{alice.sandbox.url}/c/pay/{session_id}", **form).status == 303

    yield pay
    alice.sandbox.control("settings", payment_methods=["card"], bank_debit_seconds=180)


ON_ITS_WAY = "Your bank payment is on its way."


def settle(alice: Shopper) -> None:
    """The bank answers."""
    assert alice.sandbox.control(f"customers/{alice.customer}/settle")["settled"] == 1
    catch_up(alice.desk)


def test_nobody_is_let_in_before_their_bank_has_paid_or_sold_the_plan_twice_while_it_takes_its_time(
    desk: Flask, alice: Shopper, bank: Callable[[str, str], None]
) -> None:
    session_id = alice.order()
    bank(session_id, PAYS)
    for _ in range(2):  # by the look on arrival, then by the webhooks
        assert heading(alice, session_id) == ON_ITS_WAY
        said = told(alice, session_id)
        assert (said["code"], said["final"]) == ("processing", False)
        assert "Your access begins when the payment arrives." in said["body"]
        assert (may_enter(alice), alice.standing.code) == (False, "first_confirming")
        assert ON_ITS_WAY in reads(alice)
        assert "Your last order isn’t paid yet." in press(alice, plan="basic", interval="year")
        assert "Your last order isn’t paid yet." in reads(alice, "/subscribe/pro")
        catch_up(desk)
    assert (len(running(alice)), charges(alice), alice.mails()) == (1, [], [])
    settle(alice)
    assert heading(alice, session_id).startswith("You’re on Pro.")
    assert (told(alice, session_id)["code"], may_enter(alice)) == ("active", True)
    assert (charges(alice), alice.mails()) == ([2900], ["receipt"])


def test_nobody_whose_bank_did_not_pay_has_had_days_for_nothing_or_is_left_without_another_way(
    desk: Flask, alice: Shopper, bank: Callable[[str, str], None]
) -> None:
    session_id = alice.order()
    bank(session_id, FAILS)
    catch_up(desk)
    assert heading(alice, session_id) == ON_ITS_WAY
    settle(alice)
    assert heading(alice, session_id) == "Your bank payment didn’t go through."
    said = told(alice, session_id)
    assert (said["code"], said["body"]) == ("failed", "Nothing was taken. Choose another way to pay.")
    assert (said["final"], said["action"]["href"]) == (True, "/billing")
    assert (may_enter(alice), charges(alice)) == (False, [])
    assert "Your access is on hold until €29.00 is paid." in reads(alice)
    [(kind, facts)] = mailed_to(alice.email)
    assert (kind, facts["access"]) == ("dun1", False), "no mail promises days of access"
    invoice = alice.invoices[0].stripe_id
    page = alice.post(f"/invoices/{invoice}/open")
    assert post_page(page.location, **card_form()).status in (200, 303)
    catch_up(desk)
    assert heading(alice, session_id).startswith("You’re on Pro.")
    assert (may_enter(alice), charges(alice)) == (True, [2900])


def test_nobody_is_given_what_they_bought_once_before_their_bank_has_paid(
    desk: Flask, alice: Shopper, bank: Callable[[str, str], None]
) -> None:
    before = 0
    for iban, last in ((PAYS, "You bought 100 credits."), (FAILS, "Your bank payment didn’t go through.")):
        session_id = alice.buy()
        bank(session_id, iban)
        assert heading(alice, session_id) == ON_ITS_WAY
        assert given(alice) == before, "nothing is given for what is only promised"
        order = (
            db.session.query(Payment).filter_by(user_id=alice.id, status="processing").one().payment_intent
        )
        assert ON_ITS_WAY in reads(alice, f"/orders/{order}")
        settle(alice)
        assert heading(alice, session_id) == last
        before = given(alice)
        assert ("didn’t go through" in reads(alice, f"/orders/{order}")) == (iban == FAILS)
    assert (charges(alice), given(alice)) == ([1500], 100)
    assert alice.mails() == ["one_off_receipt", "one_off_failed"]


def given(person: Shopper) -> int:
    """Their credits."""
    db.session.rollback()
    return grants.balance(db.session(), person.id)
