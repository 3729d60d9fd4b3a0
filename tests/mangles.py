"""What is done to a right delivery so that it is right no more: some forty ways, of which one to three meet by lot."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.conftest import WEBHOOK_SECRET
from tests.forgeries import (
    LIMIT,
    OTHER_SECRET,
    SECRETS,
    SEED,
    YEAR,
    Delivery,
    flip,
    fresh,
    latin,
    signed_with,
)

Mangle = Callable[[random.Random, Delivery], Delivery]


def on_header(change: Callable[[random.Random, str], str]) -> Mangle:
    return lambda rng, it: replace(it, header=change(rng, it.header or ""))


def on_body(change: Callable[[random.Random, bytes], bytes]) -> Mangle:
    return lambda rng, it: replace(it, body=change(rng, it.body), whole=False)


def _spliced(rng: random.Random, text: str, piece: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + piece + text[at:]


def _cut(rng: random.Random, thing: Any) -> Any:
    return thing[: rng.randrange(max(1, len(thing)))]


def _byte(rng: random.Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.randbytes(1) + body[at:]


def _shuffled(rng: random.Random, text: str) -> str:
    parts = text.split(",")
    rng.shuffle(parts)
    return rng.choice([",", ", ", ";", ",,", "\t,"]).join(parts)


def _moved_time(rng: random.Random, text: str) -> str:
    shift = rng.choice([-YEAR, -3600, -301, -1, 1, 301, 3600, YEAR])
    return re.sub(r"t=(\d{1,12})", lambda found: f"t={int(found[1]) + shift}", text)


def _character(rng: random.Random, text: str) -> str:
    if not text:
        return "="
    at = rng.randrange(len(text))
    return text[:at] + chr(rng.choice([0, 9, 10, 13, 32, 44, 61, rng.randrange(256)])) + text[at + 1 :]


def _bit(rng: random.Random, text: str) -> str:
    return flip(text.encode("latin-1") or b"t", rng.randrange(10_000)).decode("latin-1")


def _renamed(rng: random.Random, text: str) -> str:
    return text.replace("v1=", rng.choice(["v0=", "v2=", "V1=", "v1 =", " v1=", "v1==", "v01=", "v1:", "="]))


def _restamped(rng: random.Random, text: str) -> str:
    odd = ["", "0", "-1", "1e9", "NaN", "9" * 30, "0x1", "+1", " 1 ", "1_0", "\xb2", "None", "9" * 3000]
    return re.sub(r"t=[^,]*", lambda _: "t=" + rng.choice(odd), text)


def _signed_by(rng: random.Random, it: Delivery) -> Delivery:
    wrong = [
        OTHER_SECRET,
        "",
        " ",
        "whsec_",
        WEBHOOK_SECRET[:-1],
        WEBHOOK_SECRET + " ",
        WEBHOOK_SECRET.upper(),
    ]
    return replace(it, header=signed_with(it.body, rng.choice(wrong)))


def _recoded(rng: random.Random, body: bytes) -> bytes:
    return body.decode("latin-1").encode(rng.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7"]))


def _field(rng: random.Random, body: bytes) -> bytes:
    named = rng.choice([b"invoice", b"false", b"evt_", b"cus_1", b"2026"])
    return body.replace(named, rng.choice([b"", b"true", b"x"]))


def _elsewhere(rng: random.Random, it: Delivery) -> Delivery:
    """Another address or another method; rarely, since an error page is made for each."""
    if rng.random() < 0.5:
        return replace(it, method=rng.choice(["GET", "HEAD", "PUT", "PATCH", "DELETE"]))
    paths = [
        "/webhooks/stripe/",
        "/webhooks//stripe",
        "/WEBHOOKS/stripe",
        "/webhooks/stripe\0",
        "/webhooks/stripe2",
    ]
    return replace(it, path=rng.choice(paths))


def _told_length(rng: random.Random, it: Delivery) -> Delivery:
    """A length that is not the body's: far too much, no number, or less than it is."""
    said = [str(LIMIT + 1), "9" * 18, "", "-1", "x", "1e3", "0", str(max(0, len(it.body) - 1))]
    return replace(it, said=rng.choice(said), whole=False)


def _resigned(rng: random.Random, it: Delivery) -> Delivery:
    """Rightly signed, whatever the body has become: the one thing a stranger can't do."""
    return replace(it, header=signed_with(it.body, rng.choice(SECRETS)))


DIGITS = re.compile(r"[0-9a-f]{64}")
MANGLES: tuple[Mangle, ...] = (
    on_body(lambda rng, body: flip(body or b"{", rng.randrange(10_000))),
    on_body(_byte),
    on_body(_cut),
    on_body(_recoded),
    on_body(_field),
    on_body(lambda rng, body: body + rng.choice([b"\n", b" ", b"\0", b"}", b"\xff"])),
    on_body(lambda rng, body: rng.choice([b"\xef\xbb\xbf", b"\n", b"\0"]) + body),
    on_body(lambda rng, body: body.replace(b" ", b"", rng.randrange(1, 20))),
    on_body(lambda rng, body: body.replace(b'"', b"'")),
    on_body(lambda rng, body: body[::-1]),
    on_body(lambda rng, body: body + body),
    on_body(lambda rng, body: gzip.compress(body, 1)),
    on_body(lambda rng, body: b""),
    on_body(lambda rng, body: rng.randbytes(rng.randrange(400))),
    on_body(lambda rng, body: b"[" * rng.randrange(5000)),
    on_body(lambda rng, body: body.replace(b"evt_forged_", b"evt_stolen_")),
    on_header(_character),
    on_header(_bit),
    on_header(_cut),
    on_header(_shuffled),
    on_header(_moved_time),
    on_header(_renamed),
    on_header(_restamped),
    on_header(lambda rng, text: text.upper()),
    on_header(lambda rng, text: text.replace("=", rng.choice(["", "==", " = ", ":"]))),
    on_header(lambda rng, text: f"{text},{text}"),
    on_header(lambda rng, text: f"v1={'0' * rng.randrange(80)},{text}"),
    on_header(lambda rng, text: f"t={rng.randrange(2**40)},{text}"),
    on_header(lambda rng, text: f"{text},v1={latin(rng.choice('éß¹Ω✓'))}"),
    on_header(lambda rng, text: _spliced(rng, text, latin(rng.choice(["é", "\0", "\r\n", "٣", "\x7f", "“"])))),
    on_header(lambda rng, text: _spliced(rng, text, rng.choice([",", "=", " ", "t=", "v1=", ",t", "=,"]))),
    on_header(lambda rng, text: text * rng.randrange(2, 200)),
    on_header(lambda rng, text: rng.choice(["", " ", ",", "=", "t", "v1", "t=,v1=", "v1=,t=", "null", "{}"])),
    on_header(lambda rng, text: DIGITS.sub(lambda found: found[0][::-1], text)),
    on_header(lambda rng, text: DIGITS.sub("0" * rng.randrange(130), text)),
    on_header(lambda rng, text: re.sub(r"\d", latin(rng.choice("１٣²")), text, count=rng.randrange(1, 4))),
    on_header(lambda rng, text: f"{text},v1={'0' * 64}" if rng.random() < 0.5 else f"x=1,{text}"),
    lambda rng, it: replace(it, header=None),
    lambda rng, it: replace(it, header=fresh(0, rng).header),  # another event's
    lambda rng, it: replace(it, environ={"HTTP_CONTENT_ENCODING": rng.choice(["gzip", "br", "deflate", "x"])}),
    _signed_by,
    lambda rng, it: replace(it, header=signed_with(it.body, OTHER_SECRET)),
    lambda rng, it: replace(
        it, header=signed_with(it.body, WEBHOOK_SECRET, rng.choice([-YEAR, -4000, -320, 320, 4000, YEAR]))
    ),
    lambda rng, it: replace(
        it, header=signed_with(it.body, WEBHOOK_SECRET, scheme=rng.choice(["v0", "v2", "", "t", "V1"]))
    ),
)  # fmt: skip
# What comes now and then only: it is dear, or leaves the delivery right.
SELDOM: tuple[Mangle, ...] = (_elsewhere, _told_length, _resigned)


def made(number: int) -> tuple[Delivery, random.Random]:
    """The delivery of this number, after one to three changes; and its dice, for whoever carries it."""
    rng = random.Random(SEED * 1_000_003 + number)
    it = fresh(number, rng)
    for mangle in rng.sample(MANGLES, rng.randrange(1, 4)):
        it = mangle(rng, it)
    if rng.random() < 0.05:
        it = rng.choice(SELDOM)(rng, it)
    return it, rng
