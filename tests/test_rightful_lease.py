"""One writer for each customer: whose an object is, Stripe says, not the payload of an event."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from sqlalchemy import select

from billing import inbox
from billing.extensions import db
from billing.models import Lease
from tests.story import Shopper, apply_all, events, shopper
from tests.support import make_event


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    person = shopper(desk)
    person.subscribe()
    return person


def hear(subscription: str, customer: str | None) -> str:
    """Store an event about the subscription that names this customer, and apply what is due."""
    thing = {"id": subscription, "object": "subscription", "customer": customer}
    event = make_event("customer.subscription.updated", thing)
    inbox.store(db.session(), event, json.dumps(event), source="webhook", handled=True)
    db.session.commit()
    apply_all()
    return str(event["id"])


@pytest.mark.parametrize("customer", [None, "cus_somebody_else"])
def test_the_row_is_written_under_its_customers_lease_whomever_the_payload_names(
    alice: Shopper, customer: str | None
) -> None:
    before = alice.row.fetch_no
    event = hear(alice.row.stripe_id, customer)
    assert [one.state for one in events(event_id=event)] == ["applied"]
    fence = db.session.execute(select(Lease.fence).where(Lease.name == alice.customer)).scalar_one()
    assert alice.row.fetch_no == fence > before
    assert alice.row.cause_event_id == event
