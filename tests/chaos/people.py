"""What people do while the house shakes: at the portal over HTTP, on Stripe's pages, and in Stripe's dashboard."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from billing.extensions import db
from tests.chaos.memory import Memory
from tests.chaos.stack import Stack
from tests.simulation.at_stripe import CARDS
from tests.simulation.browsers import FINE, Forms
from tests.story import card_form, post_page
from tests.support import make_user, sign_in

PLANS = ("basic", "pro", "team")
OFTEN = ["good"] * 6 + ["fails later", "declined", "slow to refund"]
# Whoever gets no answer tries again, so often and after so many seconds.
TRIES, PATIENCE = 15, 1.0


@dataclass
class Seen:
    """What people were answered. ``wrong``: answers that nobody should get."""

    acts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        self.acts += other.acts
        self.answers += other.answers
        self.wrong += other.wrong


class Browser:
    """Somebody's cookie, and the requests that go with it."""

    def __init__(self, port: int, cookie: str, seen: Seen) -> None:
        self._port, self._cookie, self._seen = port, cookie, seen

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, location and text. Raises OSError or HTTPException where there was no whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Cookie": f"dunlin={self._cookie}"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, urlencode(form) if form is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for given in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = given.partition(";")[0].partition("=")
            if name == "dunlin":
                self._cookie = value
        self._seen.answers[str(answer.status)] += 1
        if answer.status not in FINE:
            self._seen.wrong.append(f"{method} {urlsplit(path).path} was answered {answer.status}")
        return answer.status, answer.headers.get("Location", ""), text


class Person:
    """A customer to be. Acts come one after the other; each is tried until it is answered."""

    def __init__(self, stack: Stack, number: int) -> None:
        self._stack, self.seen = stack, Seen()
        self.email = f"person{number}@example.com"
        user, client = make_user(db.session(), self.email), stack.app.test_client()
        sign_in(client, user)
        cookie = client.get_cookie("dunlin")
        assert cookie is not None
        self._browser = Browser(stack.web_port, cookie.value, self.seen)

    @property
    def customer(self) -> str | None:
        found = self._stack.memory.all("customer", email=self.email)
        return str(found[0]["id"]) if found else None

    def acts(self, chance: random.Random) -> None:
        """One of the things that somebody in their place may do."""
        customer = self.customer
        plans = self._stack.memory.all("subscription", customer=customer) if customer else []
        ways: list[Callable[[random.Random], None]] = [self.buys]
        if not any(plan["status"] not in ("canceled", "incomplete_expired") for plan in plans):
            ways = [self.subscribes] * 3 + [self.buys]
        else:
            ways += [self.cancels, self.resumes, self.changes, self.changes, self.refunds]
            ways += [self.renews] * 3 + [self.fails, self.recovers]
        way = chance.choice(ways)
        self.seen.acts[way.__name__] += 1
        way(chance)

    def subscribes(self, chance: random.Random) -> None:
        plan = chance.choice(PLANS)
        self._pays(self._press(chance, f"/subscribe/{plan}?interval=month", "/checkout"), chance)

    def buys(self, chance: random.Random) -> None:
        what = chance.choice(("credits-100", "reports-for-life"))
        self._pays(self._press(chance, f"/buy/{what}", f"/buy/{what}"), chance)

    def cancels(self, chance: random.Random) -> None:
        self._press(chance, "/billing/cancel", "/billing/cancel")

    def resumes(self, chance: random.Random) -> None:
        self._press(chance, "/billing", "/billing/resume")

    def changes(self, chance: random.Random) -> None:
        plan, interval = chance.choice(PLANS), chance.choice(("month", "month", "year"))
        self._press(chance, f"/billing/change/{plan}?interval={interval}", f"/billing/change/{plan}")

    def renews(self, chance: random.Random) -> None:
        for _ in range(chance.choice((1, 1, 2))):
            self._stripe(f"customers/{self.customer}/advance", {"to": "next"})

    def fails(self, chance: random.Random) -> None:
        self._stripe(f"customers/{self.customer}/card", {"number": CARDS["fails later"]})
        self.renews(chance)

    def recovers(self, chance: random.Random) -> None:
        self._stripe(f"customers/{self.customer}/card", {"number": CARDS["good"]})
        self.renews(chance)

    def refunds(self, chance: random.Random) -> None:
        """Somebody at the dashboard gives some of it back."""
        charges = self._stack.memory.all("charge", customer=self.customer, status="succeeded", refunded=False)
        if charges:
            charge = chance.choice(charges)
            left = charge["amount"] - charge["amount_refunded"]
            amount = str(chance.choice((left, max(1, left // 3))))
            self._stripe("dashboard/refunds", {"charge": charge["id"], "amount": amount})

    def _press(self, chance: random.Random, page: str, action: str) -> str:
        """Open the page and send its form to ``action``; where that led. "" where there is no such form.

        Whoever gets no answer sends the same form again, or opens the page anew.
        """
        form: dict[str, str] | None = None
        for _ in range(TRIES):
            try:
                if form is None:
                    status, _, text = self._browser.ask("GET", page)
                    form = Forms(text).found.get(action) if status == 200 else None
                    if form is None and status < 500:
                        return ""
                if form is not None:
                    status, place, _ = self._browser.ask("POST", action, form)
                    if status < 500:
                        return place
            except (OSError, http.client.HTTPException):
                self.seen.answers["none"] += 1
            form = form if chance.random() < 0.5 else None
            time.sleep(PATIENCE)
        return ""

    def _pays(self, place: str, chance: random.Random) -> None:
        if place.startswith(f"{self._stack.sandbox.url}/c/pay/"):
            post_page(place, **card_form(CARDS[chance.choice(OFTEN)]))

    def _stripe(self, path: str, body: dict[str, str]) -> None:
        """The sandbox's panel; what can't be done just now is not done."""
        ask(self._stack.sandbox.url, path, body)


def ask(sandbox: str, path: str, body: dict[str, str]) -> int:
    """POST to the sandbox's control interface; the status."""
    request = urllib.request.Request(
        f"{sandbox}/sandbox/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code


def rouse(sandbox: str, memory: Memory, chance: random.Random) -> bool:
    """Somebody at the dashboard writes a note on a plan, of which the worker hears. False: there is no plan yet."""
    plans = memory.rows("select id from objects where type = 'subscription' order by seq desc limit 20")
    if plans:
        note = {"metadata": {"note": str(chance.random())}}
        ask(sandbox, f"dashboard/subscriptions/{chance.choice(plans)[0]}", note)  # type: ignore[arg-type]
    return bool(plans)
