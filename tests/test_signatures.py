"""Only Stripe's own bytes, lately signed, get past the door; all else gets one answer and leaves nothing."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from billing.extensions import db
from billing.models import StripeEvent
from tests.conftest import WEBHOOK_SECRET
from tests.forgeries import OLD_SECRET, OTHER_SECRET, YEAR, Delivery, flip, latin, signature
from tests.intake import set_up
from tests.support import Databases, make_event, signed
from tests.watching import Bell

REFUSED = b'{"error":"not a Stripe event for this endpoint"}\n'


def fresh(kind: str = "invoice.paid", **more: Any) -> Delivery:
    """A delivery that is right in every way."""
    thing = {"id": "in_1", "object": "invoice", "customer": "cus_1", "lines": {"data": []}, "name": "Ada Ü"}
    body = json.dumps(make_event(kind, thing, **more), ensure_ascii=False).encode()
    return Delivery(body, signed(body, WEBHOOK_SECRET))


@pytest.fixture(scope="module")
def intake(databases: Databases) -> Iterator[Flask]:
    """One application for the module: what is refused leaves nothing, so nothing has to be cleared."""
    with set_up(databases, secret=f"{WEBHOOK_SECRET},{OLD_SECRET}@9999-01-01") as application:
        yield application


@pytest.fixture
def bell(intake: Flask) -> Bell:
    return Bell(intake)


def send(app: Flask, delivery: Delivery) -> TestResponse:
    environ = {"CONTENT_TYPE": "application/json", **delivery.environ}
    if delivery.header is not None:
        environ["HTTP_STRIPE_SIGNATURE"] = delivery.header
    client = app.test_client(use_cookies=False)
    return client.open("/webhooks/stripe", method="POST", data=delivery.body, environ_overrides=environ)


def rows(app: Flask) -> int:
    with app.app_context():
        count = db.session.execute(select(func.count()).select_from(StripeEvent)).scalar_one()
        db.session.remove()
    return count


def assert_refused(app: Flask, bell: Bell, delivery: Delivery) -> None:
    before = rows(app)
    answer = send(app, delivery)
    assert (answer.status_code, answer.data) == (400, REFUSED)
    assert "Set-Cookie" not in answer.headers
    assert rows(app) == before
    assert bell.rung == 0


# Forged, stale and broken signatures, by name.

Change = Callable[[Delivery], Delivery]


def header(text: str | None) -> Change:
    return lambda it: replace(it, header=text)


def resign(secret: str = WEBHOOK_SECRET, offset: int = 0, scheme: str = "v1") -> Change:
    def change(it: Delivery) -> Delivery:
        stamp = str(int(time.time()) + offset)
        return replace(it, header=f"t={stamp},{scheme}={signature(it.body, secret, stamp)}")

    return change


def rewrite(change: Callable[[str], str]) -> Change:
    return lambda it: replace(it, header=change(it.header or ""))


def rebody(change: Callable[[bytes], bytes]) -> Change:
    return lambda it: replace(it, body=change(it.body))


def spaced(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(", ", " : ")).encode()


def reordered(body: bytes) -> bytes:
    return json.dumps(json.loads(body), sort_keys=True).encode()


FORGED: dict[str, Change] = {
    "no header": header(None),
    "empty header": header(""),
    "blank header": header("   "),
    "commas only": header(",,,,"),
    "signature without time": rewrite(lambda text: text.partition(",")[2]),
    "time without signature": rewrite(lambda text: text.partition(",")[0]),
    "another endpoint's secret": resign(OTHER_SECRET),
    "empty secret": resign(""),
    "secret without its prefix": resign(WEBHOOK_SECRET.removeprefix("whsec_")),
    "secret in capitals": resign(WEBHOOK_SECRET.upper()),
    "scheme v0 only": resign(scheme="v0"),
    "scheme v2 only": resign(scheme="v2"),
    "scheme V1 in capitals": resign(scheme="V1"),
    "scheme with a space": resign(scheme=" v1"),
    "one hour old": resign(offset=-3600),
    "just too old": resign(offset=-310),
    "one hour ahead": resign(offset=3600),
    "just too far ahead": resign(offset=310),
    "one year ahead": resign(offset=YEAR),
    "time zero": resign(offset=-int(time.time())),
    "negative time": rewrite(lambda text: text.replace("t=", "t=-")),
    "time moved by one": rewrite(lambda text: re.sub(r"t=(\d+)", lambda m: f"t={int(m[1]) + 1}", text)),
    "time as words": rewrite(lambda text: re.sub(r"t=\d+", "t=now", text)),
    "time as a fraction": rewrite(lambda text: re.sub(r"t=(\d+)", r"t=\1.0", text)),
    "time in hexadecimal": rewrite(lambda text: re.sub(r"t=(\d+)", lambda m: f"t={int(m[1]):#x}", text)),
    "endless time": rewrite(lambda text: re.sub(r"t=\d+", "t=" + "9" * 4000, text)),
    "time in Arabic digits": rewrite(
        lambda text: latin(text.translate({48 + n: 0x660 + n for n in range(10)}))
    ),
    "old time before the right one": rewrite(lambda text: f"t=1,{text}"),
    "letters beyond ASCII": header(latin("t=1,v1=é")),
    "letters beyond ASCII after a right one": rewrite(lambda text: latin(f"{text},v1=é")),
    "a NUL in the signature": rewrite(lambda text: f"{text}\0"),
    "truncated signature": rewrite(lambda text: text[:-1]),
    "longer signature": rewrite(lambda text: f"{text}0"),
    "signature in capitals": rewrite(lambda text: text.partition("v1=")[0] + "v1=" + text[-64:].upper()),
    "signature in quotes": rewrite(lambda text: text.replace("v1=", 'v1="') + '"'),
    "signature in base64": header("t=1,v1=" + "QUJD" * 11 + "="),
    "semicolons for commas": rewrite(lambda text: text.replace(",", ";")),
    "a thousand wrong signatures": rewrite(lambda text: text.partition(",")[0] + ",v1=00" * 1000),
    "a right one behind ten thousand wrong ones": rewrite(lambda text: "v1=00," * 10_000 + text),
    "one bit of the body": rebody(lambda body: flip(body, 1001)),
    "body cut by one byte": rebody(lambda body: body[:-1]),
    "body longer by a line end": rebody(lambda body: body + b"\n"),
    "body with other spaces": rebody(spaced),
    "body with sorted names": rebody(reordered),
    "body with escaped letters": rebody(lambda body: json.dumps(json.loads(body)).encode()),
    "body in UTF-16": rebody(lambda body: body.decode().encode("utf-16")),
    "body in Latin-1": rebody(lambda body: body.decode().encode("latin-1")),
    "body with a byte order mark": rebody(lambda body: b"\xef\xbb\xbf" + body),
    "body with a NUL": rebody(lambda body: body + b"\0"),
    "body compressed": rebody(gzip.compress),
    "no body": rebody(lambda body: b""),
    "another event's signature": header(signed(b'{"id":"evt_other"}', WEBHOOK_SECRET)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_request_is_refused_and_leaves_nothing(name: str, intake: Flask, bell: Bell) -> None:
    assert_refused(intake, bell, FORGED[name](fresh()))


# Rightly signed, and still not an event for us.


def weird(body: bytes | str | object) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = str(int(time.time()))
    return Delivery(raw, f"t={stamp},v1={signature(raw, WEBHOOK_SECRET, stamp)}")


def event(**change: Any) -> dict[str, Any]:
    return make_event("invoice.paid", {"id": "in_1", "object": "invoice"}) | change


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in event().items() if key != name}


NOT_FOR_US: dict[str, Callable[[], Delivery]] = {
    "null": lambda: weird(None),
    "a number": lambda: weird(1),
    "a list": lambda: weird([event()]),
    "a text": lambda: weird("event"),
    "an empty object": lambda: weird({}),
    "no JSON": lambda: weird(b"id=evt_1&object=event"),
    "two objects": lambda: weird(json.dumps(event()).encode() * 2),
    "bytes that are no text": lambda: weird(b"\xff\xfe\xfd"),
    "a byte order mark": lambda: weird(b"\xef\xbb\xbf" + json.dumps(event()).encode()),
    "a hundred thousand brackets": lambda: weird(b"[" * 100_000),
    "deep lists in an event": lambda: weird(
        b'{"object":"event","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    ),
    "deep objects in an event": lambda: weird(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a number of six thousand digits": lambda: weird(b'{"object":"event","created":' + b"9" * 6000 + b"}"),
    "another object": lambda: weird(event(object="invoice")),
    "a thin event": lambda: weird(event(object="v2.core.event")),
    "no object": lambda: weird(without("object")),
    "no id": lambda: weird(without("id")),
    "an empty id": lambda: weird(event(id="")),
    "a number as id": lambda: weird(event(id=7)),
    "an object as id": lambda: weird(event(id={"id": "evt_1"})),
    "an endless id": lambda: weird(event(id="evt_" + "x" * 252)),
    "an id with a NUL": lambda: weird(event(id="evt_\0")),
    "an id with half a letter": lambda: weird(event(id="evt_\ud800")),
    "no type": lambda: weird(without("type")),
    "a list as type": lambda: weird(event(type=["invoice.paid"])),
    "a type with a NUL": lambda: weird(event(type="invoice.paid\0")),
    "no time": lambda: weird(without("created")),
    "a text as time": lambda: weird(event(created="now")),
    "a fraction as time": lambda: weird(event(created=1.5)),
    "a negative time": lambda: weird(event(created=-1)),
    "a time beyond calendars": lambda: weird(event(created=2**62)),
    "true as time": lambda: weird(event(created=True)),
    "live mode": lambda: weird(event(livemode=True)),
    "no mode": lambda: weird(without("livemode")),
    "a text as mode": lambda: weird(event(livemode="false")),
    "zero as mode": lambda: weird(event(livemode=0)),
    "a connected account": lambda: weird(event(account="acct_other")),
    "a gzip label": lambda: replace(fresh(), environ={"HTTP_CONTENT_ENCODING": "gzip"}),
    "two encodings": lambda: replace(fresh(), environ={"HTTP_CONTENT_ENCODING": "identity, br"}),
}


@pytest.mark.parametrize("name", NOT_FOR_US)
def test_a_signed_body_that_is_not_an_event_for_us_is_refused(name: str, intake: Flask, bell: Bell) -> None:
    assert_refused(intake, bell, NOT_FOR_US[name]())


# What must pass.

PASSES: dict[str, Change] = {
    "as Stripe sends it": lambda it: it,
    "signed with the secret being retired": resign(OLD_SECRET),
    "almost too old": resign(offset=-290),
    "almost too far ahead": resign(offset=290),
    "a wrong signature before the right one": rewrite(lambda text: text.replace(",v1=", ",v1=00,v1=")),
    "an older scheme beside it": rewrite(lambda text: f"{text},v0=00"),
    "other fields beside it": rewrite(lambda text: f"x=1,{text},y=2,"),
    "a second value behind the time": rewrite(lambda text: re.sub(r"t=(\d+)", r"t=\1=x", text)),
    "time after the signature": rewrite(lambda text: ",".join(reversed(text.split(",")))),
    "no content type": lambda it: replace(it, environ={"CONTENT_TYPE": ""}),
    "a form's content type": lambda it: replace(
        it, environ={"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    ),
    "identity encoding": lambda it: replace(it, environ={"HTTP_CONTENT_ENCODING": "identity"}),
    "a stranger's cookie": lambda it: replace(it, environ={"HTTP_COOKIE": "dunlin=forged"}),
}


@pytest.mark.parametrize("name", PASSES)
def test_a_signed_event_is_taken(name: str, intake: Flask, bell: Bell) -> None:
    before = rows(intake)
    answer = send(intake, PASSES[name](fresh()))
    assert answer.status_code == 200, answer.data
    assert rows(intake) == before + 1
    assert bell.rung == 1
