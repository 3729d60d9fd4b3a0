"""The intake behind gunicorn, in two processes: deliveries at once, and bodies that are too long or broken off."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app import BODY_LIMIT
from billing.models import StripeEvent
from tests.conftest import WEBHOOK_SECRET
from tests.intake import PATH, RECEIVED, REFUSED, emptied, paid, the_row
from tests.served import Served, served
from tests.story import count
from tests.support import signed

MANY = 24


@pytest.fixture(scope="module")
def web(app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(app.extensions["config"], tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(db_session: Session) -> None:
    emptied(db_session)


def bytes_of(event: dict[str, Any], length: int = 0) -> bytes:
    """The event as a body of so many bytes at least."""
    return json.dumps(event).encode().ljust(length)


def send(web: Served, body: bytes, *headers: str, end: bool = False) -> tuple[int, Any]:
    """Write a request by hand. ``end``: then say that no more will come. The status and the JSON of the answer."""
    head = [f"POST {PATH} HTTP/1.1", "Host: localhost", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as wire:
        wire.sendall("\r\n".join(head).encode() + body)
        if end:
            wire.shutdown(socket.SHUT_WR)
        with http.client.HTTPResponse(wire) as answer:
            answer.begin()
            return answer.status, json.loads(answer.read())


def signature_of(body: bytes) -> str:
    return f"Stripe-Signature: {signed(body, WEBHOOK_SECRET)}"


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def chunks(*parts: bytes) -> bytes:
    return b"".join(map(chunk, parts)) + b"0\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"


def test_deliveries_of_one_event_at_once_to_several_processes_make_one_row(web: Served) -> None:
    event, start = paid(), threading.Barrier(MANY)
    bodies = [bytes_of({**event, "pending_webhooks": number}) for number in range(MANY)]

    def work(body: bytes) -> tuple[int, Any]:
        start.wait(30)
        answer = web.deliver(body)
        return answer.status, json.loads(answer.body)

    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(work, bodies))
    assert answers == [(200, RECEIVED)] * MANY
    assert count(StripeEvent) == 1
    assert the_row(event).payload.encode() in bodies


def test_different_events_at_once_are_all_kept(web: Served) -> None:
    sent = [paid() for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda event: web.deliver(bytes_of(event)).status, sent))
    assert answers == [200] * MANY
    assert count(StripeEvent) == MANY


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(web: Served) -> None:
    body = bytes_of(paid(), BODY_LIMIT + 1)
    answer = send(web, b"", signature_of(body), f"Content-Length: {len(body)}")
    assert answer == (413, {"error": "body too large"})


def test_a_body_of_no_stated_length_is_refused_when_it_gets_too_long(web: Served) -> None:
    body = bytes_of(paid(), BODY_LIMIT + 1)
    assert send(web, chunks(body), signature_of(body), CHUNKED) == (413, {"error": "body too large"})
    assert count(StripeEvent) == 0


def test_bytes_behind_a_signed_body_are_not_cut_off_until_the_signature_fits(web: Served) -> None:
    body = bytes_of(paid(), BODY_LIMIT)
    assert send(web, chunks(body, b"x"), signature_of(body), CHUNKED) == (413, {"error": "body too large"})
    assert count(StripeEvent) == 0


@pytest.mark.parametrize("framing", ["stated", "chunked"])
def test_the_longest_body_that_is_allowed_is_taken(web: Served, framing: str) -> None:
    body = bytes_of(paid(), BODY_LIMIT)
    if framing == "stated":
        answer = send(web, body, signature_of(body), f"Content-Length: {len(body)}")
    else:
        answer = send(web, chunks(body[:70_000], body[70_000:]), signature_of(body), CHUNKED)
    assert answer == (200, RECEIVED)
    assert count(StripeEvent) == 1


BROKEN_OFF = {
    "half of the stated length": lambda body: (body[:100], f"Content-Length: {len(body)}"),
    "chunks without an end": lambda body: (chunk(body), CHUNKED),
    "a chunk that is not whole": lambda body: (chunk(body)[:100], CHUNKED),
    "a chunk of no length": lambda body: (b"zz\r\n" + body, CHUNKED),
}


@pytest.mark.parametrize("how", BROKEN_OFF)
def test_a_body_that_is_broken_off_gets_the_one_answer_and_leaves_nothing(web: Served, how: str) -> None:
    body = bytes_of(paid())
    sent, framing = BROKEN_OFF[how](body)
    assert send(web, sent, signature_of(body), framing, end=True) == (400, REFUSED)
    assert count(StripeEvent) == 0


def test_no_body_at_all_gets_the_one_answer(web: Served) -> None:
    assert send(web, b"", signature_of(b"")) == (400, REFUSED)
    assert send(web, b"", signature_of(b""), "Content-Length: 0") == (400, REFUSED)
