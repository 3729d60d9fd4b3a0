"""Words in Stripe's answers that nobody here has heard: kept as they are, shown, and no ground to let anybody in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from billing.extensions import db
from billing.models import Dispute, StripeEvent
from tests.histories import MIRRORS, History, forget
from tests.registry import over_a_wire
from tests.seen import may_enter
from tests.story import GOOD, Shopper, catch_up, events, shopper
from tests.support import make_user, sign_in
from tests.watching import Lines
from tests.wire import Reply, Sent

DISPUTED = "4000000000000259"
NEW = "of_tomorrow"
Words = dict[str, dict[str, Any]]


def paused(reason: str) -> dict[str, Any]:
    return {"status": "paused", "status_details": {"paused": {"subscription": {"type": reason}}}}


# Words that are new at once, each its own, and whether a plan that was paid opens the product all the same.
WORDS: dict[str, tuple[bool, Words]] = {
    "how it is collected, by which card, why billed, whether paid, where a dispute stands": (
        True,
        {
            "subscription": {"collection_method": f"{NEW}_1"},
            "payment_method": {"type": f"{NEW}_2", "card": None},
            "invoice": {"billing_reason": f"{NEW}_3"},
            "payment_intent": {"status": f"{NEW}_4"},
            "checkout.session": {"payment_status": f"{NEW}_5"},
            "dispute": {"status": f"{NEW}_6"},
        },
    ),
    "how it pauses, how often it is due, what became of the bill and the Session, why it is disputed": (
        True,
        {
            "subscription": {"pause_collection": {"behavior": f"{NEW}_1", "resumes_at": None}},
            "price": {"recurring": {"interval": f"{NEW}_2", "interval_count": 1}},
            "invoice": {"status": f"{NEW}_3"},
            "checkout.session": {"status": f"{NEW}_4"},
            "dispute": {"reason": f"{NEW}_5"},
        },
    ),
    "why a payment failed": (
        True,
        {"invoice": {"status": "open"}, "payment_intent": {"last_payment_error": {"code": NEW}}},
    ),
    "why a plan is paused": (False, {"subscription": paused(NEW)}),
    "the status of a plan": (False, {"subscription": {"status": NEW}}),
    "why a plan was canceled": (
        False,
        {"subscription": {"status": "canceled", "cancellation_details": {"reason": NEW}}},
    ),
}


@contextmanager
def answering(desk: Flask, words: Words) -> Iterator[None]:
    """Stripe's answers with these fields changed in each object of that kind, at whatever depth."""

    def changed(node: Any) -> Any:
        if isinstance(node, list):
            return [changed(one) for one in node]
        if not isinstance(node, dict):
            return node
        more = words.get(str(node.get("object")), {}) if "id" in node else {}
        return {name: changed(value) for name, value in node.items()} | more

    def answer(sent: Sent) -> Reply | None:
        reply = wire.pass_on(sent)
        return reply and replace(reply, body=json.dumps(changed(json.loads(reply.body))).encode())

    with over_a_wire(desk, desk.extensions["sandbox"]) as wire:
        wire.answer = answer
        yield


def kept() -> str:
    """Every value of every row that says what Stripe holds."""
    db.session.rollback()
    rows = [row for model in (*MIRRORS, Dispute) for row in db.session.query(model)]
    return " ".join(str(getattr(row, column.key)) for row in rows for column in row.__table__.columns)


@pytest.fixture
def admin(desk: Flask) -> FlaskClient:
    client = desk.test_client()
    sign_in(client, make_user(db.session(), "ada@example.com", is_admin=True))
    return client


def opens_everywhere(alice: Shopper, admin: FlaskClient, sessions: list[str]) -> None:
    """Each page that tells of her, to herself and to an admin."""
    row = events(customer_id=alice.customer)[0]
    hers = ["/billing", "/invoices", "/plans", "/shop", "/account"]
    hers += [f"/checkout/{page}?session_id={one}" for page in ("return", "state") for one in sessions]
    for path in hers:
        assert alice.get(path).status_code == 200, path
    for path in (
        "/admin/subscribers",
        f"/admin/subscribers/{alice.id}",
        "/admin/events",
        f"/admin/events/{row.event_id}",
    ):
        assert admin.get(path).status_code == 200, path


def test_a_word_that_stripe_invents_tomorrow_is_kept_and_shown_and_opens_nothing(
    desk: Flask, admin: FlaskClient
) -> None:
    history, alice = History(desk), shopper(desk)
    sessions = [alice.order(), alice.buy()]
    for session_id, card in zip(sessions, (GOOD, DISPUTED), strict=True):
        assert alice.pay(session_id, card).status == 303
    kinds = (
        "checkout.session.completed",
        "customer.subscription.created",
        "invoice.paid",
        "charge.dispute.created",
    )
    news = [event for event in history.news() if event["type"] in kinds]
    for what, (access, words) in WORDS.items():
        db.session.query(Dispute).delete()
        db.session.commit()
        forget()
        with answering(desk, words), Lines() as logged:
            history.deliver(news)
            catch_up(desk)
            opens_everywhere(alice, admin, sessions)
            assert may_enter(alice) is access, what
        assert "event not applied" not in logged.text, what
        assert {event.state for event in events()} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}, what
        rows = kept()
        assert [word for word in re.findall(rf"{NEW}\w*", json.dumps(words)) if word not in rows] == [], what
