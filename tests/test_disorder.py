"""Whatever order events come in, how often, and whichever are lost: our rows end as Stripe's objects are."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from billing import jobs
from billing.extensions import db
from billing.models import Notice, StripeEvent
from billing.payloads import Object
from tests.histories import History, at_stripe, everything, forget, picture, sandbox_in, with_us
from tests.story import FAILS_LATER, GOOD, Shopper, apply_all, count, shopper
from tests.support import Sandbox


@pytest.fixture(scope="module")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox_in(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


@pytest.fixture
def history(desk: Flask) -> History:
    return History(desk)


def buys(alice: Shopper) -> None:
    assert alice.pay(alice.order()).status == 303


def gets_money_back(alice: Shopper) -> None:
    [intent] = alice.sandbox.stripe.payment_intents.list({"customer": alice.customer})["data"]
    alice.sandbox.stripe.refunds.create({"payment_intent": intent["id"], "amount": 500})


def one_by_one(history: History, events: list[Object]) -> None:
    """Each is applied before the next one comes."""
    for event in events:
        history.deliver([event])
        assert jobs.apply_due(db.session()) == 1


def end(alice: Shopper) -> tuple[Any, list[str]]:
    """What our rows say, and which mails are owed."""
    rows = picture(alice)
    return rows, sorted(db.session.execute(select(Notice.dedupe_key)).scalars())


def ends_of_all_orders(alice: Shopper, history: History, kinds: list[str]) -> list[tuple[Any, list[str]]]:
    events = {event["type"]: event for event in history.news()}
    ends = []
    for order in permutations(kinds):
        forget()
        one_by_one(history, [events[kind] for kind in order])
        ends.append(end(alice))
    return ends


def test_the_events_of_a_purchase_end_in_the_same_rows_and_mails_in_all_their_orders(
    alice: Shopper, history: History
) -> None:
    buys(alice)
    kinds = "payment_intent.succeeded customer.subscription.created invoice.paid checkout.session.completed"
    ends = ends_of_all_orders(alice, history, kinds.split())
    assert (len(ends), [one for one in ends if one != ends[0]]) == (24, [])
    assert with_us(alice) == at_stripe(alice)
    assert (alice.standing.code, len(ends[0][1])) == ("active", 1)


def test_a_refund_ends_on_its_invoice_even_where_it_is_heard_of_before_the_invoice(
    alice: Shopper, history: History
) -> None:
    buys(alice)
    gets_money_back(alice)
    kinds = ["customer.subscription.created", "invoice.paid", "charge.refunded"]
    ends = ends_of_all_orders(alice, history, kinds)
    assert (len(ends), [one for one in ends if one != ends[0]]) == (6, [])
    assert [invoice["amount_refunded"] for invoice in ends[0][0]["invoices"]] == [500]
    assert [key.partition(":")[0] for key in ends[0][1]] == ["paid", "refund"]


def test_an_event_that_comes_again_or_is_run_again_changes_nothing_and_owes_nothing_more(
    alice: Shopper, history: History
) -> None:
    buys(alice)
    gets_money_back(alice)
    events = history.news()
    one_by_one(history, events)
    first = end(alice)
    history.deliver(events)
    assert jobs.apply_due(db.session()) == 0
    for event in random.Random(5).sample(events, len(events)):
        again = jobs.run_again(db.session(), event["id"])
        assert again is not None
        assert again.state in (StripeEvent.APPLIED, StripeEvent.IGNORED)
    assert end(alice) == first
    assert count(StripeEvent) == len(events)


def time_passes(alice: Shopper) -> None:
    alice.sandbox.control(f"customers/{alice.customer}/advance", to="next")


def set_to_end(alice: Shopper, ends: bool) -> None:
    [plan] = at_stripe(alice)["subscriptions"]
    alice.sandbox.stripe.subscriptions.update(plan, {"cancel_at_period_end": ends})


# Some months in the life of a customer, in steps: between any two of them events may come, or not.
LIFE: list[Callable[[Shopper], object]] = [
    buys,
    *[time_passes] * 3,  # a renewal: announced, drafted, paid
    lambda alice: alice.use_card(FAILS_LATER),
    *[time_passes] * 4,  # announced, drafted, declined, declined again
    lambda alice: alice.use_card(GOOD),
    time_passes,  # paid at last
    lambda alice: set_to_end(alice, True),
    lambda alice: set_to_end(alice, False),
    lambda alice: alice.use_card(FAILS_LATER),
    *[time_passes] * 6,  # declined four times, and ended
]
# How far the story goes, and whether what has not come by then is lost: declined a second time; ended.
ENDS = [(17, False), (20, True)]


@pytest.mark.parametrize(("steps", "lost"), ENDS)
def test_a_long_history_that_is_heard_of_in_disorder_ends_as_it_did_at_stripe(
    alice: Shopper, history: History, steps: int, lost: bool
) -> None:
    """Events come late, twice and shuffled, while it happens. What has not come by its end comes late, or never:
    then the reconciler finds it."""
    chance = random.Random(steps)
    waiting: list[Object] = []
    for step in LIFE[:steps]:
        step(alice)
        waiting += history.news()
        coming = [event for event in waiting if chance.random() < 0.4]
        waiting = [event for event in waiting if event not in coming or chance.random() < 0.2]
        history.deliver(chance.sample(coming, len(coming)))
        if chance.random() < 0.7:
            apply_all()
    if lost:
        everything(alice)
    else:
        history.deliver(chance.sample(waiting, len(waiting)))
    apply_all()
    assert with_us(alice) == at_stripe(alice)
    assert count(StripeEvent, state=StripeEvent.PENDING) == 0
    assert count(StripeEvent, state=StripeEvent.PARKED) == 0
