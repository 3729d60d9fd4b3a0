"""The wire between Dunlin and Stripe: it keeps every request byte for byte, and is cut where a test wants."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PASSED_BACK = ("Content-Type", "Request-Id", "Stripe-Should-Retry", "Idempotent-Replayed")


@dataclass(frozen=True)
class Sent:
    """A request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("Idempotency-Key")

    @property
    def fields(self) -> dict[str, str]:
        """What the form in the body says; of a DELETE, the query."""
        said = urlsplit(self.path).query if self.method == "DELETE" else self.body.decode()
        return dict(parse_qsl(said, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def ok(**thing: Any) -> Reply:
    return Reply(200, json.dumps(thing).encode())


def error(status: int, *, retry: bool = False, **said: Any) -> Reply:
    """An error as Stripe words it. Without ``retry`` it tells the SDK not to ask again by itself."""
    more = {} if retry else {"Stripe-Should-Retry": "false"}
    return Reply(status, json.dumps({"error": {"type": "api_error", **said}}).encode(), more)


def cut(sent: Sent) -> None:
    """Close the connection with no answer: Stripe never saw the request."""


class Wire:
    """A port in front of Stripe. ``answer`` is what happens to a request; at first it is passed on."""

    def __init__(self, stripe: str = "") -> None:
        self.seen: list[Sent] = []
        self.answer: Callable[[Sent], Reply | None] = self.pass_on
        self._stripe = urlsplit(stripe).netloc
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent = Sent(self.command, self.path, self.headers, body)
                wire.seen.append(sent)
                reply = wire.answer(sent)
                if reply is None:
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):  # whatever the method: one that nobody expects must be seen too
                    return self._take
                raise AttributeError(name)

            def log_message(self, *words: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the other end was killed or stopped waiting: that is what tests do here

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def writes(self) -> list[Sent]:
        """Everything that was not a read."""
        return [sent for sent in self.seen if sent.method != "GET"]

    def pass_on(self, sent: Sent) -> Reply | None:
        """Ask Stripe and give its answer back; None where Stripe itself cut the connection."""
        connection = http.client.HTTPConnection(self._stripe, timeout=60)
        headers = {name: value for name, value in sent.headers.items() if name.lower() != "host"}
        try:
            connection.request(sent.method, sent.path, sent.body or None, headers)
            answer = connection.getresponse()
            back = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
            return Reply(answer.status, answer.read(), back)
        except http.client.RemoteDisconnected:
            return None
        finally:
            connection.close()

    def lose_answer(self, sent: Sent) -> None:
        """Stripe does it, and nobody hears of it."""
        self.pass_on(sent)


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as the form fields that carry them: ``{"a": [{"b": 1}]}`` is ``a[0][b]=1``."""
    fields: dict[str, str] = {}
    for name, value in params.items():
        here = f"{prefix}[{name}]" if prefix else str(name)
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            fields |= flat(value, here)
        else:
            fields[here] = str(value).lower() if isinstance(value, bool) else str(value)
    return fields


class Held:
    """The first read of a subscription: its answer is on the way until it is let go."""

    def __init__(self, wire: Wire) -> None:
        self.arrived, self.go = threading.Event(), threading.Event()
        self._wire, self._first = wire, True
        wire.answer = self._answer

    def _answer(self, sent: Sent) -> Reply | None:
        hold = self._first and sent.path.startswith("/v1/subscriptions/")
        self._first = self._first and not hold
        answer = self._wire.pass_on(sent)
        if hold:
            self.arrived.set()
            self.go.wait(60)
        return answer
