"""The floor: nothing but the check of the signature, without a framework. Nothing is stored."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable
from typing import Any

SECRET = os.environ.get("FLOOR_SECRET", "").encode()
HEADERS = [("Content-Type", "application/json"), ("Content-Length", "17")]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    stamp, _, signature = environ["HTTP_STRIPE_SIGNATURE"].removeprefix("t=").partition(",v1=")
    right = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    good = hmac.compare_digest(right, signature)
    start_response("200 OK" if good else "400 Bad Request", HEADERS)
    return [b'{"received":true}']
