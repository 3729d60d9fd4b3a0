"""From the check page to Stripe's: what is said before, what a form can and can't change, and who is stopped."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from billing import jobs, stripe_client
from billing.clock import now
from billing.extensions import db
from billing.models import CheckoutSession, Notice, Payment, PlanPrice
from billing.words import day
from tests.story import DECLINED, Shopper, catch_up, count, events, session_of, shopper
from tests.support import csrf_of

LONG_CODE = "x" * 300


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


def read(answer: Any) -> str:
    """The words of a page, as people read them."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def lines_of(person: Shopper, session_id: str) -> list[tuple[int, str, int]]:
    """What a Session sells: amount of a period, currency, quantity."""
    found = person.sandbox.stripe.checkout.sessions.line_items.list(session_id)["data"]
    return [(one["price"]["unit_amount"], one["currency"], one["quantity"]) for one in found]


def once_of(page: TestResponse) -> str:
    """The token that this opening of a check page was given."""
    [token] = re.findall(r'name="once" value="([^"]+)"', page.text)
    return str(token)


def end_now(person: Shopper) -> None:
    """The subscription is over, at once."""
    person.sandbox.stripe.subscriptions.cancel(person.row.stripe_id)
    catch_up(person.desk)
    assert person.row.status == "canceled"


def test_the_check_page_says_what_is_charged_today_and_later_beside_the_button(alice: Shopper) -> None:
    assert (
        "€29.00 today, then €29.00 every month until you cancel. Cancel any time in Billing; you keep access "
        "until the end of the period you paid for. Continue to payment" in read(alice.get("/subscribe/pro"))
    )
    assert "€290.00 today, then €290.00 every year" in read(alice.get("/subscribe/pro?interval=year"))
    assert "€29.00 today" in read(alice.get("/subscribe/pro?interval=week"))
    assert "€15.00 today, once. Nothing renews." in read(alice.get("/buy/credits-100"))
    first = day(now() + timedelta(days=14))
    said = read(alice.get("/subscribe/team"))
    assert f"Nothing to pay today. €79.00 on {first}, then every month until you cancel." in said
    assert "To pay now €0.00" in said


def test_looking_opens_nothing_and_what_is_not_sold_is_not_found(alice: Shopper) -> None:
    for path in ("/subscribe/pro", "/buy/credits-100", "/shop", "/plans"):
        assert alice.get(path).status_code == 200
    for path in ("/subscribe/gold", "/subscribe/credits-100", "/buy/pro", "/buy/gold", "/subscribe/..%2Fpro"):
        assert alice.get(path).status_code == 404, path
    assert alice.get("/checkout").status_code == 405
    assert (count(CheckoutSession), alice.customer) == (0, "")


def test_a_form_chooses_names_and_nothing_else(desk: Flask, alice: Shopper) -> None:
    forged = {
        "amount": "1", "unit_amount": "1", "quantity": "0", "price": "price_cheap",
        "price_id": "price_cheap", "trial_days": "365", "trial_period_days": "365", "customer": "cus_else",
        "user_id": "1", "success_url": "https://evil.example", "mode": "payment", "line_items[0][price]": "x",
    }  # fmt: skip
    pro = alice.post("/checkout", plan="pro", interval="month", **forged).location.rpartition("/")[2]
    assert lines_of(alice, pro) == [(2900, "eur", 1)]
    found = alice.sandbox.stripe.checkout.sessions.retrieve(pro)
    assert (found["mode"], found["customer"], found["amount_total"]) == ("subscription", alice.customer, 2900)
    assert "evil.example" not in str(found)
    credits_ = alice.post("/buy/credits-100", currency="jpy", **forged).location.rpartition("/")[2]
    assert lines_of(alice, credits_) == [(2400, "jpy", 1)], "the catalogue's price in that currency"
    rows = count(CheckoutSession)
    for wrong in (
        {}, {"plan": "pro"}, {"plan": "pro", "interval": "week"}, {"plan": "gold", "interval": "month"},
        {"plan": "credits-100", "interval": "month"}, {"plan": "pro\0", "interval": "month"},
        {"interval": "month"}, {"plan": "pro", "interval": "month", "currency": "chf"},
    ):  # fmt: skip
        assert alice.post("/checkout", **wrong).status_code == 404, wrong
    assert alice.post("/buy/pro").status_code == 404
    assert count(CheckoutSession) == rows


@pytest.mark.parametrize("path", ["/checkout", "/buy/credits-100"])
def test_nobody_is_led_to_a_session_whose_customer_was_deleted_since_it_was_opened(
    alice: Shopper, path: str
) -> None:
    """Nobody could pay it, and it would be offered for a day."""
    form = {"plan": "pro", "interval": "month"} if path == "/checkout" else {}
    dead = alice.post(path, **form).location
    assert alice.post(path, **form).location == dead
    alice.sandbox.stripe.customers.delete(alice.customer)
    opened = alice.post(path, **form).location
    assert opened != dead
    sessions = alice.sandbox.stripe.checkout.sessions
    assert sessions.retrieve(dead.rpartition("/")[2])["status"] == "expired"
    assert sessions.retrieve(opened.rpartition("/")[2])["customer"] == alice.customer
    assert alice.pay(opened.rpartition("/")[2]).status == 303


def test_an_order_needs_its_forms_token_and_somebody_signed_in(desk: Flask, alice: Shopper) -> None:
    form = {"plan": "pro", "interval": "month"}
    assert alice.client.post("/checkout", data=form).status_code == 400
    stranger = desk.test_client()
    token = csrf_of(stranger, "/login")
    answer = stranger.post("/checkout", data={"csrf_token": token, **form})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert count(CheckoutSession) == 0


def test_a_code_from_the_invitation_goes_with_the_order_and_is_cut_where_it_is_too_long(desk: Flask) -> None:
    client = desk.test_client()
    token = csrf_of(client, f"/signup?ref={LONG_CODE}")
    email, password = "invited@example.com", "three warm words"
    client.post("/signup", data={"csrf_token": token, "email": email, "password": password})
    code = db.session.execute(select(Notice.secret).where(Notice.kind == "code")).scalar_one()
    client.post("/signup/confirm", data={"csrf_token": csrf_of(client, "/signup/confirm"), "code": code})
    order = {"csrf_token": csrf_of(client), "plan": "pro", "interval": "month"}
    session_id = client.post("/checkout", data=order).location.rpartition("/")[2]
    found = desk.extensions["sandbox"].stripe.checkout.sessions.retrieve(session_id)
    assert found["metadata"]["referral_code"] == LONG_CODE[:100]


def test_who_has_a_plan_reads_so_and_is_led_to_billing_whatever_they_order(
    desk: Flask, alice: Shopper
) -> None:
    alice.subscribe("basic")
    for status, order in (
        (200, lambda: alice.get("/subscribe/pro")),
        (409, lambda: alice.post("/checkout", plan="pro", interval="month")),
        (409, lambda: alice.post("/checkout", plan="basic", interval="year")),
    ):
        answer = order()
        assert answer.status_code == status
        assert (
            "You already have Basic. You can change or cancel it in Billing. Nothing was charged now. Go to billing"
            in read(answer)
        )
        assert 'class="btn" href="/billing"' in answer.text
    assert count(CheckoutSession) == 1
    assert alice.buy(), "one-off purchases stay possible"


def test_a_plan_whose_events_are_late_is_not_sold_a_second_time(desk: Flask, alice: Shopper) -> None:
    first = alice.order("pro")
    alice.sandbox.control("trouble", delivery="hold")
    alice.pay(first)
    for plan in ("basic", "pro"):
        assert "You already have Pro." in read(alice.post("/checkout", plan=plan, interval="month"))
    assert count(CheckoutSession) == 1
    alice.sandbox.calm()
    catch_up(desk)
    assert len(alice.sandbox.stripe.subscriptions.list({"customer": alice.customer})["data"]) == 1


def test_a_plan_whose_events_are_lost_and_whose_session_is_over_is_not_sold_a_second_time(
    desk: Flask, alice: Shopper
) -> None:
    alice.sandbox.control("trouble", delivery="hold")
    alice.pay(alice.order("pro"))
    db.session.execute(update(CheckoutSession).values(expires_at=now() - timedelta(minutes=1)))
    db.session.commit()
    assert "You already have Pro." in read(alice.post("/checkout", plan="pro", interval="month"))
    assert len(alice.sandbox.stripe.subscriptions.list({"customer": alice.customer})["data"]) == 1


def test_orders_of_an_outage_are_one_try_and_no_other_order_has_to_wait_for_them(
    desk: Flask, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the pauses are shorter than in production.
    monkeypatch.setattr(stripe_client, "PAUSES", (0.01, 0.01))
    alice.sandbox.control("trouble", api="error_429")
    for _ in range(12):
        assert alice.post("/checkout", plan="pro", interval="month").status_code == 503
    alice.sandbox.calm()
    assert alice.order("pro")
    assert count(CheckoutSession) == 1


def test_a_payment_that_stripe_confirmed_stops_a_second_one_until_its_plan_is_known(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order("pro")
    state = {"status": "complete", "subscription": "sub_on_its_way"}
    db.session.execute(update(CheckoutSession).values(**state))
    db.session.commit()
    guarded = alice.post("/checkout", plan="pro", interval="month")
    assert guarded.status_code == 409
    assert f"/checkout/return?session_id={session_id}" in guarded.text
    db.session.execute(update(CheckoutSession).values(async_failed=True))
    db.session.commit()
    assert alice.order("pro") != session_id, "who could not pay by bank may try again"


def test_stripe_away_charges_nothing_and_leads_back_to_the_check_page(desk: Flask, alice: Shopper) -> None:
    for trouble in ("error_500", "error_429"):
        alice.sandbox.control("trouble", api=trouble)
        away = alice.post("/checkout", plan="pro", interval="year")
        assert away.status_code == 503, trouble
        assert "You haven’t been charged" in read(away)
        assert 'href="/subscribe/pro?interval=year&amp;currency=eur"' in away.text
        alice.sandbox.calm()
    assert alice.order("pro", "year")
    assert count(CheckoutSession) == 1


def test_a_form_that_was_paid_and_is_sent_again_opens_no_second_payment(desk: Flask, alice: Shopper) -> None:
    token = once_of(alice.get("/buy/credits-100"))
    session_id = session_of(alice.post("/buy/credits-100", once=token))
    assert session_of(alice.post("/buy/credits-100", once=token)) == session_id
    assert alice.pay(session_id).status == 303
    catch_up(desk)
    again = alice.post("/buy/credits-100", once=token)
    assert (again.status_code, again.location) == (303, f"/checkout/return?session_id={session_id}")
    assert (count(CheckoutSession), count(Payment)) == (1, 1)
    fresh = session_of(alice.post("/buy/credits-100", once=once_of(alice.get("/buy/credits-100"))))
    assert fresh != session_id, "whoever opens the page anew may buy once more"


@pytest.mark.parametrize("token", ["", "short", "x" * 65, "\0" * 20, "<b>" * 9])
def test_a_token_that_no_page_of_ours_gave_out_is_no_token(desk: Flask, alice: Shopper, token: str) -> None:
    session_id = session_of(alice.post("/buy/credits-100", once=token))
    assert db.session.execute(select(CheckoutSession.stripe_id, CheckoutSession.once)).one() == (
        session_id,
        None,
    )


def test_a_price_that_was_not_brought_to_stripe_is_not_on_sale_yet(desk: Flask, alice: Shopper) -> None:
    db.session.execute(delete(PlanPrice).where(PlanPrice.lookup_key == "pro_month_eur"))
    db.session.commit()
    answer = alice.post("/checkout", plan="pro", interval="month")
    assert answer.status_code == 409
    assert "This price is not on sale yet." in read(answer)


def test_opening_session_after_session_is_stopped_but_going_back_to_the_open_one_is_not(
    desk: Flask, alice: Shopper
) -> None:
    for number in range(10):
        alice.order("pro", ("month", "year")[number % 2])
    for _ in range(3):
        alice.order("pro", "year")
    stopped = alice.post("/checkout", plan="pro", interval="month")
    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) in range(60, 3601)
    assert 'href="/subscribe/pro?interval=month&amp;currency=eur"' in stopped.text
    assert count(CheckoutSession) == 10
    assert shopper(desk, "bob@example.com").order("pro"), "the limit is each person's own"


def test_leaving_stripes_page_charges_nothing_and_keeps_the_choice(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("pro", "year")
    back = alice.sandbox.stripe.checkout.sessions.retrieve(session_id)["cancel_url"]
    path = back.removeprefix(desk.extensions["config"].public_url)
    said = read(alice.get(path))
    assert "You haven’t been charged. Your choice is saved." in said
    assert "€290.00 today, then €290.00 every year" in said
    assert alice.order("pro", "year") == session_id
    assert "€29.00 today" in read(shopper(desk, "bob@example.com").get(path)), "only the person's own"
    for odd in ("x", "9" * 30, "-1", "", "²"):
        assert "€29.00 today" in read(alice.get(f"/subscribe/pro?canceled={odd}")), odd
    bought = alice.buy()
    back = alice.sandbox.stripe.checkout.sessions.retrieve(bought)["cancel_url"]
    said = read(alice.get(back.removeprefix(desk.extensions["config"].public_url)))
    assert "You haven’t been charged. Your choice is saved." in said


def test_each_person_has_one_trial_whatever_the_plan(desk: Flask, alice: Shopper) -> None:
    alice.subscribe("team")
    assert (alice.row.status, alice.standing.access) == ("trialing", True)
    end_now(alice)
    said = read(alice.get("/subscribe/team"))
    assert "€79.00 today, then €79.00 every month" in said
    assert "Nothing to pay today" not in said
    alice.subscribe("team")
    assert alice.row.status == "active"
    bob = shopper(desk, "bob@example.com")
    bob.subscribe("basic")
    end_now(bob)
    assert "€79.00 today" in read(bob.get("/subscribe/team")), "somebody who has paid before knows us"


def test_a_trial_that_was_opened_before_another_plan_was_had_is_not_sold_after_it(
    desk: Flask, alice: Shopper
) -> None:
    trial = alice.order("team")
    alice.subscribe("basic")
    assert alice.sandbox.stripe.checkout.sessions.retrieve(trial)["status"] == "expired"
    end_now(alice)
    alice.subscribe("team")
    assert alice.row.status == "active"


def test_a_declined_or_abandoned_payment_leaves_no_subscription_and_no_access(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order("pro")
    assert alice.pay(session_id, DECLINED).status == 422
    catch_up(desk)
    alice.sandbox.stripe.checkout.sessions.expire(session_id)
    catch_up(desk)
    assert (alice.subscription, alice.invoices, alice.mails()) == (None, [], [])
    assert not alice.standing.access
    assert (
        alice.sandbox.stripe.subscriptions.list({"customer": alice.customer, "status": "all"})["data"] == []
    )
    alice.subscribe("pro")
    assert alice.standing.access


def test_a_one_off_payment_is_fulfilled_once_and_only_when_it_succeeded(desk: Flask, alice: Shopper) -> None:
    session_id = alice.buy()
    assert alice.pay(session_id, DECLINED).status == 422
    catch_up(desk)
    assert [row.fulfilled_at for row in payments()] == [None]
    alice.sandbox.control("trouble", delivery="twice")
    assert alice.pay(session_id).status == 303
    catch_up(desk)
    [payment] = payments()
    first = payment.fulfilled_at
    assert (payment.status, payment.amount, payment.product) == ("succeeded", 1500, "credits-100")
    assert first is not None
    replay_everything(desk)
    assert [row.fulfilled_at for row in payments()] == [first]
    assert alice.mails() == ["one_off_receipt"]
    assert not alice.standing.access, "credits are no plan"
    assert alice.pay(alice.buy()).status == 303
    catch_up(desk)
    assert (len(payments()), alice.mails()) == (2, ["one_off_receipt"] * 2)


def payments() -> list[Payment]:
    db.session.rollback()
    found = select(Payment).order_by(Payment.id).execution_options(populate_existing=True)
    return list(db.session.execute(found).scalars())


def replay_everything(desk: Flask) -> None:
    """An operator runs every event again."""
    for event in events():
        jobs.run_again(db.session(), event.event_id)
    catch_up(desk)
