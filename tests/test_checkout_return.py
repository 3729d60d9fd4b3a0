"""The page people come back to: their own Session only, in the words of what is applied, and never a grant."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import update

from billing import leaving
from billing.clock import now
from billing.extensions import db
from billing.models import CheckoutSession, StripeEvent, Subscription
from billing.words import moment_text
from tests.story import DECLINED, Shopper, apply_all, catch_up, count, events, shopper
from tests.support import PASSWORD, csrf_of, deliver
from tests.watching import Bell, all_rows


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


def page(person: Shopper, session_id: str) -> dict[str, Any]:
    """What the page says: its heading, text, tag, action, and whether it goes on asking."""
    answer = person.get(f"/checkout/return?session_id={session_id}")
    assert answer.status_code == 200
    parts = {
        name: html.unescape(found[1]).strip()
        for name in ("tag", "h1", "body", "action")
        if (found := re.search(rf'data-part="{name}">(.*?)</', answer.text, re.DOTALL))
    }
    return {**parts, "asks_again": "data-poll" in answer.text, "text": html.unescape(answer.text)}


def state(person: Shopper, session_id: str) -> dict[str, Any]:
    """The same as JSON, which must say the same."""
    shown = page(person, session_id)
    answer = person.get(f"/checkout/state?session_id={session_id}")
    found: dict[str, Any] = answer.get_json()
    assert (found["h1"], found["body"], found["tag"]) == (shown["h1"], shown["body"], shown["tag"])
    assert found["action"]["label"] == shown["action"]
    assert found["final"] is not shown["asks_again"]
    assert all(f"<dt>{label}</dt><dd>{value}</dd>" in shown["text"] for label, value in found["details"])
    return found


def comes_back(person: Shopper, location: str) -> str:
    """The browser follows Stripe's redirect; the id that it brings."""
    parts = urlsplit(location)
    assert person.get(f"{parts.path}?{parts.query}").status_code == 200
    return parts.query.partition("session_id=")[2]


def may_not_enter(person: Shopper) -> bool:
    answer = person.get("/app")
    return (answer.status_code, answer.location) == (303, "/billing") and not person.standing.access


def deliver_only(desk: Flask, kind: str) -> None:
    """Of all that Stripe owes us, deliver this one type by hand, signed as ever, and apply it."""
    for event in desk.extensions["sandbox"].stripe.events.list({"type": kind, "limit": 1})["data"]:
        assert deliver(desk, event.to_dict(for_json=True)).status_code == 200
    apply_all()


def told(**values: Any) -> None:
    """An applied event left this in our row."""
    db.session.execute(update(CheckoutSession).values(**values))
    db.session.commit()


def test_only_ones_own_session_is_found_and_all_others_look_the_same(desk: Flask, alice: Shopper) -> None:
    mine = alice.order("pro")
    mallory = shopper(desk, "mallory@example.com")
    assert alice.get(f"/checkout/return?session_id={mine}").status_code == 200
    for path in ("/checkout/return", "/checkout/state"):
        answers = [
            mallory.get(f"{path}?session_id={name}")
            for name in (mine, "cs_test_nothing", "", "{CHECKOUT_SESSION_ID}")
        ]
        assert {answer.status_code for answer in answers} == {404}
        said = [re.sub(r"[0-9a-f]{12}|value=\"[^\"]+\"", "", answer.text) for answer in answers]
        assert len(set(said)) == 1
        assert mallory.get(path).status_code == 404


def test_somebody_who_was_signed_out_signs_in_and_is_back(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("pro")
    client = desk.test_client()
    away = client.get(f"/checkout/return?session_id={session_id}")
    assert away.status_code == 303
    assert urlsplit(away.location).path == "/login"
    form = {"csrf_token": csrf_of(client, away.location), "email": alice.email, "password": PASSWORD}
    back = client.post(away.location, data=form)
    assert (back.status_code, back.location) == (303, f"/checkout/return?session_id={session_id}")
    assert client.get(back.location).status_code == 200
    assert desk.test_client().get(f"/checkout/state?session_id={session_id}").status_code == 303


def test_while_stripe_does_not_answer_it_says_confirming_until_the_event_is_applied(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order("pro")
    alice.sandbox.control("trouble", delivery="hold", api="error_500")
    paid = alice.pay(session_id)
    assert comes_back(alice, paid.location) == session_id
    said = state(alice, session_id)
    assert (said["code"], said["h1"]) == ("confirming", "We’re confirming your payment.")
    assert said["action"] == {
        "label": "Check again", "href": f"/checkout/return?session_id={session_id}",
        "method": "get", "fields": {},
    }  # fmt: skip
    assert may_not_enter(alice)
    assert count(Subscription) == 0
    alice.sandbox.control("trouble", api="normal")
    deliver_only(desk, "customer.subscription.created")
    deliver_only(desk, "checkout.session.completed")
    said = state(alice, session_id)
    assert said["h1"].startswith("You’re on Pro.")
    assert (said["final"], alice.standing.access) == (True, True)
    assert ["Receipt", f"by email to {alice.email}"] in said["details"]
    assert said["action"]["label"] == "Go to Dunlin"
    alice.sandbox.calm()
    catch_up(desk)


def test_nothing_in_the_address_is_believed_and_the_worker_is_woken_where_stripe_is_away(
    desk: Flask, alice: Shopper
) -> None:
    bell = Bell(desk)
    session_id = alice.order("pro")
    catch_up(desk)
    kept = ("fetched_at", "fetch_no", "last_seen_at", "hits")
    before, rung = all_rows(db.session(), but=kept), bell.rung
    alice.sandbox.control("trouble", api="error_500")
    for forged in ("", "&status=complete", "&payment_status=paid", "&redirect_status=succeeded"):
        answer = alice.get(f"/checkout/return?session_id={session_id}{forged}")
        assert "We’re confirming your payment." in html.unescape(answer.text)
        alice.get(f"/checkout/state?session_id={session_id}{forged}")
    after = all_rows(db.session(), but=kept)
    assert {table for table in after if after[table] != before[table]} <= {
        "stripe_events",
        "leases",
        "rate_hits",
    }
    assert bell.rung == rung + 4
    assert may_not_enter(alice)
    alice.sandbox.calm()
    alice.subscribe("pro")
    rung, asked = bell.rung, count(StripeEvent)
    page(alice, session_id)
    assert (bell.rung, count(StripeEvent)) == (rung, asked), "nothing more is to come, so nothing is asked"


def test_a_confirmation_that_is_long_in_coming_is_said_with_its_reference(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order("pro")
    alice.sandbox.control("trouble", api="error_500")
    for ago, code in ((30, "confirming"), (61, "waiting")):
        told(status="complete", subscription="sub_new", completed_at=now() - timedelta(seconds=ago))
        said = state(alice, session_id)
        assert (said["code"], said["final"]) == (code, False)
    assert said["h1"] == "We’re still waiting for confirmation."
    assert f"Stripe has your order {session_id[-8:].upper()}; our records haven’t caught up." in said["body"]
    assert f"We’ll email {alice.email} the moment it’s done." in said["body"]
    assert "You don’t need to pay again." in said["body"]
    assert may_not_enter(alice)


def test_an_expired_session_says_that_nothing_was_charged(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("pro")
    alice.sandbox.stripe.checkout.sessions.expire(session_id)
    catch_up(desk)
    said = state(alice, session_id)
    assert (said["code"], said["h1"]) == ("expired", "This payment page has expired.")
    assert (said["body"], said["final"]) == ("You have not been charged.", True)
    assert may_not_enter(alice)


def test_it_says_where_one_stands_at_every_later_visit_too(desk: Flask, alice: Shopper) -> None:
    session_id = alice.subscribe("team")
    said = state(alice, session_id)
    assert said["code"] == "trialing"
    assert [label for label, _ in said["details"]] == ["Next payment"], (
        "nothing was paid: no receipt is promised"
    )
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    catch_up(desk)
    said = state(alice, session_id)
    assert (said["code"], said["final"]) == ("ended", True)
    assert may_not_enter(alice)


def test_a_one_off_purchase_is_confirmed_only_when_it_is_fulfilled(desk: Flask, alice: Shopper) -> None:
    session_id = alice.buy()
    alice.pay(session_id, DECLINED)
    catch_up(desk)
    assert state(alice, session_id)["code"] == "open"
    alice.sandbox.control("trouble", delivery="hold", api="error_500")
    assert comes_back(alice, alice.pay(session_id).location) == session_id
    assert state(alice, session_id)["code"] == "confirming"
    alice.sandbox.calm()
    said = state(alice, session_id)
    assert (said["h1"], said["tag"], said["final"]) == ("You bought 100 credits.", "Paid", True)
    assert said["body"].startswith("€15.00, paid on ")
    assert may_not_enter(alice)
    catch_up(desk)
    assert alice.mails() == ["one_off_receipt"]


def test_a_payment_page_that_was_left_says_so_and_leads_back_to_it(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("pro")
    assert alice.get(f"/checkout/state?session_id={session_id}").get_json()["code"] == "confirming", "unasked"
    said = state(alice, session_id)
    found = alice.sandbox.stripe.checkout.sessions.retrieve(session_id)
    until = moment_text(datetime.fromtimestamp(found["expires_at"], UTC))
    assert (said["code"], said["h1"], said["final"]) == ("open", "You haven’t finished paying.", False)
    assert said["body"] == f"You have not been charged. Your choice is kept until {until}."
    assert (said["action"]["label"], said["action"]["href"]) == ("Continue to payment", found["url"])
    alice.sandbox.control("trouble", delivery="hold", api="error_500")
    alice.pay(session_id)
    assert state(alice, session_id)["code"] == "confirming", "that it is unpaid is not known any more"
    db.session.execute(update(StripeEvent).values(received_at=now() - timedelta(minutes=2)))
    db.session.commit()
    assert "Stripe hasn’t answered us yet." in state(alice, session_id)["body"]
    alice.sandbox.calm()


def test_coming_back_is_looked_at_so_often_and_then_by_the_worker(
    desk: Flask, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LOOKS", 1)
    session_id = alice.order("pro")
    assert state(alice, session_id)["code"] == "open"
    alice.sandbox.control("trouble", delivery="hold")
    assert alice.pay(session_id).status == 303
    assert state(alice, session_id)["code"] == "confirming"
    apply_all()
    assert state(alice, session_id)["h1"] == "We’re confirming your payment.", "its plan is not on record"
    alice.sandbox.calm()
    catch_up(desk)
    assert state(alice, session_id)["h1"].startswith("You’re on Pro.")


def test_nobody_waits_for_a_slow_stripe_and_the_look_goes_on_without_them(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order("pro")
    alice.sandbox.control("trouble", delivery="drop", api="slow", slow_seconds=3)
    assert alice.pay(session_id).status == 303
    bell = Bell(desk)
    assert page(alice, session_id)["h1"] == "We’re confirming your payment.", "three seconds are too many"
    [asked] = events(type="dunlin.refresh.checkout_session")
    assert (asked.state, bell.rung) == (StripeEvent.PENDING, 1)
    alice.sandbox.calm()
    assert state(alice, session_id)["h1"].startswith("You’re on Pro.")
