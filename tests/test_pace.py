"""The reconciler asks Stripe slowly and waits where it is told to; a page never does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask

from billing import pace, stripe_reads
from billing.errors import PassStopped, StripeUnavailable
from tests.conftest import SHIPPED_PACE
from tests.registry import over_a_wire
from tests.wire import Wire, error, ok


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every other test the pace is none, since it would only take time."""
    monkeypatch.setattr(pace, "A_SECOND", SHIPPED_PACE)


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        found.answer = lambda sent: ok(id="acct_1", object="account")
        yield found


def test_at_most_ten_calls_leave_in_a_second(wire: Wire) -> None:
    """Waiting is never shorter than it should be, however slow the machine: so this can be measured."""
    before = time.monotonic()
    with pace.unhurried():
        for _ in range(pace.A_SECOND * 2 + 1):
            stripe_reads.get_account()
    assert len(wire.seen) == 21
    assert time.monotonic() - before >= 2


def test_a_pass_waits_until_stripe_takes_calls_again(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PATIENCE", (0.0, 0.01, 0.01))
    answers = iter([error(429, code="rate_limit")] * 3 + [ok(id="acct_1", object="account")])
    wire.answer = lambda sent: next(answers)
    with pace.unhurried():
        assert stripe_reads.get_account()["id"] == "acct_1"
    assert len(wire.seen) == 4


def test_a_limit_that_lasts_stops_the_pass_and_never_holds_up_a_page(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", (0.0, 0.0))
    wire.answer = lambda sent: error(429, code="rate_limit")
    with pytest.raises(StripeUnavailable), pace.unhurried():
        stripe_reads.get_account()
    patient = len(wire.seen)
    with pytest.raises(StripeUnavailable):
        stripe_reads.get_account()
    assert patient == 3 * (len(wire.seen) - patient)


def test_a_pass_that_waits_ends_when_its_process_is_told_to(wire: Wire) -> None:
    stop = threading.Event()
    wire.answer = lambda sent: (stop.set(), error(429, code="rate_limit"))[1]
    with pytest.raises(PassStopped), pace.until(stop), pace.unhurried():
        stripe_reads.get_account()
    asked = len(wire.seen)
    with pytest.raises(PassStopped), pace.until(stop), pace.unhurried():
        stripe_reads.get_account()
    assert len(wire.seen) == asked
    with pace.until(stop), pytest.raises(StripeUnavailable):
        stripe_reads.get_account()  # a page's call is no pass


def test_what_is_not_about_too_many_calls_is_not_asked_twice(wire: Wire) -> None:
    wire.answer = lambda sent: error(500)
    with pytest.raises(StripeUnavailable), pace.unhurried():
        stripe_reads.get_account()
    assert len(wire.seen) == 1
