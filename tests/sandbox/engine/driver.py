"""Drives a sandbox from outside: its process, the SDK, the card form, the control API, a webhook endpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from local.ports import free_port
from tests import plain_http

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
KEY = "sk_test_0123456789abcdefghij"
GOOD, GENERIC, POOR = "4242424242424242", "4000000000000002", "4000000000009995"
ASKS, ALWAYS_ASKS, FAILS_LATER = "4000002500003155", "4000002760003184", "4000000000000341"


def eventually(condition: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """What the condition gives once it holds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


class Endpoint:
    """A webhook endpoint that keeps what it is sent; `answers` is the status it gives."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.answers = 200
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.got.append((self.headers["Stripe-Signature"], body))
                self.send_response(endpoint.answers)
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                """Quiet: what came is kept."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def events(self) -> list[Json]:
        return [json.loads(body) for _, body in self.got]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]


class Sandbox:
    """The process, and what a test does with it."""

    def __init__(self, data: Path, port: int | None = None) -> None:
        self.data, self.port = data, port or free_port()
        self.begun: str | None = None  # the newest event as the test began, where one sandbox serves many
        self.base = f"http://127.0.0.1:{self.port}"
        self.start()
        self.client = plain_http.client(KEY, self.base)
        self.api = self.client.v1

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "sandbox", "--port", str(self.port), "--data", str(self.data)]
        self._log = (self.data / "log").open("ab")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self._log, stderr=self._log)
        eventually(self._answers, f"the sandbox answers; its log is {self.data / 'log'}")

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError((self.data / "log").read_text())
        try:
            return self.http("GET", "/healthz").status == 200
        except OSError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(timeout=20)
        self._log.close()
        return code

    def http(self, method: str, path: str, body: str = "", headers: Json | None = None) -> Answer:
        answer = plain_http.ask(method, self.base + path, body or None, headers)
        return Answer(answer.status, dict(answer.headers), answer.body)

    def raw(self, method: str, path: str, params: str = "", key: str | None = None, **headers: str) -> Answer:
        """One API request without the SDK."""
        sent = {"Authorization": f"Bearer {KEY}", **headers}
        if key is not None:
            sent["Idempotency-Key"] = key
        if method == "POST":
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self.http(method, path, params if method == "POST" else "", sent)

    def control(self, path: str, **body: Any) -> Json:
        answer = self.http("POST", f"/sandbox/{path}", json.dumps(body), {"Content-Type": "application/json"})
        assert answer.status == 200, answer.body
        return answer.json

    def look(self, path: str) -> Json:
        return self.http("GET", f"/sandbox/{path}").json

    # a shop's ordinary steps

    def price(self, amount: int = 2500, interval: str | None = "month", currency: str = "usd") -> str:
        product = self.api.products.create({"name": "Pro"})
        params: Any = {"product": product.id, "unit_amount": amount, "currency": currency}
        if interval:
            params["recurring"] = {"interval": interval}
        return self.api.prices.create(params).id

    def customer(self, email: str = "alice@example.com") -> Any:
        return self.api.customers.create({"email": email, "metadata": {"user_id": "1"}})

    def session(
        self, mode: str = "subscription", interval: str = "month", amount: int = 2500, **more: Any
    ) -> Any:
        price = more.pop("price", None) or self.price(amount, interval if mode == "subscription" else None)
        params: Any = {
            "mode": mode,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "http://127.0.0.1:9/ok?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://127.0.0.1:9/no",
            **more,
        }
        if "customer" not in more and "customer_email" not in more:
            params["customer"] = self.customer().id
        return self.api.checkout.sessions.create(params)

    def form(self, url: str, **fields: str) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.http("POST", urlsplit(url).path, urlencode(fields), sent)

    def card(self, url: str, number: str = GOOD, **fields: str) -> Answer:
        """Fill a card form and press its button."""
        form = {"number": number, "expiry": "12 / 34", "cvc": "123", "name": "Alice Ahrens"}
        return self.form(url, **{**form, **fields})

    def subscriber(self, number: str = GOOD, **more: Any) -> Any:
        """Somebody who subscribed through Checkout; the subscription."""
        session = self.session(**more)
        answer = self.card(session.url, number)
        if answer.location.startswith("/3ds/"):
            answer = self.form(answer.location, answer="pass")
        assert answer.status == 303, answer.body
        done = self.api.checkout.sessions.retrieve(session.id)
        return self.api.subscriptions.retrieve(str(done.subscription))

    def advance(self, customer: str, to: int | str = "next") -> int:
        now: int = self.control(f"customers/{customer}/advance", to=to)["now"]
        return now

    def past_due(self, number: str = FAILS_LATER) -> Any:
        """Somebody whose renewal failed for the first time; the subscription."""
        sub = self.subscriber()
        self.control(f"customers/{sub.customer}/card", number=number)
        self.advance(sub.customer, sub.items.data[0].current_period_end + 3600)
        return self.api.subscriptions.retrieve(sub.id)

    def charges(self, customer: str) -> list[Json]:
        return [each for each in self.look("ledger")["charges"] if each["customer"] == customer]

    def mark(self) -> str | None:
        """The newest event now, to ask for what came after it."""
        newest = self.api.events.list({"limit": 1}).data
        return newest[0].id if newest else None

    def events(self, since: str | None = None, about: str | None = None) -> list[Json]:
        """Events of this test in the order of their emission; `about` keeps those of one customer."""
        params: Any = {"limit": 100}
        since = since or self.begun
        if since:
            params["ending_before"] = since
        found = [each.to_dict(for_json=True) for each in self.api.events.list(params).auto_paging_iter()]
        if not since:
            found.reverse()
        return [each for each in found if about is None or _customer(each) == about]

    def types(self, since: str | None = None, about: str | None = None) -> list[str]:
        return [event["type"] for event in self.events(since, about)]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        body: Json = json.loads(self.body)
        return body

    @property
    def error(self) -> Json:
        error: Json = self.json["error"]
        return error

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


def _customer(event: Json) -> str | None:
    about = event["data"]["object"]
    return about.get("id") if about["object"] == "customer" else about.get("customer")
