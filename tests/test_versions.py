"""Events in the shape of every version of Stripe's API, and in none: ids are found, Stripe is asked, nobody notices.

The endpoint of an account keeps the version that it was made with; a field that moved must cost nobody their access.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import signing
from billing.extensions import db
from billing.jobs import HANDLERS
from billing.models import StripeEvent
from billing.payloads import Object, about
from sandbox.house import API_VERSIONS
from tests.histories import History, at_stripe, later, with_us
from tests.sandbox.engine.shapes import samples
from tests.seen import charges, endpoint_of, mailed_to, may_enter, reads
from tests.story import FAILS_LATER, GOOD, Shopper, apply_all, catch_up, config_of, count, events, shopper
from tests.support import deliver
from tests.watching import all_rows
from tests.wire import Reply, Wire

# The oldest version of each shape that there was, and the one that we ask with.
SHAPES = ["2024-06-20", "2025-03-31.basil", "2025-09-30.clover", "2026-03-25.dahlia", "2026-10-28.endive"]
MARKS = ("fetch_no", "fetched_at", "cause_event_id")


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


@contextmanager
def told_in(desk: Flask, version: str) -> Iterator[None]:
    """Stripe tells this application of everything in the shape of that version."""
    hooks, usual = desk.extensions["sandbox"].stripe.webhook_endpoints, endpoint_of(desk)
    hooks.update(usual, {"disabled": True})
    url = f"{config_of(desk).public_url}/webhooks/stripe"
    older = hooks.create({"url": url, "enabled_events": ["*"], "api_version": version})
    desk.extensions["config"] = replace(
        config_of(desk), stripe_webhook_secrets=signing.read([older["secret"]])
    )
    try:
        yield
    finally:
        hooks.delete(older["id"])
        hooks.update(usual, {"disabled": False})


def apply_everything() -> None:
    """Also what was put back for want of time, which so many events may be where a machine is slow."""
    apply_all()
    while count(StripeEvent, state=StripeEvent.PENDING):
        later(120)
        apply_all()


def live(alice: Shopper) -> None:
    """A purchase, a renewal that fails and recovers, a refund, and the end."""
    stripe = alice.sandbox.stripe
    alice.subscribe()
    assert may_enter(alice)
    for _ in range(3):
        alice.advance()
    alice.use_card(FAILS_LATER)
    while alice.row.status != "past_due":
        alice.advance()
    assert "We couldn’t take your last payment." in reads(alice)
    alice.use_card(GOOD)
    while alice.row.status != "active":
        alice.advance()
    stripe.refunds.create({"payment_intent": alice.invoices[0].payment_intent or "", "amount": 900})
    catch_up(alice.desk)
    assert "Partly refunded" in reads(alice)
    stripe.subscriptions.cancel(alice.row.stripe_id)
    catch_up(alice.desk)


@pytest.mark.parametrize("version", SHAPES)
def test_nobody_notices_in_which_version_of_the_api_stripe_tells_of_a_life(
    desk: Flask, alice: Shopper, version: str
) -> None:
    with told_in(desk, version):
        live(alice)
        delivered = alice.sandbox.look("deliveries?limit=1000")["deliveries"]
    mine = [one for one in delivered if one["customer"] == alice.customer]
    assert {one["http_status"] for one in mine if one["attempts"]} == {200}
    assert {event.api_version for event in events(customer_id=alice.customer)} == {version}
    assert {event.state for event in events()} == {StripeEvent.APPLIED, StripeEvent.IGNORED}
    assert with_us(alice) == at_stripe(alice)
    rows = [(one.status, one.amount_paid, one.amount_refunded) for one in alice.invoices]
    assert rows == [("paid", 2900, 900), ("paid", 2900, 0), ("paid", 2900, 0)]
    assert alice.mails() == ["receipt", "receipt", "dun1", "recovered", "refund", "ended"]
    assert (may_enter(alice), charges(alice)) == (False, [2000, 2900, 2900])


@dataclass(frozen=True)
class Past:
    """Somebody's life that is over. ``told``: one event of each type that it brought and that we act on, all of them
    applied."""

    person: Shopper
    told: dict[str, Object]


@pytest.fixture(scope="module")
def lived(office: Flask) -> Past:
    person = shopper(office)
    live(person)
    assert {event.state for event in events()} == {StripeEvent.APPLIED, StripeEvent.IGNORED}
    found = person.sandbox.stripe.events.list({"limit": 100}).to_dict(for_json=True)["data"]
    mine = {one["type"]: one for one in found if about(one).customer == person.customer}
    kinds = {kind: one for kind, one in mine.items() if kind in HANDLERS}
    assert len(kinds) >= 9
    return Past(person, kinds)


@pytest.fixture
def past(office: Flask, lived: Past) -> Iterator[Past]:
    """One for these tests, none of which may change anything of it."""
    yield lived
    office.extensions["sandbox"].calm()
    db.session.rollback()


def test_an_event_of_every_version_names_the_same_object_and_leaves_it_as_stripe_holds_it(
    office: Flask, past: Past
) -> None:
    alice, told = past.person, past.told
    hooks = alice.sandbox.stripe.webhook_endpoints
    alice.sandbox.control("trouble", delivery="drop")
    before = all_rows(db.session(), but=MARKS)
    with Wire() as catcher:
        catcher.answer = lambda sent: Reply(200, b"{}")
        for version in API_VERSIONS:
            made = hooks.create(
                {"url": f"{catcher.url}/{version}", "enabled_events": ["*"], "api_version": version}
            )
            for event in told.values():
                alice.sandbox.control(f"events/{event['id']}/resend", endpoint=made["id"])
            hooks.delete(made["id"])
    assert len(catcher.seen) == len(API_VERSIONS) * len(told)
    for number, sent in enumerate(catcher.seen):
        event = json.loads(sent.body)
        assert event["api_version"] == sent.path.strip("/")
        assert about(event) == about(told[event["type"]]), (event["api_version"], event["type"])
        assert deliver(office, {**event, "id": f"evt_version{number:05d}"}).status_code == 200
    apply_everything()
    rows = [event for event in events() if event.event_id.startswith("evt_version")]
    assert len(rows) == len(catcher.seen)
    assert {event.state for event in rows} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}
    after = all_rows(db.session(), but=MARKS)
    assert {name for name in after if after[name] != before[name]} <= {"stripe_events", "leases"}
    assert with_us(alice) == at_stripe(alice)


# Payloads that fit no version.

JUNK: list[Any] = [
    None,
    True,
    7,
    -1,
    2**70,
    1.5,
    "",
    "of the moon",
    "x" * 300,
    [],
    ["x"],
    {},
    {"id": 7},
    {"data": None},
]
KEPT = ("id", "object", "customer")
# Where ids are read, and what can be no id: a NUL, which no text of PostgreSQL holds, and half a letter.
NAMES = ("id", "object", "customer", "subscription", "payment_intent", "parent", "subscription_details")
NO_IDS = ["sub_\0", "sub_\ud800", "süb_1", "x" * 9000]


def spoiled(thing: Object, junk: Any) -> Object:
    """Every field but the ids is junk; below the way to an invoice's subscription, all but that way."""
    found = {name: copy.deepcopy(junk) for name in thing if name not in KEPT} | {
        name: thing.get(name) for name in KEPT
    }
    if thing["object"] == "invoice":
        found["parent"] = {
            "subscription_details": {"subscription": about({"data": {"object": thing}}).subject}
        }
    if thing["object"] in ("charge", "refund"):  # a refund is looked at with its payment
        found["payment_intent"] = thing["payment_intent"]
    return found


def test_whatever_an_event_says_of_an_object_we_say_what_stripe_holds(office: Flask, past: Past) -> None:
    """Of every type, each field spoiled in each way, in an event of a version that there is not."""
    alice, told = past.person, past.told
    before, number = all_rows(db.session(), but=MARKS), 0
    for event in told.values():
        for junk in JUNK:
            number += 1
            thing = spoiled(event["data"]["object"], junk)
            odd = {
                **event,
                "id": f"evt_odd{number:05d}",
                "api_version": "2031-01-01.fern",
                "data": {"object": thing},
            }
            assert deliver(office, odd).status_code == 200, (event["type"], junk)
    apply_everything()
    rows = [event for event in events() if event.event_id.startswith("evt_odd")]
    assert len(rows) == number
    ignored = {event.type for event in rows if event.state == StripeEvent.IGNORED}
    left = [one for one in rows if one.state not in (StripeEvent.APPLIED, StripeEvent.IGNORED)]
    assert [(one.type, one.state, one.reason, one.payload) for one in left] == []
    assert ignored <= {"customer.updated"}, "nobody has a plan any more that another card could pay"
    after = all_rows(db.session(), but=MARKS)
    assert {name for name in after if after[name] != before[name]} <= {"stripe_events", "leases"}
    assert with_us(alice) == at_stripe(alice)
    assert not may_enter(alice)


def places(thing: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an object, at any depth."""
    inner = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    for name, value in inner:
        yield (*way, name)
        yield from places(value, (*way, name))


def with_junk(thing: Object, way: tuple[Any, ...], junk: Any, *, gone: bool) -> Object:
    """A copy in which that place holds junk, or is not there."""
    found = copy.deepcopy(thing)
    inner: Any = found
    for name in way[:-1]:
        inner = inner[name]
    if gone:
        del inner[way[-1]]
    else:
        inner[way[-1]] = junk
    return found


ANYTHING = st.recursive(
    st.sampled_from(NO_IDS) | st.sampled_from(JUNK) | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)


def test_whatever_one_place_of_an_event_holds_it_is_taken_kept_and_gives_nobody_anything(
    office: Flask, past: Past
) -> None:
    """Also in Stripe's published samples, whose objects are nobody's here."""
    alice, told = past.person, past.told
    published = samples()
    names = {"customer.subscription": "subscription", "charge.dispute": "dispute"}
    known = {
        kind: published.get(names.get(kind.rpartition(".")[0], kind.rpartition(".")[0])) for kind in HANDLERS
    }
    given_ = [(kind, event["data"]["object"]) for kind, event in told.items()]
    given_ += [(kind, thing) for kind, thing in sorted(known.items()) if thing]
    before, numbers = all_rows(db.session(), but=MARKS), iter(range(10**6))

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def spoil(data: st.DataObject) -> None:
        kind, thing = data.draw(st.sampled_from(given_))
        ways = list(places(thing))
        names = [way for way in ways if way[-1] in NAMES]
        way = data.draw(st.sampled_from(names) | st.sampled_from(ways))
        odd = with_junk(thing, way, data.draw(ANYTHING), gone=data.draw(st.booleans()))
        event = {**next(iter(told.values())), "id": f"evt_any{next(numbers):05d}", "type": kind}
        assert deliver(office, {**event, "data": {"object": odd}}).status_code == 200

    spoil()
    apply_all()
    rows = [event for event in events() if event.event_id.startswith("evt_any")]
    assert len(rows) == next(numbers)
    assert {event.state for event in rows} <= {StripeEvent.APPLIED, StripeEvent.IGNORED, StripeEvent.PENDING}
    assert [event.event_id for event in rows if event.state != StripeEvent.APPLIED and not event.reason] == []
    after = all_rows(db.session(), but=MARKS)
    assert {name for name in after if after[name] != before[name]} <= {"stripe_events", "leases"}
    assert (with_us(alice), may_enter(alice)) == (at_stripe(alice), False)


def test_a_bill_that_does_not_say_which_plan_it_is_of_brings_the_plan_all_the_same(
    desk: Flask, alice: Shopper
) -> None:
    """Basil moved that field; a version of tomorrow may again. Nothing else is heard of the purchase."""
    history = History(desk)
    assert alice.pay(alice.order()).status == 303
    [event] = [one for one in history.news() if one["type"] == "invoice.paid"]
    event["data"]["object"] |= {"parent": None, "relation": {"plan": "sub_1"}}
    assert deliver(desk, event).status_code == 200
    catch_up(desk)
    assert may_enter(alice)
    assert with_us(alice) == at_stripe(alice)
    assert [facts["plan"] for kind, facts in mailed_to(alice.email) if kind == "receipt"] == ["Pro"]
