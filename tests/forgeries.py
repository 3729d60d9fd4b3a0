"""Deliveries that are forged or mangled by lot, and a word on each from somebody who has not read our code.

A delivery has a number and is made by the dice of its number alone: ``FORGERY_SEED`` (20261124) names the dice,
``FORGERY`` one number to be tried alone. A failing test prints both.
"""

from __future__ import annotations

import hmac
import json
import os
import random
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.conftest import WEBHOOK_SECRET

PATH = "/webhooks/stripe"
OLD_SECRET = "whsec_the_one_before_0123456789"
OTHER_SECRET = "whsec_of_another_endpoint_012345"
SECRETS = (WEBHOOK_SECRET, OLD_SECRET)
SEED = int(os.environ.get("FORGERY_SEED", "20261124"))
LIMIT = 1024 * 1024
YEAR = 365 * 86400
# What no log line may hold: of the body, of the header, of our settings.
CANARIES = ("canary", "Ada", "4242424242424242", "whsec_", "v1=")


@dataclass(frozen=True)
class Delivery:
    """One request as it reaches the application: exact bytes, and the header as a server hands it over.

    ``said``: the length that it states, where that is not the body's. ``whole``: its body is as Stripe made it.
    """

    body: bytes
    header: str | None
    environ: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = PATH
    said: str | None = None
    whole: bool = True


def signature(body: bytes, secret: str, stamp: str) -> str:
    """Stripe's scheme in one line, written from its documentation and not from the SDK."""
    return hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()


def signed_with(body: bytes, secret: str, offset: int = 0, scheme: str = "v1") -> str:
    """The header of a body that was signed so many seconds from now."""
    stamp = str(int(time.time()) + offset)
    return f"t={stamp},{scheme}={signature(body, secret, stamp)}"


def numbers(count: int) -> Iterable[int]:
    """All of them, or the one that was asked for."""
    only = os.environ.get("FORGERY")
    return range(count) if only is None else [int(only)]


def again(number: int) -> str:
    """How to try this one alone."""
    return f"FORGERY_SEED={SEED} FORGERY={number} .venv/bin/python -m pytest tests/test_forged.py"


# Who is right.


def genuine(delivery: Delivery, accepted: tuple[str, ...] = SECRETS) -> bool:
    """Whether the signature could be taken for right by the most generous reader."""
    if delivery.header is None or delivery.environ.get("HTTP_CONTENT_ENCODING"):
        return False
    parts = [part.strip().partition("=") for part in delivery.header.split(",")]
    for stamp in (value.partition("=")[0].strip() for name, _, value in parts if name.strip() == "t"):
        if not re.fullmatch(r"[+-]?[0-9]+(_[0-9]+)*", stamp) or len(stamp) > 20:
            continue
        good = {signature(delivery.body, secret, str(int(stamp))) for secret in accepted}
        right = any(value.partition("=")[0] in good for name, _, value in parts if name.strip() == "v1")
        if right and abs(time.time() - int(stamp)) <= 305:
            return True
    return False


def undoubted(header: str) -> bool:
    """Whether a header of which ``genuine`` is true is right for the strictest reader as well."""
    parts = [part.split("=") for part in header.split(",")]
    stamps = [part[1] for part in parts if part[0] == "t" and len(part) == 2]
    plain = header.isascii() and all(len(part) == 2 and "".join(part).isalnum() for part in parts)
    return plain and len(stamps) == 1 and stamps[0].isdigit() and abs(time.time() - int(stamps[0])) <= 295


def right_answers(it: Delivery) -> set[int]:
    """The statuses that this delivery may be answered with: one, but where readers may differ."""
    if it.path != PATH:
        return {404}
    if it.method != "POST":
        return {405}
    if it.said and it.said.isdigit() and int(it.said) > LIMIT:
        return {413}
    it = as_read(it)
    if not genuine(it):
        return {400}
    return {200} if it.whole and undoubted(it.header or "") else {200, 400}


def as_read(it: Delivery) -> Delivery:
    """With the body that a server reads: as much as was said, if that is a number at all."""
    if it.said is None:
        return it
    return replace(it, body=it.body[: int(it.said) if it.said.isdigit() else 0])


def latin(text: str) -> str:
    """Bytes of a header as WSGI hands them over."""
    return text.encode().decode("latin-1")


def flip(body: bytes, bit: int) -> bytes:
    changed = bytearray(body)
    changed[bit // 8 % len(body)] ^= 1 << bit % 8
    return bytes(changed)


# A valid one.

KINDS = ("invoice.paid", "customer.subscription.updated", "charge.refunded", "nobody.acts_on_this")
PADDING = "An event of Stripe's is some kilobytes long. " * 40


def event_id(number: int) -> str:
    return f"evt_forged_{number:08d}"


def fresh(number: int, rng: random.Random) -> Delivery:
    """A delivery that is right in every way; what it says of a person must not be found anywhere afterwards."""
    thing = {
        "id": "in_1",
        "object": "invoice",
        "customer": "cus_1",
        "name": "Ada Ü",
        "email": "ada@canary.example",
    }
    thing["card"] = "4242424242424242"
    if rng.random() < 0.2:
        thing["description"] = f"canary {PADDING}"
    event = {
        "id": event_id(number),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "livemode": False,
        "type": rng.choice(KINDS),
        "data": {"object": thing},
    }
    body = json.dumps(event, ensure_ascii=False, indent=rng.choice((None, 2))).encode()
    return Delivery(body, signed_with(body, WEBHOOK_SECRET))
