"""The one door to Stripe: which of our errors each of its answers becomes, and what every request carries."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe
from flask import Flask

from billing import deadline, stripe_client, stripe_reads
from billing.errors import (
    StripeDeclined,
    StripeError,
    StripeKeyRefused,
    StripeRefused,
    StripeUnavailable,
)
from billing.stripe_client import OPERATIONS, call, translate
from tests.conftest import make_app, make_config
from tests.registry import ask_at
from tests.support import wait_until
from tests.wire import Reply, Sent, Wire, cut, error, ok

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
KEY = "dunlin:test:one"
# Everything that an error's text could give away.
PRIVATE = ("alice@example.com", "cus_private", "sk_test_0123456789abcdefghij", "customer_email")


@pytest.fixture
def asking() -> Iterator[Flask]:
    """The application, with no database: nothing here may need one."""
    application = make_app(make_config(NO_DATABASE))
    with application.app_context():
        yield application


@pytest.fixture
def stripe_is(asking: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A Stripe that answers what the test says. Only the pauses are shorter than in production."""
    monkeypatch.setattr(stripe_client, "PAUSES", (0.01, 0.01))
    with Wire() as wire:
        wire.answer = lambda sent: ok(id="cus_1", object="customer")
        ask_at(asking, wire)
        yield wire


def make_customer() -> Any:
    return call("customer.create", None, {"email": PRIVATE[0]}, KEY)


INVALID = "invalid_request_error"
ANSWERS: list[tuple[int, dict[str, str], type[StripeError], str | None]] = [
    (400, {"type": INVALID, "code": "parameter_unknown"}, StripeRefused, "parameter_unknown"),
    (400, {"type": INVALID}, StripeRefused, None),
    (400, {"type": "idempotency_error"}, StripeRefused, "idempotency_error"),
    (404, {"type": INVALID, "code": "resource_missing"}, StripeRefused, "resource_missing"),
    (401, {"type": INVALID}, StripeKeyRefused, None),
    (403, {"type": INVALID, "code": "more_permissions_required"}, StripeKeyRefused, "more_permissions_required"),
    (402, {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}, StripeDeclined, "lost_card"),
    (402, {"type": "card_error", "code": "expired_card"}, StripeDeclined, "expired_card"),
    (429, {"type": INVALID, "code": "rate_limit"}, StripeUnavailable, "rate_limit"),
    (400, {"type": INVALID, "code": "rate_limit"}, StripeUnavailable, "rate_limit"),
    (429, {"type": INVALID, "code": "lock_timeout"}, StripeUnavailable, "lock_timeout"),
    (400, {"type": INVALID, "code": "lock_timeout"}, StripeUnavailable, "lock_timeout"),
    (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, StripeUnavailable, "idempotency_key_in_use"),
    (500, {"type": "api_error"}, StripeUnavailable, None),
    (503, {"type": "api_error"}, StripeUnavailable, None),
    (418, {"type": "something_new", "code": "brewing"}, StripeUnavailable, "brewing"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "expected", "code"), ANSWERS)
def test_each_answer_of_stripe_is_one_of_our_errors_without_what_was_asked(
    stripe_is: Wire, status: int, said: dict[str, str], expected: type[StripeError], code: str | None
) -> None:
    stripe_is.answer = lambda sent: error(
        status, message=f"No: {', '.join(PRIVATE)}", param=PRIVATE[3], **said
    )
    with pytest.raises(StripeError) as caught:
        make_customer()
    problem = caught.value
    assert (type(problem), problem.status, problem.code) == (expected, status, code)
    assert problem.retry == (expected in (StripeUnavailable, StripeKeyRefused))
    assert str(status) in str(problem)
    assert not [part for part in PRIVATE if part in f"{problem!r} {problem.args} {vars(problem)}"]


@pytest.mark.parametrize(
    "answer",
    [
        cut,
        lambda sent: Reply(200, b"<html>not JSON"),
        lambda sent: Reply(502, b"<html>Bad gateway", {"Stripe-Should-Retry": "false"}),
        lambda sent: Reply(200, b""),
    ],
    ids=["cut", "200 that is no JSON", "a page of a proxy", "nothing in it"],
)
def test_no_answer_that_can_be_read_is_unavailable(stripe_is: Wire, answer: Any) -> None:
    stripe_is.answer = answer
    with pytest.raises(StripeUnavailable):
        make_customer()


def test_a_stripe_that_is_not_there_is_unavailable(asking: Flask) -> None:
    with pytest.raises(StripeUnavailable) as caught:
        make_customer()
    assert (caught.value.status, str(caught.value)) == (None, "Stripe answered nothing (APIConnectionError)")


def every_error() -> list[type[stripe.StripeError]]:
    """Each class of error that this SDK can raise."""
    found, waiting = [], [stripe.StripeError]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].__subclasses__()
    return found


def test_every_error_class_of_the_sdk_becomes_ours_by_its_status() -> None:
    by_status = {
        None: StripeUnavailable, 400: StripeRefused, 401: StripeKeyRefused, 402: StripeDeclined,
        403: StripeKeyRefused, 404: StripeRefused, 409: StripeUnavailable, 429: StripeUnavailable,
        500: StripeUnavailable,
    }  # fmt: skip
    assert len(every_error()) > 10
    for kind in every_error():
        for status, expected in by_status.items():
            raised = kind.__new__(kind)
            stripe.StripeError.__init__(raised, " ".join(PRIVATE), http_status=status)
            found = translate(raised)
            assert type(found) is expected, (kind, status)
            assert not [part for part in PRIVATE if part in str(found)], kind


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_sent_with_the_key_it_is_given(stripe_is: Wire, operation: str) -> None:
    call(operation, "thing_1", {"metadata": {"plan": "pro"}}, f"dunlin:test:{operation}")
    [sent] = stripe_is.seen
    method = "DELETE" if operation in ("subscription.cancel", "customer.delete") else "POST"
    assert (sent.method, sent.key) == (method, f"dunlin:test:{operation}")
    assert sent.fields == {"metadata[plan]": "pro"}


def test_every_request_carries_the_pinned_version_and_our_key_to_stripe(stripe_is: Wire) -> None:
    make_customer()
    stripe_is.answer = lambda sent: ok(id="sub_1", object="subscription")
    stripe_reads.get_subscription("sub_1")
    assert [sent.method for sent in stripe_is.seen] == ["POST", "GET"]
    for sent in stripe_is.seen:
        assert sent.headers["Stripe-Version"] == "2026-10-28.endive"
        assert sent.headers["Authorization"] == "Bearer sk_test_0123456789abcdefghij"
    assert stripe_is.seen[1].key is None


def test_the_sdk_s_global_settings_are_left_alone(stripe_is: Wire) -> None:
    make_customer()
    assert (stripe.api_key, stripe.api_base) == (None, "https://api.stripe.com")
    assert stripe.default_http_client is None


def test_a_request_that_failed_on_the_way_is_tried_once_more_with_the_same_key_and_bytes(
    stripe_is: Wire,
) -> None:
    def first_fails(sent: Sent) -> Reply:
        return error(500, retry=True) if len(stripe_is.seen) == 1 else ok(id="cus_2", object="customer")

    stripe_is.answer = first_fails
    assert make_customer()["id"] == "cus_2"
    assert {(sent.key, sent.body) for sent in stripe_is.seen} == {(KEY, b"email=alice%40example.com")}
    assert len(stripe_is.seen) == 2
    stripe_is.seen.clear()
    stripe_is.answer = lambda sent: error(500, retry=True)
    with pytest.raises(StripeUnavailable):
        make_customer()
    assert len(stripe_is.seen) == 2, "more is the completer's matter"


def test_a_refusal_is_not_asked_again(stripe_is: Wire) -> None:
    for status in (400, 402, 401, 403, 404):
        stripe_is.seen.clear()
        stripe_is.answer = lambda sent, status=status: Reply(status, error(status).body)
        with pytest.raises(StripeError):
            make_customer()
        assert len(stripe_is.seen) == 1, status


NOT_SO_FAST: list[tuple[int, dict[str, str]]] = [
    (429, {}),
    (429, {"code": "rate_limit"}),
    (429, {"code": "lock_timeout"}),
    (400, {"code": "lock_timeout"}),
    (409, {"code": "idempotency_key_in_use", "type": "idempotency_error"}),
]


@pytest.mark.parametrize(("status", "said"), NOT_SO_FAST)
def test_where_stripe_says_not_so_fast_the_same_is_asked_again_after_a_pause_and_no_more_than_twice(
    stripe_is: Wire, status: int, said: dict[str, str]
) -> None:
    def at_the_third(sent: Sent) -> Reply:
        return ok(id="cus_3", object="customer") if len(stripe_is.seen) == 3 else error(status, **said)

    stripe_is.answer = at_the_third
    assert make_customer()["id"] == "cus_3"
    assert len({(sent.key, sent.body) for sent in stripe_is.seen}) == 1
    stripe_is.seen.clear()
    stripe_is.answer = lambda sent: error(status, **said)
    with pytest.raises(StripeUnavailable):
        make_customer()
    assert len(stripe_is.seen) == 3, "more is the completer's matter"


def test_no_pause_is_made_that_the_deadline_does_not_allow(
    stripe_is: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_client, "PAUSES", (20, 20))
    stripe_is.answer = lambda sent: error(429, code="rate_limit")
    with deadline.within(15), pytest.raises(StripeUnavailable) as caught:
        make_customer()
    assert (len(stripe_is.seen), caught.value.status) == (1, 429), (
        "that is what stands, not the time that is over"
    )


def test_no_more_than_half_of_the_threads_wait_for_a_slow_stripe(asking: Flask, stripe_is: Wire) -> None:
    answers, over, made = stripe_is.answer, threading.Event(), []
    stripe_is.answer = lambda sent: answers(sent) if over.wait(60) else None

    def buy() -> None:
        with asking.app_context():
            made.append(make_customer()["id"])

    buyers = [threading.Thread(target=buy) for _ in range(stripe_client.CALLS_AT_ONCE)]
    for buyer in buyers:
        buyer.start()
    try:
        wait_until(lambda: len(stripe_is.seen) == len(buyers), "every place to be taken")
        with pytest.raises(StripeUnavailable, match="too many calls wait"):
            make_customer()
    finally:
        over.set()
        for buyer in buyers:
            buyer.join()
    assert (len(made), len(stripe_is.seen)) == (4, 4)
    assert make_customer()["id"] == "cus_1"


def test_each_try_has_our_timeouts_and_not_the_sdks(asking: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def refuse(session: requests.Session, *about: Any, **more: Any) -> None:
        given.append(more["timeout"])
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(StripeUnavailable):
        make_customer()
    assert given == [(3, 8), (3, 8)]


def test_a_stripe_that_never_answers_is_left_after_the_time_that_is_set(
    asking: Flask, stripe_is: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stripe_client.CONNECT_READ_TIMEOUT == (3, 8), "two tries of a web request must end within 30 s"
    # Only the wait is shorter than in production.
    monkeypatch.setattr(stripe_client, "CONNECT_READ_TIMEOUT", (3, 0.1))
    ask_at(asking, stripe_is)
    over, waited_for = threading.Event(), []
    stripe_is.answer = lambda sent: cut(sent) if over.wait(60) else waited_for.append(sent)
    try:
        with pytest.raises(StripeUnavailable):
            make_customer()
    finally:
        over.set()
    assert (len(stripe_is.seen), waited_for) == (2, [])


def test_lists_are_read_to_their_end(stripe_is: Wire) -> None:
    def pages(sent: Sent) -> Reply:
        after = "starting_after=sub_" in sent.path
        data = [{"id": "sub_3"}] if after else [{"id": "sub_1"}, {"id": "sub_2"}]
        return ok(object="list", data=data, has_more=not after, url="/v1/subscriptions")

    stripe_is.answer = pages
    found = stripe_reads.list_subscriptions("cus_1")
    assert [one["id"] for one in found] == ["sub_1", "sub_2", "sub_3"]
    assert "starting_after=sub_2" in stripe_is.seen[1].path


def test_prices_are_asked_for_ten_lookup_keys_at_a_time(stripe_is: Wire) -> None:
    stripe_is.answer = lambda sent: ok(object="list", data=[], has_more=False, url="/v1/prices")
    stripe_reads.find_prices([f"plan_{number}" for number in range(23)])
    asked = [sent.path.count("lookup_keys") for sent in stripe_is.seen]
    assert asked == [10, 10, 3]


def test_answers_are_plain_dictionaries_to_the_last_level(stripe_is: Wire) -> None:
    whole = {"id": "cus_1", "object": "customer", "metadata": {"user_id": "7"}, "tags": [{"a": {"b": None}}]}
    stripe_is.answer = lambda sent: ok(**whole)
    found = make_customer()
    assert json.loads(json.dumps(found)) == whole
