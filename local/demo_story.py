"""The chapters of the demo. Each acts as a person would and then looks: request, event, row, mail."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from local.stack import Stack
from local.visitor import Page, Visitor

PATIENCE_SECONDS = 60
GOOD, DECLINED, POOR, SECURE = "4242424242424242", "4000000000000002", "4000000000009995", "4000002500003155"
FAILS_LATER = "4000000000000341"
PASSWORD = "three warm words"  # noqa: S105 of people who live for a minute


class StoryFailed(Exception):
    """What should have been seen was not."""


class Person:
    """A subscriber of the story and what the inbox and the database know of them."""

    def __init__(self, story: Story, email: str) -> None:
        self.story, self.email = story, email
        self.browser = Visitor(story.portal)

    @property
    def subscription(self) -> dict[str, Any]:
        found = self.story.query(
            "select s.* from subscriptions s join users u on u.id = s.user_id where u.email = %s"
            " order by s.id desc limit 1",
            self.email,
        )
        return found[0] if found else {}

    @property
    def customer(self) -> str:
        found = self.story.query("select stripe_customer_id from users where email = %s", self.email)
        return str(found[0]["stripe_customer_id"])

    def mails(self) -> list[dict[str, Any]]:
        """This person's mails, oldest first."""
        found = self.story.inbox(self.email)
        return sorted(found, key=lambda mail: str(mail["id"]))

    def subjects(self) -> list[str]:
        return [str(mail["subject"]) for mail in self.mails()]

    def has_access(self) -> bool:
        return self.browser.visit("/app").url.endswith("/app")

    def sign_up(self) -> None:
        page = self.browser.visit("/signup?ref=demo")
        form = page.form(having="password")
        page = self.browser.submit(form, email=self.email, password=PASSWORD)
        self.story.say(f"POST /signup → {page.heading}")
        code = self.story.wait(lambda: self._code(), f"a code for {self.email}")
        self.story.say(f"mail to {self.email}: code {code}")
        page = self.browser.submit(page.form(having="code"), code=code)
        self.story.check(page.url.endswith("/plans"), f"signed in, on {page.url}")
        self.story.say(f"POST /signup/confirm → {page.heading}")

    def _code(self) -> str:
        for mail in self.mails():
            found = re.search(r"\b(\d{6})\b", str(mail["subject"]) + str(mail["text"]))
            if found:
                return found.group(1)
        return ""

    def to_checkout(self, plan: str = "pro", interval: str = "month") -> Page:
        page = self.browser.visit(f"/subscribe/{plan}?interval={interval}")
        self.story.say(f"check page: {page.heading}")
        page = self.browser.submit(page.form(to="/checkout"))
        self.story.check("/c/pay/" in page.url, f"on Stripe’s page, not {page.url}")
        self.story.say(f"POST /checkout → 303 → {page.url[:60]}…")
        return page

    def pay(self, number: str) -> Page:
        form = self.browser.page.form(having="number")
        fields = {"number": number, "expiry": "12 / 34", "cvc": "123", "name": "Demo Person"}
        return self.browser.submit(form, **fields)


class Story:
    """The demo's people and the ways to look behind the pages."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.portal = stack.addresses.portal
        self.ana = Person(self, "ana@example.com")
        self.ben = Person(self, "ben@example.com")
        self.cleo = Person(self, "cleo@example.com")

    def chapters(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("Sign up and confirm by the code in the mail", self.ana.sign_up),
            ("A declined card stays in Checkout and gives nothing", self.declined),
            ("A card that works: event, row, access, receipt", self.paid),
            ("3D Secure: failed gives nothing, passed gives access", self.secured),
            ("A one-off payment is bought and shown", self.bought),
            ("A month passes and the renewal is paid", self.renewed),
            ("The card fails: first notice, reminder, warning; access stays", self.failing),
            ("Paid in between: recovered and active again", self.recovered),
            ("The card fails to the end: canceled, last mail, no access", self.ended),
            ("Canceled in the portal and kept after all", self.kept),
            ("Every mail left once, every event was applied", self.tidy),
        ]

    # The chapters

    def declined(self) -> None:
        self.ana.to_checkout()
        for number in (DECLINED, POOR):
            page = self.ana.pay(number)
            self.check("/c/pay/" in page.url, "still in Checkout")
            self.say(f"{number}: {page.status}, stays on the payment page")
        self.check(not self.ana.subscription, "no subscription row")
        self.check(not self.ana.has_access(), "no access")
        self.say("no subscription row, /app is closed")

    def paid(self) -> None:
        self.ana.to_checkout()
        page = self.ana.pay(GOOD)
        self.say(f"{GOOD} → {page.url.partition('?')[0]}: “{page.heading}”")
        row = self.wait_for_status(self.ana, "active")
        self.say(
            f"event {row['cause_event_id']} → row {row['stripe_id']} is {row['status']}, plan {row['plan']}"
        )
        page = self.ana.browser.visit("/billing")
        self.check("Next payment" in page.heading and "4242" in page.text, f"billing says “{page.heading}”")
        self.say(f"billing: “{page.heading}”")
        self.check(self.ana.has_access(), "/app is open")
        self.wait_for_mail(self.ana, "Receipt")

    def secured(self) -> None:
        self.ben.sign_up()
        self.ben.to_checkout()
        page = self.ben.pay(SECURE)
        self.check("/3ds/" in page.url, "the bank’s page")
        page = self.ben.browser.submit(page.form(button="Fail"), press="Fail")
        self.check("/c/pay/" in page.url and not self.ben.subscription, "back in Checkout, nothing bought")
        self.say(f"failed: {page.url[:50]}…, no subscription")
        page = self.ben.pay(SECURE)
        page = self.ben.browser.submit(page.form(button="Complete"), press="Complete")
        row = self.wait_for_status(self.ben, "active")
        self.say(f"passed: {row['stripe_id']} is {row['status']}")

    def bought(self) -> None:
        page = self.ana.browser.visit("/buy/credits-100")
        page = self.ana.browser.submit(page.form(to="/buy/"))
        page = self.ana.pay(GOOD)
        row = self.wait(lambda: self.query("select * from payments where status = 'succeeded'"), "a payment")[
            0
        ]
        self.say(
            f"payment {row['payment_intent']}: {row['amount']} {row['currency']}, fulfilled {row['fulfilled_at']}"
        )
        page = self.ana.browser.visit("/invoices")
        self.check("100 credits" in page.text, "shown among the invoices")

    def renewed(self) -> None:
        end = self.ana.subscription["current_period_end"]
        self.advance(self.ana, int(end.timestamp()) + 2 * 3600)
        row = self.wait(
            lambda: (r := self.ana.subscription) and r["current_period_end"] > end and r, "the next period"
        )
        self.wait(lambda: self.count_paid(self.ana) == 2, "the second invoice paid")
        self.say(f"period now ends {row['current_period_end']:%d %B %Y}, second invoice paid")

    def failing(self) -> None:
        self.sandbox(f"customers/{self.ana.customer}/card", number=FAILS_LATER)
        end = self.ana.subscription["current_period_end"]
        self.advance(self.ana, int(end.timestamp()) + 2 * 3600)
        row = self.wait_for_status(self.ana, "past_due")
        self.say(f"attempt 1: row is {row['status']}")
        self.wait_for_notice(self.ana, "dun1")
        self.check(self.ana.has_access(), "access stays")
        for kind in ("dun2", "dun3"):
            self.next_attempt(self.ana)
            self.wait_for_notice(self.ana, kind)
        self.check(self.ana.has_access(), "access stays inside the grace period")

    def recovered(self) -> None:
        page = self.ana.browser.visit("/billing")
        page = self.ana.browser.submit(page.form(to="/invoices/"))
        self.say(f"to Stripe’s invoice page: “{page.heading}”")
        self.ana.pay(GOOD)
        self.wait_for_status(self.ana, "active")
        self.wait_for_notice(self.ana, "recovered")

    def ended(self) -> None:
        self.sandbox(f"customers/{self.ben.customer}/card", number=FAILS_LATER)
        end = self.ben.subscription["current_period_end"]
        self.advance(self.ben, int(end.timestamp()) + 2 * 3600)
        self.wait_for_status(self.ben, "past_due")
        for _ in range(3):
            self.next_attempt(self.ben)
        row = self.wait_for_status(self.ben, "canceled")
        self.say(f"row is {row['status']}, reason {row['cancellation_reason']}")
        self.wait_for_notice(self.ben, "dun5")
        self.check(not self.ben.has_access(), "no access any more")

    def kept(self) -> None:
        self.cleo.sign_up()
        self.cleo.to_checkout("basic", "year")
        self.cleo.pay(GOOD)
        self.wait_for_status(self.cleo, "active")
        page = self.cleo.browser.visit("/billing/cancel")
        self.cleo.browser.submit(page.form(to="/billing/cancel"))
        ends = ("cancel_at_period_end", "cancel_at")
        self.wait(lambda: any(self.cleo.subscription[name] for name in ends), "the end to be set")
        self.wait_for_notice(self.cleo, "cancel_set")
        self.check(self.cleo.has_access(), "access until the end")
        page = self.cleo.browser.visit("/billing")
        self.say(f"billing: “{page.heading}”")
        self.cleo.browser.submit(page.form(to="/billing/resume"))
        self.wait_for_notice(self.cleo, "kept")

    def tidy(self) -> None:
        self.wait(
            lambda: not self.query("select 1 from stripe_events where state = 'pending'"),
            "all events to be applied",
        )
        states = self.query("select state, count(*) as n from stripe_events group by state order by state")
        self.say("events: " + ", ".join(f"{row['n']} {row['state']}" for row in states))
        self.check(all(row["state"] in ("applied", "ignored") for row in states), "no event is parked")
        twice = self.query("select dedupe_key from notices group by dedupe_key having count(*) > 1")
        self.check(not twice, "no notice twice")
        self.wait(
            lambda: not self.query("select 1 from notices where state in ('queued', 'sending')"),
            "all mails to leave",
        )
        mails = self.query("select state, count(*) as n from notices group by state order by state")
        self.say("mails: " + ", ".join(f"{row['n']} {row['state']}" for row in mails))
        sent = self.query("select count(*) as n from notices where state = 'sent'")[0]["n"]
        self.check(len(self.inbox("")) == sent, f"{sent} mails sent, {len(self.inbox(''))} in the inbox")
        keys = self.query("select count(*) as n, count(distinct idempotency_key) as k from stripe_writes")[0]
        self.say(f"writes to Stripe: {keys['n']}, each with a key of its own")

    # The ways to look

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def check(self, condition: object, what: str) -> None:
        if not condition:
            raise StoryFailed(what)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise StoryFailed(f"waited {PATIENCE_SECONDS} s for {what}")
            time.sleep(0.1)
        return found

    def wait_for_status(self, person: Person, status: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            row = person.subscription
            return row if row.get("status") == status else None

        found: dict[str, Any] = self.wait(there, f"{person.email} to be {status}")
        return found

    def wait_for_notice(self, person: Person, kind: str) -> None:
        question = (
            "select n.* from notices n join users u on u.id = n.user_id"
            " where u.email = %s and n.kind = %s and n.state = 'sent'"
        )
        self.wait(lambda: self.query(question, person.email, kind), f"mail {kind} to {person.email}")
        self.say(f"mail {kind}: “{person.subjects()[-1]}”")

    def wait_for_mail(self, person: Person, words: str) -> None:
        found = self.wait(lambda: [s for s in person.subjects() if words in s], f"a mail with “{words}”")
        self.say(f"mail: “{found[-1]}”")

    def query(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.env["DATABASE_URL"], row_factory=dict_row) as connection:
            return connection.execute(statement, values).fetchall()

    def count_paid(self, person: Person) -> int:
        found = self.query(
            "select count(*) as n from invoices i join users u on u.id = i.user_id"
            " where u.email = %s and i.status = 'paid'",
            person.email,
        )
        return int(found[0]["n"])

    def inbox(self, to: str) -> list[dict[str, Any]]:
        query = f"?to={to}" if to else ""
        with urllib.request.urlopen(
            f"{self.stack.addresses.inbox}/messages.json{query}", timeout=10
        ) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def sandbox(self, path: str, **body: object) -> Any:
        """The sandbox's control panel: time and cards."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.stack.addresses.sandbox}/sandbox/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def advance(self, person: Person, to: int | str) -> None:
        moved = self.sandbox(f"customers/{person.customer}/advance", to=to)
        self.say(f"clock → {time.strftime('%d %B %Y %H:%M', time.gmtime(moved['now']))} UTC")

    def next_attempt(self, person: Person) -> None:
        found = self.query(
            "select i.next_payment_attempt as at from invoices i join users u on u.id = i.user_id"
            " where u.email = %s and i.status = 'open' order by i.id desc limit 1",
            person.email,
        )
        self.check(found and found[0]["at"], "a next attempt is planned")
        before = self.query(
            "select attempt_count as n, stripe_id from invoices where status = 'open' and user_id ="
            " (select id from users where email = %s) order by id desc limit 1",
            person.email,
        )[0]
        self.advance(person, int(found[0]["at"].timestamp()) + 60)
        self.wait(
            lambda: self.query(
                "select 1 from invoices where stripe_id = %s and (attempt_count > %s or status <> 'open')",
                before["stripe_id"],
                before["n"],
            ),
            "the attempt to be applied",
        )
