"""The desk's list of people: who may see it, what it shows, how it is searched and paged."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing.models import CheckoutSession, User
from tests import admin_rows as rows
from tests.support import csrf_of, make_user

PAGES = ("/admin/", "/admin/subscribers", "/admin/subscribers/1", "/admin/events", "/admin/events/evt_1")
POSTS = ("/admin/subscribers/1/sync", "/admin/events/evt_1/run", "/admin/events/evt_1/rehearse")


@pytest.fixture
def desk_of_admin(client: FlaskClient, admin: User, sign_in: Callable[..., None]) -> FlaskClient:
    """The admin's signed-in browser."""
    sign_in(client, admin)
    return client


def listed(page: Any) -> list[str]:
    """The addresses in the list, in its order."""
    assert page.status_code == 200
    return re.findall(r'<th scope="row"[^>]*><a href="[^"]*">([^<]*)</a>', page.text)


def link(page: Any, words: str) -> str | None:
    found = re.search(rf'<a href="([^"]*)"[^>]*>{words}</a>', page.text)
    return found[1].replace("&amp;", "&") if found else None


def test_a_stranger_is_asked_to_sign_in(client: FlaskClient) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert (answer.status_code, answer.location) == (303, f"/login?next={path}")


def test_a_subscriber_may_not_open_the_desk(
    client: FlaskClient, alice: User, sign_in: Callable[..., None]
) -> None:
    sign_in(client, alice)
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 403, path
        assert "You can’t open this page." in answer.text


def test_a_subscriber_may_not_press_the_desks_buttons(
    client: FlaskClient, db_session: Session, alice: User, sign_in: Callable[..., None]
) -> None:
    rows.stripe_event(db_session, event_id="evt_1", state="parked")
    sign_in(client, alice)
    token = csrf_of(client)
    for path in POSTS:
        assert client.post(path, data={"csrf_token": token}).status_code == 403, path
    assert not rows.audit_of(db_session, "event.run_again")
    assert not rows.audit_of(db_session, "subscriber.sync")


def test_the_desks_buttons_need_a_token(desk_of_admin: FlaskClient, db_session: Session) -> None:
    rows.stripe_event(db_session, event_id="evt_1", state="parked")
    for path in POSTS:
        assert desk_of_admin.post(path).status_code == 400, path
    assert not rows.audit_of(db_session, "event.run_again")


def test_the_desk_opens_with_its_people(desk_of_admin: FlaskClient) -> None:
    answer = desk_of_admin.get("/admin/")
    assert (answer.status_code, answer.location) == (303, "/admin/subscribers")


def test_everybody_is_listed_once_newest_first(
    desk_of_admin: FlaskClient, db_session: Session, alice: User, bob: User
) -> None:
    rows.subscription(db_session, alice, status="canceled", ended_at=rows.NOW)
    rows.subscription(db_session, alice, plan="basic")
    page = desk_of_admin.get("/admin/subscribers")
    assert listed(page) == ["bob@example.com", "alice@example.com", "admin@example.com"]
    assert "3 subscribers" in page.text
    assert ">Active</span>" in page.text
    assert "No plan" in page.text
    assert '<td role="cell">Basic</td>' in page.text


def test_the_live_subscription_speaks_for_a_person_even_where_an_ended_one_is_newer(
    desk_of_admin: FlaskClient, db_session: Session, alice: User
) -> None:
    rows.subscription(db_session, alice, plan="basic", created=rows.NOW - timedelta(days=40))
    rows.subscription(db_session, alice, status="canceled", ended_at=rows.NOW, plan="pro")
    assert listed(desk_of_admin.get("/admin/subscribers?status=active")) == ["alice@example.com"]
    assert listed(desk_of_admin.get("/admin/subscribers?status=canceled")) == []
    assert listed(desk_of_admin.get("/admin/subscribers?plan=pro")) == []


def test_the_list_is_filtered_by_status_plan_and_what_is_set_to_end(
    desk_of_admin: FlaskClient, db_session: Session, alice: User, bob: User, charlie: User
) -> None:
    rows.subscription(db_session, alice, plan="basic")
    rows.subscription(db_session, bob, status="past_due", cancel_at_period_end=True)
    rows.subscription(db_session, charlie, status="canceled", cancel_at_period_end=True, ended_at=rows.NOW)

    def names(query: str) -> list[str]:
        return [
            address.partition("@")[0] for address in listed(desk_of_admin.get(f"/admin/subscribers?{query}"))
        ]

    assert names("status=active") == ["alice"]
    assert names("status=past_due") == ["bob"]
    assert names("status=canceling") == ["bob"]
    assert names("status=none") == ["admin"]
    assert names("plan=pro") == ["charlie", "bob"]
    assert names("plan=pro&status=past_due") == ["bob"]
    assert names("plan=pro&status=none") == []
    assert names("q=LIE@&plan=pro") == ["charlie"]


def test_a_whole_address_shows_its_person_alone_and_a_part_of_one_everybody_who_has_it(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    for address in ("ann@example.com", "joann@example.com", "o'hara@example.com"):
        rows.subscription(db_session, make_user(db_session, address))

    def found(q: str, **more: str) -> list[str]:
        return listed(desk_of_admin.get("/admin/subscribers", query_string={"q": q, **more}))

    assert found(" Ann@Example.com ") == found("ann@example.com", status="active") == ["ann@example.com"]
    assert found("ann@example.com", status="past_due") == []
    assert found("ann@") == found("nn@example.com") == ["joann@example.com", "ann@example.com"]
    assert found("o'hara@example.com") == ["o&#39;hara@example.com"]


def test_a_filter_that_is_no_choice_is_shown_and_can_be_cleared(desk_of_admin: FlaskClient) -> None:
    page = desk_of_admin.get("/admin/subscribers?status=frozen")
    assert listed(page) == []
    assert '<option value="frozen" selected>frozen</option>' in page.text
    assert "Clear filters" in page.text


def test_a_search_takes_the_wildcards_of_like_as_they_are(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    for address in ("a_b@example.com", "axb@example.com", "100%@example.com", "sl/ash@example.com"):
        make_user(db_session, address)
    assert listed(desk_of_admin.get("/admin/subscribers?q=a_b")) == ["a_b@example.com"]
    assert listed(desk_of_admin.get("/admin/subscribers?q=0%25")) == ["100%@example.com"]
    assert listed(desk_of_admin.get("/admin/subscribers?q=l/a")) == ["sl/ash@example.com"]
    assert listed(desk_of_admin.get("/admin/subscribers?q=%25")) == ["100%@example.com"]


def test_what_was_searched_for_is_shown_as_text(desk_of_admin: FlaskClient) -> None:
    page = desk_of_admin.get("/admin/subscribers", query_string={"q": '"><script>alert(1)</script>'})
    assert "<script>alert" not in page.text
    assert "No subscriber matches “&#34;&gt;&lt;script&gt;" in page.text


def test_odd_input_finds_nobody_and_breaks_nothing(desk_of_admin: FlaskClient) -> None:
    for query in ("q=%00", "q=%F0%9F%90%A6", "q=" + "x" * 5000, "status=%00&plan=%0A"):
        assert desk_of_admin.get(f"/admin/subscribers?{query}").status_code == 200, query


def test_an_exact_id_of_stripe_leads_to_its_person(
    desk_of_admin: FlaskClient, db_session: Session, bob: User
) -> None:
    alice = make_user(db_session, "alice@example.com", customer="cus_alice")
    row = rows.subscription(db_session, alice)
    bill, bought = rows.invoice(db_session, row), rows.payment(db_session, alice)
    session = CheckoutSession(
        stripe_id="cs_test_1", user_id=alice.id, mode="subscription", item="pro", price_id="p", status="open"
    )
    rows.add(db_session, session)
    waiting = rows.stripe_event(db_session, state="pending", customer_id="cus_alice")
    ids = ["cus_alice", row.stripe_id, bill.stripe_id, bill.payment_intent, bought.payment_intent]
    for known in [*ids, "cs_test_1", row.cause_event_id, waiting.event_id]:
        answer = desk_of_admin.get(f"/admin/subscribers?q=+{known}+")
        assert (answer.status_code, answer.location) == (303, f"/admin/subscribers/{alice.id}"), known
    for unknown in ("cus_nobody", "sub_", "evt_0", "in_%25"):
        page = desk_of_admin.get(f"/admin/subscribers?q={unknown}")
        assert listed(page) == []
        assert "No subscriber matches" in page.text


def test_an_address_that_looks_like_an_id_is_found_as_an_address(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    make_user(db_session, "in_house@example.com")
    assert listed(desk_of_admin.get("/admin/subscribers?q=in_house")) == ["in_house@example.com"]


def test_pages_lead_to_everybody_once_and_back(desk_of_admin: FlaskClient, db_session: Session) -> None:
    for number in range(120):
        rows.subscription(db_session, make_user(db_session, f"person{number:03d}@example.com"))
    for filters in ("", "status=active", "plan=pro&q=person"):
        walk(desk_of_admin, filters)


def walk(desk_of_admin: FlaskClient, filters: str) -> None:
    """Through all pages of the 120 and back to the first."""
    first = desk_of_admin.get(f"/admin/subscribers?{filters}")
    expected = [f"person{number:03d}@example.com" for number in reversed(range(120))]
    assert link(first, "Newer") is None
    assert f"50 of {120 if filters else 121} subscribers" in first.text
    second = desk_of_admin.get(link(first, "Older") or "")
    third = desk_of_admin.get(link(second, "Older") or "")
    seen = [*listed(first), *listed(second), *listed(third)]
    assert seen[:120] == expected
    assert link(third, "Older") is None
    assert listed(desk_of_admin.get(link(third, "Newer") or "")) == listed(second)
    back = desk_of_admin.get(link(second, "Newer") or "")
    assert listed(back) == listed(first)
    assert link(back, "Newer") is None
    assert filters.partition("&")[0] in (link(first, "Older") or "")


def test_an_address_past_the_edge_leads_to_the_first_page(
    desk_of_admin: FlaskClient, alice: User, bob: User
) -> None:
    for place in ("before=1", f"after={bob.id}", f"after={alice.id}"):
        answer = desk_of_admin.get(f"/admin/subscribers?q=example&{place}")
        assert (answer.status_code, answer.location) == (303, "/admin/subscribers?q=example"), place


def test_a_page_that_cannot_be_is_not_found(desk_of_admin: FlaskClient) -> None:
    for place in ("before=x", "after=-1", "before=" + "9" * 30, "after=1.5", "before=²"):
        assert desk_of_admin.get(f"/admin/subscribers?{place}").status_code == 404, place


def test_the_list_asks_the_database_as_often_for_many_as_for_few(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    def asked(people: range) -> list[int]:
        for number in people:
            user = make_user(db_session, f"person{number}@example.com")
            row = rows.subscription(db_session, user, status="past_due", cancel_at_period_end=True)
            rows.owed(db_session, row)
            rows.dispute(db_session, user)
        filters = (
            "",
            "status=past_due",
            "plan=pro",
            "status=canceling",
            "q=person",
            "status=none",
            "q=cus_0",
        )
        return [count(f"/admin/subscribers?{one}") for one in filters]

    def count(address: str) -> int:
        with rows.queries() as seen:
            assert desk_of_admin.get(address).status_code == 200
        assert not [query for query in seen if "OFFSET" in query.upper()]
        return len(seen)

    few, many, more = asked(range(5)), asked(range(5, 60)), asked(range(60, 65))
    assert many == more
    assert all(small <= large for small, large in zip(few, many, strict=True))
    assert few[0] == many[0] - 1, "what stands on one page was counted by the database too"
    assert max(many) <= 6


CASES: list[dict[str, Any]] = [
    {"status": "active"},
    {"status": "active", "cancel_at": rows.NOW + timedelta(days=3)},
    {"status": "active", "pause_collection": {"behavior": "void"}},
    {"status": "active", "schedule": "sub_sched_1"},
    {"status": "active", "plan": None},
    {"status": "active", "invoice": {"needs_action": True}},
    {"status": "active", "dispute": {}},
    {"status": "trialing", "trial_end": rows.NOW + timedelta(days=9)},
    {"status": "trialing", "trial_end": rows.NOW + timedelta(days=9), "card_last4": None},
    {"status": "past_due", "first_failed_at": rows.NOW - timedelta(days=2), "invoice": {}},
    {"status": "past_due", "first_failed_at": rows.NOW - timedelta(days=30), "invoice": {}},
    {"status": "incomplete"},
    {"status": "incomplete", "invoice": {}},
    {"status": "incomplete", "invoice": {"needs_action": True}},
    {"status": "incomplete_expired"},
    {"status": "unpaid", "invoice": {}},
    {"status": "paused", "status_reason": "trial_end_without_payment_method"},
    {"status": "canceled", "ended_at": rows.NOW, "cancellation_reason": "payment_failed", "invoice": {}},
    {"status": "canceled", "ended_at": rows.NOW},
    {"status": "on_the_moon"},
    {"status": "past_due", "clock_time": rows.NOW + timedelta(days=90), "first_failed_at": rows.NOW},
]


def test_the_list_the_page_and_the_person_are_told_the_same(
    client: FlaskClient, db_session: Session, admin: User, sign_in: Callable[..., None]
) -> None:
    told: dict[int, tuple[str, str]] = {}
    for number, case in enumerate(CASES):
        user = make_user(db_session, f"person{number}@example.com")
        case_of(db_session, user, **case)
        sign_in(client, user)
        page = client.get("/billing").text
        sentence, tag = re.search(r"<h1>(.*?)</h1>", page), re.search(r'<span class="tag .*?</span>', page)
        assert sentence, case
        assert tag, case
        told[user.id] = sentence[1], tag[0]
    sign_in(client, admin)
    everybody = client.get("/admin/subscribers").text
    for user_id, (sentence_, tag_) in told.items():
        row = everybody.partition(f'<a href="/admin/subscribers/{user_id}">')[2].partition("</tr>")[0]
        assert tag_ in row
        assert f"“{sentence_}”" in client.get(f"/admin/subscribers/{user_id}").text


def case_of(session: Session, user: User, **facts: Any) -> None:
    bill, contested = facts.pop("invoice", None), facts.pop("dispute", None)
    row = rows.subscription(session, user, **facts)
    if bill is not None:
        rows.owed(session, row, **bill)
    if contested is not None:
        rows.dispute(session, user, **contested)
