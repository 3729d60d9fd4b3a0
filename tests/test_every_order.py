"""The five core histories: every order of delivery and every delay end in the rows that Stripe's objects call for."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask

from billing.extensions import db
from billing.models import PlanPrice
from tests.disorder import Explorer, Map
from tests.moments import Act, Moments
from tests.story import DAY, DECLINED, FAILS_LATER, GOOD, Shopper, shopper

UPDATED = "customer.subscription.updated"


@dataclass
class History:
    """``acts``: what happens, and the types of event that are kept of it; the others are lost.

    ``mails``: all that people may have been sent at its end, after what they had before: a mail that is not
    true any more when its event comes is not owed. ``late``: what they were sent if every event came at the end.
    """

    before: Callable[[Shopper], object]
    acts: list[tuple[Act, list[str]]]
    mails: set[str]
    late: str


def nothing(alice: Shopper) -> None:
    pass


def subscribed(alice: Shopper) -> None:
    alice.subscribe()


def in_its_second_month(alice: Shopper) -> None:
    alice.subscribe()
    alice.use_card(FAILS_LATER)
    for _ in range(2):
        alice.advance()


def time_passes(alice: Shopper) -> None:
    alice.sandbox.control(f"customers/{alice.customer}/advance", to="next")


def plan_of(alice: Shopper) -> str:
    [found] = alice.sandbox.stripe.subscriptions.list({"customer": alice.customer})["data"]
    return str(found["id"])


def set_(**params: object) -> Act:
    return lambda alice: alice.sandbox.stripe.subscriptions.update(plan_of(alice), params)


def set_to_end_in(days: int) -> Act:
    def set_to_end(alice: Shopper) -> None:
        alice.sandbox.stripe.subscriptions.update(
            plan_of(alice), {"cancel_at": int(time.time()) + days * DAY}
        )

    return set_to_end


def change_to(lookup_key: str, **params: object) -> Act:
    def change(alice: Shopper) -> None:
        api, plan = alice.sandbox.stripe, plan_of(alice)
        [item] = api.subscription_items.list({"subscription": plan})["data"]
        db.session.rollback()
        price = db.session.get_one(PlanPrice, lookup_key).price_id
        db.session.rollback()
        api.subscriptions.update(plan, {"items": [{"id": item["id"], "price": price}], **params})

    return change


def declined(alice: Shopper) -> None:
    assert alice.pay(alice.order(), DECLINED).status == 422


def paid(alice: Shopper) -> None:
    assert alice.pay(alice.order()).status == 303


def tries_the_team_plan(alice: Shopper) -> None:
    assert alice.pay(alice.order("team")).status == 303


def loses_the_card(alice: Shopper) -> None:
    api = alice.sandbox.stripe
    for method in api.payment_methods.list({"customer": alice.customer})["data"]:
        api.payment_methods.detach(method["id"])
    behavior = {"end_behavior": {"missing_payment_method": "pause"}}
    api.subscriptions.update(plan_of(alice), {"trial_settings": behavior})


HISTORIES = {
    "first payment": History(
        nothing,
        [
            (declined, ["payment_intent.payment_failed"]),
            (
                paid,
                [
                    "payment_intent.succeeded",
                    "customer.subscription.created",
                    "invoice.finalized",
                    "invoice.paid",
                    "invoice.payment_succeeded",
                    "checkout.session.completed",
                ],
            ),
        ],
        mails={"receipt"},
        late="receipt",
    ),
    "renewal failing and recovering": History(
        in_its_second_month,
        [
            (time_passes, ["invoice.payment_failed", UPDATED]),
            (time_passes, ["invoice.payment_failed"]),
            (lambda alice: alice.use_card(GOOD), [UPDATED]),
            (time_passes, ["payment_intent.succeeded", "invoice.paid", UPDATED]),
        ],
        mails={"receipt", "dun1 recovered", "dun2 recovered", "dun1 dun2 recovered"},
        late="receipt",
    ),
    "cancel at period end and undo": History(
        subscribed,
        [
            (set_(cancel_at_period_end=True), [UPDATED]),
            (set_(cancel_at_period_end=False), [UPDATED]),
            (set_to_end_in(days=3), [UPDATED]),
            (set_(cancel_at=""), [UPDATED]),
        ],
        mails={" ".join(["cancel_set"] * times + ["kept"] * times) for times in range(3)},
        late="",
    ),
    "plan change": History(
        subscribed,
        [
            (change_to("team_month_eur", proration_behavior="always_invoice"), [UPDATED, "invoice.paid"]),
            (change_to("team_year_eur"), [UPDATED, "payment_intent.succeeded", "invoice.paid"]),
            (change_to("pro_year_eur"), [UPDATED]),
        ],
        mails={" ".join(["changed"] * times + ["receipt"] * 2) for times in (1, 2, 3)},
        late="changed receipt receipt",
    ),
    "trial to paused": History(
        nothing,
        [
            (tries_the_team_plan, ["customer.subscription.created", "checkout.session.completed"]),
            (loses_the_card, [UPDATED]),
            (time_passes, ["customer.subscription.trial_will_end"]),
            (time_passes, ["customer.subscription.paused", UPDATED]),
        ],
        mails={"", "trial_start", "trial_end", "trial_end trial_start"},
        late="",
    ),
}


def explored(desk: Flask, history: History) -> tuple[Map, list[str]]:
    """The map, and the mails that were sent before the history began."""
    alice = shopper(desk)
    history.before(alice)
    before = alice.mails()
    acts, types = zip(*history.acts, strict=True)
    return Explorer(alice, Moments(alice, list(acts), list(types))).explore(), before


def mails(rows: str, before: list[str]) -> str:
    """The kinds that were sent after those; every other state of a mail is named with it."""
    kinds = [kind if state == "sent" else f"{kind}:{state}" for _, kind, state in json.loads(rows)["notices"]]
    for kind in before:
        kinds.remove(kind)
    return " ".join(kinds)


def without_mails(rows: str) -> str:
    return json.dumps({name: found for name, found in json.loads(rows).items() if name != "notices"})


def plans_in(rows: str) -> str:
    return json.dumps(json.loads(rows)["subscriptions"])


@pytest.mark.parametrize("name", HISTORIES)
def test_every_order_and_every_delay_of_a_core_history_ends_in_the_same_rows_and_the_mails_that_are_due(
    desk: Flask, name: str
) -> None:
    """All of its events are of one second. ``Explorer`` checks each mail as it leaves against Stripe's state."""
    history = HISTORIES[name]
    found, before = explored(desk, history)
    last, number = found.moments.last, len(found.events)
    ends = found.ends((0, frozenset(), found.begin))
    late = found.ends((last, frozenset(), found.begin))
    assert 4 <= number <= 7
    # Everything told at the end: each order of it. Told meanwhile too: each way to weave it into the history.
    assert (sum(late.values()), sum(ends.values()) > math.factorial(number)) == (math.factorial(number), True)
    assert {without_mails(end) for end in ends} == {without_mails(next(iter(late)))}
    assert ends.keys() <= found.right, "it is not what Stripe holds"
    assert {mails(end, before) for end in ends} == history.mails
    assert [mails(end, before) for end in late] == [history.late]
    again = [found.applied[(last, end), event] == end for end in ends for event in range(number)]
    assert all(again), "an event that was applied again changed something"
    # Wherever we stood when the rest was lost, one look brings the plan to the same row.
    assert {plans_in(rows) for rows in found.healed.values()} == {plans_in(next(iter(ends)))}
    assert len(found.healed) >= len(ends)
