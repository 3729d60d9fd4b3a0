"""The ways from the portal to Stripe and back: for this click, for this person, and honest where Stripe is away."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from billing import throttle, writes
from billing.extensions import db
from billing.models import StripeEvent, StripeWrite
from billing.portal import CHECKS, HOUR
from tests.story import FAILS_LATER, Shopper, apply_all, catch_up, config_of, count, post_page, shopper
from tests.test_plan_change import renew
from tests.watching import all_rows

AWAY = "Stripe isn’t answering right now."
UNCHANGED = "You haven’t been charged, and your plan and access are unchanged."


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    """Subscribed to Pro."""
    found = shopper(desk)
    found.has()
    return found


def asked(person: Shopper, path: str) -> dict[str, Any]:
    """What Stripe was last asked to do there."""
    requests = person.sandbox.look("requests")["requests"]
    found = [one for one in requests if one["path"] == path and one["method"] == "POST"]
    params: dict[str, Any] = found[-1]["params"]
    return params


def kept_in(word: str) -> set[str]:
    """The tables that hold this word, but the one that keeps Stripe's events as they were signed."""
    db.session.rollback()
    tables = db.session.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars()
    query = 'select count(*) from "{}" t where strpos(to_jsonb(t)::text, :word) > 0'
    found = {
        one for one in tables.all() if db.session.execute(text(query.format(one)), {"word": word}).scalar()
    }
    return found - {"stripe_events"}


def is_away(answer: TestResponse) -> bool:
    return answer.status_code == 503 and AWAY in answer.text and UNCHANGED in answer.text


def test_each_click_opens_a_portal_of_its_own_with_its_flow_and_the_way_back(alice: Shopper) -> None:
    back = f"{config_of(alice.desk).public_url}/billing"
    home: dict[str, Any] = {"customer": alice.customer, "return_url": back}
    after = {"type": "redirect", "redirect": {"return_url": back}}
    flows: dict[str, dict[str, Any]] = {
        "home": home,
        "payment_method_update": {
            **home,
            "flow_data": {"type": "payment_method_update", "after_completion": after},
        },
        "subscription_cancel": {
            **home,
            "flow_data": {
                "type": "subscription_cancel",
                "after_completion": after,
                "subscription_cancel": {"subscription": alice.row.stripe_id},
            },
        },
    }
    places = set()
    for flow, params in flows.items():
        for _ in range(2):
            answer = alice.post(f"/billing/portal/{flow}")
            assert answer.status_code == 303
            assert answer.location.startswith(f"{alice.sandbox.url}/p/session/")
            assert asked(alice, "/v1/billing_portal/sessions") == params
            places.add(answer.location)
    assert len(places) == 6
    for place in places:
        token = place.rpartition("/")[2]
        assert kept_in(token) == set()
        assert token not in alice.get("/billing").text


def test_there_is_no_way_for_a_flow_that_is_not_offered_or_a_person_or_plan_that_has_none(
    desk: Flask, alice: Shopper
) -> None:
    bob = shopper(desk, "bob@example.com")
    for person, flow in (
        (alice, "subscription_update"),
        (alice, "subscription_cancel_confirm"),
        (bob, "home"),
        (bob, "payment_method_update"),
    ):
        assert person.post(f"/billing/portal/{flow}").status_code == 404
    for person in (alice, bob):
        keep(person)  # nothing is set to end
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    catch_up(desk)
    assert alice.post("/billing/portal/subscription_cancel").status_code == 404
    assert alice.post("/billing/portal/home").status_code == 303  # old invoices stay within reach
    keep(alice)  # what has ended is not brought back
    assert count(StripeWrite, operation="subscription.update") == 0


def test_an_invoice_opens_at_stripe_for_its_owner_alone(desk: Flask, alice: Shopper) -> None:
    bob = shopper(desk, "bob@example.com")
    alice.use_card(FAILS_LATER)
    renew(alice)
    mine = alice.invoices[-1].stripe_id
    url = alice.sandbox.stripe.invoices.retrieve(mine).hosted_invoice_url
    answer = alice.post(f"/invoices/{mine}/open")
    assert (answer.status_code, answer.location) == (303, url)
    for person, stripe_id in ((bob, mine), (alice, "in_never"), (alice, "x" * 300)):
        assert person.post(f"/invoices/{stripe_id}/open").status_code == 404
    assert kept_in(url.rpartition("/")[2]) == set()
    assert url not in alice.get("/invoices").text
    alice.sandbox.control("trouble", api="error_500")
    assert is_away(alice.post(f"/invoices/{mine}/open"))


def cancel(person: Shopper) -> None:
    """At Stripe's own page, by the way that the billing page offers."""
    place = person.post("/billing/portal/subscription_cancel").location
    answer = post_page(f"{place}/cancel/{person.row.stripe_id}", feedback="unused")
    assert (answer.status, answer.location) == (303, f"{config_of(person.desk).public_url}/billing")


def keep(person: Shopper) -> None:
    answer = person.post("/billing/resume")
    assert (answer.status_code, answer.location) == (303, "/billing")


def end_on_a_date(person: Shopper) -> None:
    """As portals of Stripe's flexible billing mode do: only ``cancel_at`` is set."""
    end = int(person.row.current_period_end.timestamp())  # type: ignore[union-attr]
    person.sandbox.stripe.subscriptions.update(person.row.stripe_id, {"cancel_at": end})


def test_a_plan_that_was_set_to_end_is_kept_by_one_click_whichever_way_it_was_to_end(alice: Shopper) -> None:
    for times, end in enumerate((cancel, end_on_a_date, cancel), start=1):
        end(alice)
        assert alice.standing.code == "active"  # what Stripe's page did is not known before its event
        catch_up(alice.desk)
        assert (alice.standing.code, alice.standing.access) == ("canceling", True)
        assert alice.row.cancel_at_period_end is (end is cancel)
        assert "Keep Pro" in alice.get("/billing").text
        keep(alice)
        there = asked(alice, f"/v1/subscriptions/{alice.row.stripe_id}")
        assert there == ({"cancel_at_period_end": "false"} if end is cancel else {"cancel_at": ""})
        assert "You’re keeping Pro." in alice.get("/billing").text
        keep(alice)  # a second click is the same wish
        catch_up(alice.desk)
        kept = alice.sandbox.stripe.subscriptions.retrieve(alice.row.stripe_id)
        assert (kept.cancel_at, kept.cancel_at_period_end) == (None, False)
        assert alice.standing.code == "active"
        assert alice.mails() == ["receipt", *["cancel_set", "kept"] * times]
        assert count(StripeWrite, operation="subscription.update") == times
        alice.advance_by(60)


def test_a_plan_that_ended_at_stripe_unheard_is_shown_as_ended_when_somebody_wants_to_keep_or_cancel_it(
    alice: Shopper,
) -> None:
    cancel(alice)
    catch_up(alice.desk)
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    keep(alice)
    page = alice.get("/billing").text
    assert "Stripe didn’t take that. This page shows where your plan stands." in page
    assert "Your Pro plan ended on" in page
    assert AWAY not in page


def test_where_stripe_is_away_the_page_says_that_nothing_changed_and_so_it_is(alice: Shopper) -> None:
    before = all_rows(db.session())
    alice.sandbox.control("trouble", api="error_500")
    for flow in ("home", "subscription_cancel"):
        assert is_away(alice.post(f"/billing/portal/{flow}"))
    assert is_away(alice.post("/billing/check"))
    assert (alice.standing.code, alice.standing.access) == ("active", True)
    alice.sandbox.calm()
    assert alice.post("/billing/portal/home").status_code == 303
    changed = {name for name, rows in all_rows(db.session()).items() if rows != before[name]}
    assert changed <= {"stripe_writes", "stripe_events", "leases", "rate_hits", "login_sessions"}


def test_a_wish_to_keep_a_plan_that_gets_no_answer_is_called_unknown_and_comes_true_by_itself_once(
    alice: Shopper,
) -> None:
    for wishes, trouble in enumerate(("error_500", "applied_then_500"), start=1):
        cancel(alice)
        catch_up(alice.desk)
        alice.sandbox.control("trouble", api=trouble)
        answer = alice.post("/billing/resume")
        assert answer.status_code == 503
        assert "We don’t know yet whether that went through." in answer.text
        assert UNCHANGED not in answer.text  # it may be kept now, or soon
        alice.sandbox.calm()
        writes.finish_open(db.session(), older_than=-HOUR)
        catch_up(alice.desk)
        assert alice.standing.code == "active"
        assert alice.mails()[-1] == "kept"
        assert alice.mails().count("kept") == wishes
        assert count(StripeWrite, operation="subscription.update") == wishes


def test_check_again_asks_stripe_what_no_event_told_ten_times_in_an_hour_at_most(alice: Shopper) -> None:
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    alice.sandbox.flush()
    apply_all()
    assert alice.standing.code == "active"
    answer = alice.post("/billing/check")
    assert (answer.status_code, answer.location) == (303, "/billing")
    assert alice.standing.code == "canceling"
    [event] = db.session.execute(select(StripeEvent).filter_by(type="dunlin.refresh")).scalars()
    assert (event.source, event.state, event.user_id) == ("customer", "applied", alice.id)
    for _ in range(CHECKS - 2):
        throttle.hit(db.session(), throttle.bucket("check", str(alice.id)), CHECKS, window=HOUR)
    for in_all in (2, 2, 2):  # the tenth is asked, and no other in this hour
        answer = alice.post("/billing/check")
        assert (answer.status_code, answer.location) == (303, "/billing")
        assert count(StripeEvent, type="dunlin.refresh") == in_all
