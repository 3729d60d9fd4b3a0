"""HTTP as tests speak it to the sandbox: a connection for each thread that is kept, and nothing that is not needed.

The SDK's own way prepares each request for proxies, cookies and redirects, which took longer than the sandbox's answer.
"""

from __future__ import annotations

import http.client
import select
import threading
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import stripe

SECONDS = 60


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class _Connection(http.client.HTTPConnection):
    """Closed with the thread that it was for."""

    def __del__(self) -> None:
        self.close()


class _Connections(threading.local):
    def __init__(self) -> None:
        self.by_place: dict[str, _Connection] = {}


_kept = _Connections()


def ask(
    method: str, url: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request; redirects are not followed. Raises OSError or HTTPException where nobody answers."""
    parts = urlsplit(url)
    connection = _connection(parts.netloc)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path or "/", body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    except (OSError, http.client.HTTPException):
        connection.close()
        raise


def _connection(place: str) -> _Connection:
    """The one of this thread, opened anew where its other end has closed it."""
    found = _kept.by_place.get(place) or _Connection(place, timeout=SECONDS)
    _kept.by_place[place] = found
    if found.sock is not None and select.select([found.sock], [], [], 0)[0]:
        found.close()
    return found


class Transport(stripe.HTTPClient):
    """What carries the SDK's requests."""

    name = "plain"

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = ask(method.upper(), url, post_data, headers)
        except (OSError, http.client.HTTPException) as problem:
            raise stripe.APIConnectionError(type(problem).__name__, should_retry=True) from problem
        return answer.body, answer.status, dict(answer.headers)

    def close(self) -> None:
        pass


def client(key: str, url: str, **options: Any) -> stripe.StripeClient:
    """The SDK's client whose Stripe is at this address."""
    return stripe.StripeClient(key, base_addresses={"api": url}, http_client=Transport(), **options)
