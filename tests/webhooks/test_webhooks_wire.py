"""The intake behind gunicorn, in two processes: deliveries at once, and bodies that are too long or broken off."""

from __future__ import annotations

import gzip
import hmac
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
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

MANY = 50


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
    status, said = send_raw(web, [header.encode() for header in headers], body, end=end)
    return status, json.loads(said)


def send_raw(web: Served, headers: list[bytes], body: bytes, *, end: bool = False) -> tuple[int, bytes]:
    head = [f"POST {PATH} HTTP/1.1".encode(), b"Host: localhost", *headers, b"", b""]
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as wire:
        wire.sendall(b"\r\n".join(head) + body)
        if end:
            wire.shutdown(socket.SHUT_WR)
        with http.client.HTTPResponse(wire) as answer:
            answer.begin()
            return answer.status, answer.read()


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


# Forgeries that only a wire can carry: each is given the right length unless it says its own.

Forgery = Callable[[bytes, bytes], tuple[list[bytes], bytes]]


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


def zipped(body: bytes, right: bytes) -> tuple[list[bytes], bytes]:
    small = gzip.compress(body)
    return [signature_of_bytes(small), b"Content-Encoding: gzip", sized(small)], small


def signature_of_bytes(body: bytes) -> bytes:
    stamp = b"%d" % time.time()
    made = hmac.new(WEBHOOK_SECRET.encode(), stamp + b"." + body, sha256).hexdigest()
    return b"Stripe-Signature: t=%s,v1=%s" % (stamp, made.encode())


def signed_over(body: bytes) -> tuple[list[bytes], bytes]:
    """Bytes that are no JSON of an event, under a signature that is right for them."""
    return [signature_of_bytes(body), sized(body)], body


WRONG = b"Stripe-Signature: t=1,v1=" + b"0" * 64
FORGERIES: dict[str, Forgery] = {
    "ten thousand signatures in one header": lambda body, right: (
        [right + b",v1=00" * 10_000, sized(body)], body,
    ),
    "two wrong headers": lambda body, right: ([WRONG, WRONG, sized(body)], body),
    "ninety wrong headers": lambda body, right: ([WRONG] * 90 + [sized(body)], body),
    "a wrong header before the right one": lambda body, right: ([WRONG, right, sized(body)], body),
    "two hundred headers": lambda body, right: ([right, *[b"X-A: 1"] * 200, sized(body)], body),
    "a header of bytes that are no text": lambda body, right: ([b"Stripe-Signature: \xff\xfe", sized(body)], body),
    "a NUL in the header": lambda body, right: ([right + b"\0", sized(body)], body),
    "a header over two lines": lambda body, right: ([right.replace(b",", b",\r\n "), sized(body)], body),
    "a name with a space": lambda body, right: ([right.replace(b":", b" :"), sized(body)], body),
    "a name with an underscore": lambda body, right: ([right.replace(b"-", b"_", 1), sized(body)], body),
    "a body compressed and signed": zipped,
    "a body of NULs, signed": lambda body, right: signed_over(b"\0" * 100),
    "a body with a byte order mark, signed": lambda body, right: signed_over(b"\xef\xbb\xbf" + body),
    "a body in UTF-16, signed": lambda body, right: signed_over(body.decode().encode("utf-16")),
    "a body in UTF-32, signed": lambda body, right: signed_over(body.decode().encode("utf-32")),
    "two lengths": lambda body, right: ([right, sized(body), b"Content-Length: 1"], body),
    "a length and chunks": lambda body, right: ([right, sized(body), CHUNKED.encode()], chunks(body)),
    "a negative length": lambda body, right: ([right, b"Content-Length: -1"], body),
    "a length in words": lambda body, right: ([right, b"Content-Length: all"], body),
    "chunks called by another name": lambda body, right: (
        [right, b"Transfer-Encoding: xchunked"], chunks(body),
    ),
}  # fmt: skip
# gunicorn refuses what it may not even read as a header, with words of its own.
REFUSALS = {400, 431, 501}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_on_the_wire_is_refused_and_leaves_nothing(web: Served, name: str) -> None:
    body = bytes_of(paid())
    headers, sent = FORGERIES[name](body, signature_of(body).encode())
    status, said = send_raw(web, headers, sent)
    assert status in REFUSALS
    assert WEBHOOK_SECRET.encode() not in said
    assert count(StripeEvent) == 0
    assert web.deliver(body).status == 200, "the server is not what it was before"


def test_a_flood_of_bodies_without_end_costs_little_memory(web: Served) -> None:
    """Each of 8 threads holds one megabyte and one byte at most, and what it takes to look at them."""
    endless = chunk(b" " * 65_536) * 40
    before = web.most_memory()
    with ThreadPoolExecutor(16) as pool:
        flood = [
            pool.submit(send_raw, web, [WRONG, CHUNKED.encode()], endless + b"0\r\n\r\n") for _ in range(64)
        ]
        assert {one.result()[0] for one in flood} == {413}
    assert web.most_memory() - before < 2 * 8 * 10 * 2**20, "two processes, 8 threads, 10 MB each"
    assert count(StripeEvent) == 0
