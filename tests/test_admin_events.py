"""The desk's inbox: what Stripe told, what became of it, and running it again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import audit
from billing.admin import redact
from billing.extensions import db
from billing.models import StripeEvent, User
from tests import admin_rows as rows
from tests.story import events, shopper
from tests.support import Sandbox, make_user


@pytest.fixture
def desk_of_admin(client: FlaskClient, admin: User, sign_in: Callable[..., None]) -> FlaskClient:
    sign_in(client, admin)
    return client


def listed(page: Any) -> list[str]:
    assert page.status_code == 200
    return re.findall(r'<th scope="row"[^>]*><a href="/admin/events/([^"]*)">', page.text)


def link(page: Any, words: str) -> str:
    found = re.search(rf'<a href="([^"]*)"[^>]*>{words}</a>', page.text)
    return found[1].replace("&amp;", "&") if found else ""


def test_before_the_first_webhook_the_page_names_the_endpoint(desk_of_admin: FlaskClient) -> None:
    page = desk_of_admin.get("/admin/events").text
    assert "No webhook has arrived yet." in page
    assert "http://127.0.0.1:1/webhooks/stripe" in page
    assert "none yet" in page


def test_events_are_listed_with_what_became_of_them(desk_of_admin: FlaskClient, db_session: Session) -> None:
    ana = make_user(db_session, "ana@example.com", customer="cus_ana")
    rows.stripe_event(db_session, event_id="evt_done", user_id=ana.id)
    rows.stripe_event(db_session, "ping", event_id="evt_other", state="ignored", reason="type not handled")
    rows.stripe_event(
        db_session, event_id="evt_stuck", state="parked", reason="KeyError", customer_id="cus_ana"
    )
    page = desk_of_admin.get("/admin/events")
    assert listed(page) == ["evt_stuck", "evt_other", "evt_done"]
    assert "3 events" in page.text
    for words in ("Applied", "Nothing to do", "Failed", "type not handled", "KeyError"):
        assert words in page.text
    assert page.text.count(f'<a href="/admin/subscribers/{ana.id}">ana@example.com</a>') == 2
    assert page.text.count('action="/admin/events/') == 2
    assert 'action="/admin/events/evt_other/run"' not in page.text


def test_the_head_says_what_came_last_what_waits_what_failed_and_what_is_of_another_version(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    for state, hours in (("pending", 3), ("pending", 2), ("parked", 4), ("parked", 5), ("applied", 1)):
        rows.stripe_event(db_session, state=state, received_at=rows.NOW - timedelta(hours=hours))
    rows.stripe_event(db_session, "dunlin.refresh", source="reconciler", received_at=rows.NOW)
    for hours, version in ((1, "2024-06-20"), (2, None), (30, "2024-06-20")):
        moment = rows.NOW - timedelta(hours=hours, minutes=1)
        rows.stripe_event(db_session, state="applied", received_at=moment, api_version=version)
    page = desk_of_admin.get("/admin/events").text
    head = dict(re.findall(r"<dt>([^<]*)</dt><dd>(?:<time[^>]*>)?([^<]*)", page))
    assert head["Last webhook received"].endswith(f"{rows.NOW - timedelta(hours=1):%H:%M} UTC")
    assert head["Oldest not applied"].endswith(f"{rows.NOW - timedelta(hours=3):%H:%M} UTC")
    assert head["Failed"] == "2"
    assert head["Of another API version, last 24 hours"] == "2"


def test_events_are_filtered_by_state_and_type(desk_of_admin: FlaskClient, db_session: Session) -> None:
    rows.stripe_event(db_session, "invoice.paid", event_id="evt_1", state="parked")
    rows.stripe_event(db_session, "invoice.voided", event_id="evt_2", state="parked")
    rows.stripe_event(db_session, "invoice.paid", event_id="evt_3")
    assert listed(desk_of_admin.get("/admin/events?state=parked")) == ["evt_2", "evt_1"]
    assert listed(desk_of_admin.get("/admin/events?type=invoice.paid")) == ["evt_3", "evt_1"]
    assert listed(desk_of_admin.get("/admin/events?type=invoice.paid&state=parked")) == ["evt_1"]
    page = desk_of_admin.get("/admin/events?type=customer.created")
    assert "No event matches these filters." in page.text
    assert '<option value="customer.created" selected>' in page.text


def test_pages_of_events_lead_on_and_back_even_where_many_arrived_at_once(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    for _ in range(120):
        rows.stripe_event(db_session, received_at=rows.NOW)
    first = desk_of_admin.get("/admin/events?state=applied")
    second = desk_of_admin.get(link(first, "Older"))
    third = desk_of_admin.get(link(second, "Older"))
    seen = [*listed(first), *listed(second), *listed(third)]
    assert len(seen) == 120
    assert seen == sorted(seen, reverse=True)
    assert not link(third, "Older")
    assert listed(desk_of_admin.get(link(third, "Newer"))) == listed(second)
    assert listed(desk_of_admin.get(link(second, "Newer"))) == listed(first)
    assert "50 of 120 events" in second.text
    gone = desk_of_admin.get("/admin/events?state=applied&before=evt_nowhere")
    assert (gone.status_code, gone.location) == (303, "/admin/events?state=applied")


def test_the_events_page_asks_the_database_as_often_for_many_as_for_few(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    def asked(count: range) -> int:
        for number in count:
            user = make_user(db_session, f"person{number}@example.com", customer=f"cus_{number}")
            rows.stripe_event(db_session, user_id=user.id)
            rows.stripe_event(db_session, customer_id=user.stripe_customer_id, state="pending")
        with rows.queries() as seen:
            assert desk_of_admin.get("/admin/events").status_code == 200
        assert not [query for query in seen if "stripe_events.payload" in query], "payloads are not for lists"
        return len(seen)

    few, many, more = asked(range(5)), asked(range(5, 60)), asked(range(60, 65))
    assert (few, many) == (many - 1, more), "what stands on one page is not counted by the database"
    assert many <= 6


def test_one_event_shows_its_payload_without_what_tells_who_somebody_is(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    charge = {
        "id": "ch_1",
        "customer": "cus_ana",
        "receipt_email": "ana@example.com",
        "description": "Pro for ana@example.com",
        "receipt_url": "https://pay.stripe.com/receipts/secret",
        "billing_details": {"name": "Ana Berg", "phone": "+49 30 1", "address": {"line1": "Kai 1"}},
        "payment_method_details": {"card": {"fingerprint": "fp123", "last4": "4242", "brand": "visa"}},
        "shipping": None,
        "refunds": {"object": "list", "url": "/v1/charges/ch_1/refunds", "data": []},
    }
    body = json.dumps({"id": "evt_p", "data": {"object": charge, "previous_attributes": {"name": "Ana"}}})
    rows.stripe_event(db_session, "charge.refunded", event_id="evt_p", payload=body, customer_id="cus_ana")
    page = desk_of_admin.get("/admin/events/evt_p").text
    for hidden in ("ana@example.com", "Ana", "+49", "Kai", "fp123", "receipts/secret"):
        assert hidden not in page
    for shown in ("ch_1", "cus_ana", "4242", "visa", "[hidden]", "/v1/charges/ch_1/refunds", "<details>"):
        assert shown in page


@pytest.mark.parametrize("body", ["not json", "[" * 5000, '{"a":' * 700 + "1" + "}" * 700])
def test_a_payload_that_cannot_be_read_says_so(body: str) -> None:
    assert redact.pretty(body)


def test_one_event_shows_what_it_changed(
    desk_of_admin: FlaskClient, db_session: Session, alice: User
) -> None:
    row = rows.subscription(db_session, alice, status="past_due")
    moved = {"before": {"status": "active", "cancel_at_period_end": False}, "cause": row.cause_event_id}
    early = rows.NOW - timedelta(minutes=1)
    db_session.get_one(StripeEvent, row.cause_event_id).received_at = early
    audit.record(
        db_session,
        "subscription.status",
        actor="stripe",
        user_id=alice.id,
        subject=row.stripe_id,
        after={"status": "past_due", "cancel_at_period_end": True},
        **moved,
    )
    db_session.commit()
    page = desk_of_admin.get(f"/admin/events/{row.cause_event_id}").text
    cells = re.findall(r'<t[hd][^>]*role="(?:rowheader|cell)">([^<]*)', page)
    assert cells == ["Subscription", "active", "past_due", "Subscription: ends with the period", "no", "yes"]


def test_an_unknown_event_is_not_found(desk_of_admin: FlaskClient) -> None:
    for event_id in ("evt_nowhere", "%00", "x" * 3000, "evt_%F0%9F%90%A6"):
        assert desk_of_admin.get(f"/admin/events/{event_id}").status_code == 404, event_id
        assert rows.press(desk_of_admin, f"/admin/events/{event_id}/rehearse").status_code == 404, event_id
        assert rows.press(desk_of_admin, f"/admin/events/{event_id}/run").status_code == 404, event_id


def test_running_an_event_again_in_vain_says_so_and_is_written_down(
    desk_of_admin: FlaskClient, db_session: Session, alice: User, admin: User
) -> None:
    kept = rows.stripe_event(db_session, state="parked", attempts=3, user_id=alice.id, reason="KeyError")
    answer = rows.press(desk_of_admin, f"/admin/events/{kept.event_id}/run")
    assert (answer.status_code, answer.location) == (303, f"/admin/events/{kept.event_id}")
    page = desk_of_admin.get(answer.location).text
    assert "The event was not applied yet: Stripe answered nothing" in page
    assert "Trying again" in page
    (entry,) = rows.audit_of(db_session, "event.run_again")
    assert (entry.actor, entry.user_id, entry.subject) == (f"admin:{admin.id}", alice.id, kept.event_id)
    assert entry.before == {"state": "parked", "attempts": 3}


def test_an_event_that_nothing_is_done_for_is_not_run(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    kept = rows.stripe_event(db_session, "customer.created", state="ignored", reason="type not handled")
    answer = rows.press(desk_of_admin, f"/admin/events/{kept.event_id}/run")
    page = desk_of_admin.get(answer.location).text
    assert "This event can’t be run again: nothing is done for its type." in page
    assert "Run again" not in page
    assert not rows.audit_of(db_session, "event.run_again")


def test_running_from_the_list_leads_back_to_it(desk_of_admin: FlaskClient, db_session: Session) -> None:
    kept = rows.stripe_event(db_session, state="parked")
    path = f"/admin/events/{kept.event_id}"
    for came_from, back in (
        ("http://localhost/admin/events?state=parked", "/admin/events?state=parked"),
        ("http://localhost/admin/subscribers/1", path),
        ("http://other.example//other.example/admin/events", path),
    ):
        page = rows.press(desk_of_admin, f"{path}/rehearse", came_from=came_from).text
        hidden = re.search(r'name="back" value="([^"]*)"', page)
        assert hidden is not None
        assert hidden[1] == back
        assert rows.press(desk_of_admin, f"{path}/run", back=back).location == back
    for foreign in ("//other.example/", "https://other.example/", "javascript:alert(1)"):
        assert rows.press(desk_of_admin, f"{path}/run", back=foreign).location == path


def test_what_running_again_would_change_is_shown_first_and_nothing_is_changed_by_looking(
    desk: Flask, sign_in: Callable[..., None]
) -> None:
    ana = shopper(desk, "ana@example.com")
    ana.subscribe()
    [paid] = [event.event_id for event in events(type="invoice.paid", customer_id=ana.customer)]
    ana.sandbox.control("trouble", delivery="drop")
    ana.sandbox.stripe.subscriptions.cancel(ana.row.stripe_id)
    client = desk.test_client()
    sign_in(client, make_user(db.session(), "admin@example.com", is_admin=True))
    event_page = client.get(f"/admin/events/{paid}").text
    assert f'action="/admin/events/{paid}/rehearse"' in event_page
    page = rows.press(client, f"/admin/events/{paid}/rehearse").text
    found = re.findall(r'<t[hd][^>]*role="(?:rowheader|cell)"[^>]*>(.*?)</t[hd]>', page)
    cells = [re.sub(r'<span class="folded">.*?</span>|<[^>]*>', "", cell).strip() for cell in found]
    changes = [tuple(cells[at : at + 4]) for at in range(0, len(cells), 4)]
    assert (ana.row.stripe_id, "status", "active", "canceled") in changes
    assert ("A mail", "ended", "not owed", "owed") in changes
    assert ana.row.status == "active"
    rows.press(client, f"/admin/events/{paid}/run")
    assert ana.row.status == "canceled"
    assert "Nothing would change" in rows.press(client, f"/admin/events/{paid}/rehearse").text


def test_where_stripe_does_not_answer_the_page_says_that_it_cannot_tell(
    desk_of_admin: FlaskClient, db_session: Session
) -> None:
    kept = rows.stripe_event(db_session, state="parked")
    page = rows.press(desk_of_admin, f"/admin/events/{kept.event_id}/rehearse").text
    assert "What would change can’t be said now: Stripe answered nothing" in page
    assert "Run it again" in page


def test_running_an_event_again_applies_what_stripe_says_now(
    desk: Flask, sign_in: Callable[..., None]
) -> None:
    sandbox: Sandbox = desk.extensions["sandbox"]
    customer = sandbox.stripe.customers.create({"email": "stranger@example.com"})["id"]
    session = db.session()
    chief = make_user(session, "admin@example.com", is_admin=True)
    clock = sandbox.stripe.test_helpers.test_clocks.create(
        {"frozen_time": 1_800_000_000, "customer": customer}
    )
    kind = "test_helpers.test_clock.ready"
    kept = rows.stripe_event(session, kind, state="parked", subject=clock["id"], object_id=clock["id"])
    client = desk.test_client()
    sign_in(client, chief)
    answer = rows.press(client, f"/admin/events/{kept.event_id}/run")
    page = client.get(answer.location).text
    assert (
        "The event was run again. There was nothing to do: no subscription of ours is on this clock." in page
    )
    session.rollback()
    assert session.get_one(StripeEvent, kept.event_id).state == "ignored"
