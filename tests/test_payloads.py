"""The ids in an event: found in the shape of any API version, and never an error where they are not."""

from __future__ import annotations

import copy
import json
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import inbox
from billing.jobs import HANDLERS
from billing.payloads import About, about, first_item, invoice_subscription, ref
from tests.intake import standing_by, the_row
from tests.sandbox.engine.shapes import FIXTURES, samples
from tests.support import Databases, deliver, make_event
from tests.watching import Bell

CUSTOMER, SUBSCRIPTION = "cus_1", "sub_1"


def invoice(**more: Any) -> dict[str, Any]:
    return {"id": "in_1", "object": "invoice", "customer": CUSTOMER, **more}


def of_subscription(reference: Any) -> dict[str, Any]:
    """How an invoice names its subscription since 2025-03-31.basil."""
    details = {"subscription": reference, "metadata": {}}
    return {"type": "subscription_details", "quote_details": None, "subscription_details": details}


def expanded(id_: str, kind: str) -> dict[str, Any]:
    """A reference that was expanded to its object."""
    return {"id": id_, "object": kind, "livemode": False}


def found(thing: Any) -> About:
    return about({"data": {"object": thing}})


INVOICES = {
    "today's shape": invoice(parent=of_subscription(SUBSCRIPTION)),
    "today's shape, expanded": invoice(parent=of_subscription(expanded(SUBSCRIPTION, "subscription"))),
    "before basil": invoice(subscription=SUBSCRIPTION),
    "before basil, expanded": invoice(subscription=expanded(SUBSCRIPTION, "subscription")),
    "both": invoice(parent=of_subscription(SUBSCRIPTION), subscription="sub_old"),
    "both, but the new one is empty": invoice(parent=of_subscription(None), subscription=SUBSCRIPTION),
    "before basil, with a parent of another kind": invoice(
        parent={"type": "quote_details", "subscription_details": None}, subscription=SUBSCRIPTION
    ),
    "its customer expanded": invoice(
        parent=of_subscription(SUBSCRIPTION), customer=expanded(CUSTOMER, "customer")
    ),
}


@pytest.mark.parametrize("shape", INVOICES)
def test_an_invoice_is_about_its_subscription_in_the_shape_of_any_version(shape: str) -> None:
    assert found(INVOICES[shape]) == About(SUBSCRIPTION, "in_1", CUSTOMER)


LONE_INVOICES = {
    "no parent": invoice(),
    "null for both": invoice(parent=None, subscription=None),
    "a parent without details": invoice(parent={"type": "quote_details", "quote_details": {"quote": "qt_1"}}),
    "an empty subscription": invoice(parent=of_subscription(""), subscription=""),
}


@pytest.mark.parametrize("shape", LONE_INVOICES)
def test_an_invoice_without_a_subscription_is_about_itself(shape: str) -> None:
    assert found(LONE_INVOICES[shape]) == About("in_1", "in_1", CUSTOMER)


def test_a_coming_invoice_that_has_no_id_yet_is_about_its_subscription() -> None:
    coming = {"object": "invoice", "customer": CUSTOMER, "parent": of_subscription(SUBSCRIPTION)}
    assert found(coming) == About(SUBSCRIPTION, None, CUSTOMER)


OTHERS = {
    "a subscription": (
        {"id": "sub_1", "object": "subscription", "customer": expanded(CUSTOMER, "customer")},
        About("sub_1", "sub_1", CUSTOMER),
    ),
    "a Checkout Session": (
        {"id": "cs_1", "object": "checkout.session", "customer": CUSTOMER, "subscription": "sub_1"},
        About("cs_1", "cs_1", CUSTOMER),
    ),
    "a Checkout Session of a guest": (
        {"id": "cs_1", "object": "checkout.session", "customer": None},
        About("cs_1", "cs_1", None),
    ),
    "a PaymentIntent that names an invoice, as before basil": (
        {"id": "pi_1", "object": "payment_intent", "customer": CUSTOMER, "invoice": "in_1"},
        About("pi_1", "pi_1", CUSTOMER),
    ),
    "a charge": (
        {"id": "ch_1", "object": "charge", "customer": CUSTOMER, "payment_intent": "pi_1"},
        About("pi_1", "ch_1", CUSTOMER),
    ),
    "a charge with its PaymentIntent expanded": (
        {"id": "ch_1", "object": "charge", "payment_intent": expanded("pi_1", "payment_intent")},
        About("pi_1", "ch_1", None),
    ),
    "a charge of the time before PaymentIntents": (
        {"id": "ch_1", "object": "charge", "customer": CUSTOMER, "payment_intent": None},
        About("ch_1", "ch_1", CUSTOMER),
    ),
    "a dispute": (
        {"id": "du_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1"},
        About("du_1", "du_1", None),
    ),
    "a customer": ({"id": CUSTOMER, "object": "customer"}, About(CUSTOMER, CUSTOMER, CUSTOMER)),
    "a test clock": (
        {"id": "clock_1", "object": "test_helpers.test_clock"},
        About("clock_1", "clock_1", None),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_object_is_about(name: str) -> None:
    thing, expected = OTHERS[name]
    assert found(thing) == expected


NOTHING = [{}, {"data": None}, {"data": []}, {"data": "in_1"}, {"data": {}}, {"data": {"object": None}},
           {"data": {"object": "in_1"}}, {"data": {"object": [invoice()]}}, {"data": {"object": {}}}]  # fmt: skip


@pytest.mark.parametrize("event", NOTHING, ids=json.dumps)
def test_an_event_without_an_object_is_about_nothing(event: dict[str, Any]) -> None:
    assert about(event) == About(None, None, None)


NO_IDS = [None, "", 0, 7, True, 1.5, [], ["sub_1"], {}, {"id": None}, {"id": ""}, {"id": 7}, {"id": ["sub_1"]},
          {"id": {"id": "sub_1"}}, "sub_\0", "sub_\ud800", "süb_1", "sub_1\n", "\x1b[2J"]  # fmt: skip


@pytest.mark.parametrize("value", NO_IDS, ids=ascii)
def test_what_is_no_reference_names_nothing(value: Any) -> None:
    assert ref(value) is None


# Stripe's own samples.


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    if not FIXTURES.exists():
        pytest.skip(f"Stripe's published samples are not here ({FIXTURES})")
    return samples()


SAMPLED = """
checkout.session subscription invoice payment_intent charge dispute test_helpers.test_clock
""".split()


@pytest.mark.parametrize("kind", SAMPLED)
def test_stripes_published_sample_names_itself_and_its_customer(published: dict[str, Any], kind: str) -> None:
    sample = published[kind]
    subject = {
        "invoice": lambda: sample["parent"]["subscription_details"]["subscription"],
        "charge": lambda: sample["payment_intent"] or sample["id"],
    }.get(kind, lambda: sample["id"])
    assert found(sample) == About(subject(), sample["id"], sample.get("customer"))


def test_stripes_published_invoice_means_the_same_in_the_old_shape_and_expanded(
    published: dict[str, Any],
) -> None:
    today = copy.deepcopy(published["invoice"])
    id_ = today["parent"]["subscription_details"]["subscription"]
    before = {name: value for name, value in today.items() if name != "parent"} | {"subscription": id_}
    whole = {**today, "customer": published["customer"]}
    whole["parent"] = of_subscription({**published["subscription"], "id": id_})
    assert found(before) == found(whole) == found(today)
    assert found(today).customer == published["customer"]["id"]


# Anything at all, where ids should be.

LETTERS = st.text(st.characters(codec=None), max_size=20)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | LETTERS
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3)
)
NAMES = st.sampled_from(["in_1", "sub_1", "cus_1", "ch_1", "pi_1", "cs_test_1", "du_1"]) | ANYTHING
REFERENCES = NAMES | st.fixed_dictionaries({"id": NAMES})
DETAILS = ANYTHING | st.fixed_dictionaries({}, optional={"subscription": REFERENCES})
PARENTS = ANYTHING | st.fixed_dictionaries({}, optional={"subscription_details": DETAILS})
ITEMS = ANYTHING | st.fixed_dictionaries({"data": ANYTHING | st.lists(ANYTHING, max_size=2)})
THINGS = ANYTHING | st.fixed_dictionaries(
    {},
    optional={
        "id": REFERENCES, "object": st.sampled_from([*SAMPLED, "customer"]) | ANYTHING, "customer": REFERENCES,
        "parent": PARENTS, "subscription": REFERENCES, "payment_intent": REFERENCES, "items": ITEMS,
    },
)  # fmt: skip
DATA = ANYTHING | st.fixed_dictionaries({}, optional={"object": THINGS})


# No time counts here: the first draw of all makes Hypothesis's tables of letters.
calm = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def is_an_id(value: object) -> bool:
    return isinstance(value, str) and value != "" and all(" " <= letter <= "~" for letter in value)


@calm
@given(DATA)
def test_whatever_an_event_holds_each_id_is_an_id_or_none(data: Any) -> None:
    seen = about({"data": data})
    for value in (seen.subject, seen.object_id, seen.customer):
        assert value is None or is_an_id(value)


@calm
@given(THINGS)
def test_whatever_an_object_holds_its_first_item_is_an_object(thing: Any) -> None:
    if isinstance(thing, dict):
        assert isinstance(first_item(thing), dict)
        named = invoice_subscription(thing)
        assert named is None or is_an_id(named)


@pytest.fixture(scope="module")
def app(databases: Databases) -> Iterator[Flask]:
    with standing_by(databases) as application:
        yield application


@calm
@given(kind=st.sampled_from(sorted(HANDLERS)), data=DATA, version=REFERENCES)
def test_a_signed_event_is_kept_whatever_it_holds(app: Flask, kind: str, data: Any, version: Any) -> None:
    Bell(app)
    event = make_event(kind, {}, data=data, api_version=version)
    assert deliver(app, event).status_code == 200
    row = the_row(event)
    assert json.loads(row.payload) == event
    assert row.state == ("pending" if row.subject and not inbox.is_ours(kind) else "ignored")


ENDLESS = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=9000))


def test_an_endless_id_names_nothing_and_costs_no_event(app: Flask) -> None:
    Bell(app)
    event = make_event("invoice.paid", invoice(id=ENDLESS, customer=ENDLESS), api_version=ENDLESS)
    assert deliver(app, event).status_code == 200
    row = the_row(event)
    assert (row.subject, row.customer_id, row.state) == (None, None, "ignored")
