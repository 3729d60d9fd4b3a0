"""A history at Stripe, step by step: what every read of our code was answered at each of them.

A sandbox is at one moment only, and an exploration of all orders goes back and forth between moments. So
each answer of the real sandbox is written down at every step, byte for byte, and given again for the step
that the exploration is at. This is the one stand-in; requests and answers are the sandbox's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import stripe
from flask import Flask

from billing import stripe_client, stripe_reads
from billing.payloads import Object, about, ref
from tests.histories import History
from tests.story import Shopper, config_of
from tests.told import START

Answers = dict[str, tuple[Any, int, Any]]
Act = Callable[[Shopper], object]
# How our code reads an object, by the beginning of its id.
READS: dict[str, tuple[Callable[[str], Any], ...]] = {
    "sub_": (
        stripe_reads.get_subscription,
        lambda one: stripe_reads.get_subscription(one, stripe_reads.LATEST_INVOICE),
    ),
    "in_": (stripe_reads.get_invoice,),
    "cs_": (stripe_reads.get_checkout_session,),
    "pi_": (stripe_reads.get_payment_intent, stripe_reads.invoice_of_payment),
    "cus_": (stripe_reads.get_customer,),
    "clock_": (stripe_reads.get_test_clock,),
}


class Listening(stripe.RequestsClient):
    """Asks the sandbox, and writes its answer down."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(timeout=60)
        self._answers = answers

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        answer = super().request(method, url, headers, post_data)
        self._answers[_name(method, url)] = answer
        return answer


class AtStep(stripe.HTTPClient):
    """Gives again what was answered at ``step``. Raises AssertionError for what nobody asked then."""

    name = "recorded"

    def __init__(self, steps: list[Answers]) -> None:
        super().__init__()
        self.step, self._steps = 0, steps

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **_: Any) -> Any:
        asked = _name(method, url)
        assert asked in self._steps[self.step], f"not written down at step {self.step}: {asked}"
        return self._steps[self.step][asked]

    def close(self) -> None:
        pass


class Moments:
    """``news[n]``: the events that step n brought, oldest first. ``truth[n]``: Stripe's objects then, by id.

    All events are given one second: ``created`` says no more than that, so it must tell nobody which came first.
    """

    def __init__(self, shopper: Shopper, acts: list[Act], chosen: list[list[str]]) -> None:
        """``chosen``: the types of event to keep of each step, each once; the others are lost."""
        self.news: list[list[Object]] = []
        self.truth: list[dict[str, Object]] = []
        self._answers: list[Answers] = []
        self._ids: set[str] = set()
        self._desk = shopper.desk
        history = History(self._desk)
        for act, types in zip(acts, chosen, strict=True):
            act(shopper)
            happened = history.news()
            self.news.append([{**event, "created": START} for event in _choose(happened, types)])
            for event in happened:
                self._know(about(event).subject, about(event).object_id)
            self._write_down()

    @property
    def last(self) -> int:
        return len(self.news) - 1

    @contextmanager
    def playing(self) -> Iterator[AtStep]:
        """Our code asks this history instead of the sandbox."""
        before, player = self._desk.extensions["stripe"], AtStep(self._answers)
        self._desk.extensions["stripe"] = _client(self._desk, player)
        try:
            yield player
        finally:
            self._desk.extensions["stripe"] = before

    def _know(self, *ids: str | None) -> None:
        self._ids |= {one for one in ids if one}

    def _write_down(self) -> None:
        answers: Answers = {}
        truth: dict[str, Object] = {}
        before = self._desk.extensions["stripe"]
        self._desk.extensions["stripe"] = _client(self._desk, Listening(answers))
        while unread := self._ids - truth.keys():  # what is read may name more
            for one in unread:
                [prefix] = [prefix for prefix in READS if one.startswith(prefix)]
                found = [read(one) for read in READS[prefix]]
                truth[one] = found[0]
                self._know(ref(found[0].get("latest_invoice")), ref(found[0].get("test_clock")))
        self._desk.extensions["stripe"] = before
        self._answers.append(answers)
        self.truth.append(truth)


def _choose(happened: list[Object], types: list[str]) -> list[Object]:
    first = {event["type"]: event for event in reversed(happened)}
    assert set(types) <= first.keys(), sorted(first)
    return [first[kind] for kind in types]


def _client(desk: Flask, http: stripe.HTTPClient) -> stripe.StripeClient:
    return stripe_client.connect(config_of(desk), http)


def _name(method: str, url: str) -> str:
    parts = urlsplit(url)
    return f"{method.upper()} {parts.path}?{parts.query}"
