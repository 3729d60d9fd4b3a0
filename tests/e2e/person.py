"""A subscriber at the browser: what she does on our pages, on Stripe's, and in her mailbox."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import psycopg
from flask import Flask
from playwright.sync_api import Page, expect
from psycopg.rows import dict_row

from billing.extensions import db
from local.stack import Stack
from tests.conftest import dispose
from tests.pages.house import cookie_for
from tests.support import PASSWORD, make_user, sign_in, wait_until

GOOD, DECLINED, POOR, SECURE = "4242424242424242", "4000000000000002", "4000000000009995", "4000002500003155"
FAILS_LATER = "4000000000000341"


class Person:
    """Her browser and her address; ``row`` is what our database says of her subscription.

    ``desk``: an application on the same rows, for ``is_signed_in``.
    """

    def __init__(self, stack: Stack, page: Page, email: str, desk: Flask | None = None) -> None:
        self.stack, self.page, self.email, self.desk = stack, page, email, desk
        self.portal = stack.addresses.portal

    def goes(self, path: str) -> None:
        self.page.goto(self.portal + path)

    def sees(self, words: str) -> None:
        expect(self.page.locator("main")).to_contain_text(words)

    def sees_at_last(self, words: str) -> None:
        """What a page says once Stripe has answered it in time; it is opened again until then."""

        def said() -> bool:
            if words in self.page.locator("main").inner_text():
                return True
            self.page.reload()
            return False

        wait_until(said, f"the page to say “{words}”")

    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    def presses(self, words: str) -> None:
        self.page.get_by_role("button", name=words, exact=False).first.click()

    def follows(self, words: str) -> None:
        self.page.get_by_role("link", name=words, exact=False).first.click()

    def signs_up(self) -> None:
        self.goes("/signup")
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.presses("Create")
        self.sees("6-digit code")
        self.page.get_by_label("Code").fill(self.code_from_the_inbox())
        self.presses("Confirm email")
        expect(self.page).to_have_url(f"{self.portal}/plans")

    def is_signed_in(self) -> None:
        """She signed up some time ago, and in today: by the rows and the cookie that the pages would leave."""
        assert self.desk is not None
        client = self.desk.test_client()
        with self.desk.app_context():
            sign_in(client, make_user(db.session(), self.email))
            db.session.remove()
            dispose()
        self.page.context.add_cookies([cookie_for(client, self.portal)])

    def signs_in(self, password: str = PASSWORD) -> None:
        self.goes("/login")
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.presses("Sign in")

    def code_from_the_inbox(self) -> str:
        """The code, read in the mail inbox's own page as a person would find it."""
        mail = wait_until(lambda: self.mails(), f"a mail to {self.email}")[-1]
        reader = self.page.context.new_page()
        reader.goto(f"{self.stack.addresses.inbox}/")
        expect(reader.locator("body")).to_contain_text(self.email)
        reader.close()
        return next(word for word in str(mail["subject"]).split() if word.isdecimal() and len(word) == 6)

    def goes_to_checkout(self, plan: str = "Pro") -> None:
        self.goes("/plans")
        self.follows(f"Choose {plan}")
        self.sees("until you cancel")
        self.presses("Continue to payment")
        expect(self.page.locator("body")).to_contain_text("Sandbox. No money moves.")

    def pays(self, number: str) -> None:
        self.page.locator("[name=number]").fill(number)
        self.page.locator("[name=expiry]").fill("12 / 34")
        self.page.locator("[name=cvc]").fill("123")
        name = self.page.locator("[name=name]")
        if name.count():
            name.first.fill("Ana Demo")
        self.page.locator("#submit").click()

    def is_told_the_truth(self, words: str) -> None:
        """The return page says confirming until the event is applied, then what is so."""
        expect(self.page.locator("h1")).to_be_visible()
        assert "/checkout/return" in self.page.url
        wait_until(
            lambda: self._page_says(words), f"the return page to say “{words}”, not “{self.heading()}”"
        )

    def _page_says(self, words: str) -> bool:
        if words in self.heading():
            return True
        again = self.page.get_by_role("link", name="Check again")
        if again.count():
            again.first.click()
        return words in self.heading()

    def subscribes(self, plan: str = "Pro") -> None:
        self.goes_to_checkout(plan)
        self.pays(GOOD)
        self.is_told_the_truth(f"You’re on {plan}")

    def has_access(self) -> bool:
        self.goes("/app")
        return self.page.url.endswith("/app")

    # Behind the pages

    def mails(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.stack.addresses.inbox}/messages.json?to={self.email}") as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return sorted(found, key=lambda mail: str(mail["id"]))

    def kinds(self) -> list[str]:
        """The kinds of mail that left for her, in order."""
        rows = self.query(
            "select kind from notices n join users u on u.id = n.user_id where u.email = %s and n.state = 'sent'"
            " order by n.sent_at",
        )
        return [row["kind"] for row in rows]

    def got(self, kind: str) -> None:
        wait_until(lambda: kind in self.kinds(), f"mail {kind} (got {self.kinds()})")

    @property
    def row(self) -> dict[str, Any]:
        rows = self.query(
            "select s.* from subscriptions s join users u on u.id = s.user_id where u.email = %s order by s.id desc"
        )
        return rows[0] if rows else {}

    @property
    def customer(self) -> str:
        return str(self.query("select stripe_customer_id as id from users where email = %s")[0]["id"])

    def becomes(self, status: str) -> None:
        wait_until(lambda: self.row.get("status") == status, f"status {status}")

    def query(self, statement: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.env["DATABASE_URL"], row_factory=dict_row) as connection:
            return connection.execute(statement, (self.email,)).fetchall()

    def at_the_sandbox(self, path: str, **body: object) -> Any:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.stack.addresses.sandbox}/sandbox/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
