"""People: their browsers at the portal, their cards at Stripe's pages, and what they have in mind."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from billing import accounts
from billing.extensions import db
from billing.models import User
from sandbox import actions
from tests.simulation.stripe_door import ADDRESS
from tests.story import card_form

if TYPE_CHECKING:
    from tests.simulation.world import World

CARDS = {
    "good": "4242424242424242",
    "declined": "4000000000000002",
    "fails later": "4000000000000341",
    "disputed": "4000000000000259",
    "of a fraud warning": "4000000000005423",
    "slow to refund": "4000000000007726",
    "failing to refund": "4000000000005126",
}
OFTEN = ["good"] * 5 + [
    "fails later",
    "declined",
    "disputed",
    "of a fraud warning",
    "slow to refund",
    "failing to refund",
]
PLANS = ("basic", "pro", "team")
FINE = {200, 303, 302, 400, 403, 404, 409, 410, 422, 429, 503}


class Forms(HTMLParser):
    """The fields of the forms of a page, by where the form leads; of a choice the first."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._fields = self.found.setdefault(urlsplit(given.get("action") or "").path, {})
        elif (
            tag in ("input", "button", "select", "textarea")
            and self._fields is not None
            and given.get("name")
        ):
            unchosen = given.get("type") in ("radio", "checkbox") and "checked" not in given
            if not unchosen:
                self._fields.setdefault(str(given["name"]), given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._fields = None


class Person:
    """Somebody with a signed-in browser. ``pages``: Checkout Sessions that they were sent to."""

    def __init__(self, world: World, address: str) -> None:
        self.world, self.address = world, address
        [(self.id,)] = world.rows("select id from users where email = %s", address)
        self.name = address.partition("@")[0]
        self.pages: list[str] = []
        self.back: list[str] = []

    @property
    def customer(self) -> str | None:
        [(found,)] = self.world.rows("select stripe_customer_id from users where id = %s", self.id)
        return str(found) if found else None

    def visits(self, what: str, do: Callable[[Browser], None]) -> None:
        browser = Browser(self)
        self.world.begin(f"web: {self.name} {what}", lambda: do(browser))

    # what they may do

    def acts(self) -> None:
        """One of the things that somebody in their place may do."""
        chance = self.world.chance
        ways: list[Callable[[], None]] = [self.orders, self.buys, self.looks]
        if self.pages:
            ways += [self.pays] * 4
        if self.back:
            ways += [self.comes_back]
        if self.customer:
            ways += [
                self.cancels,
                self.cancels,
                self.resumes,
                self.changes,
                self.pauses,
                self.takes_a_card,
                self.checks,
            ]
        chance.choice(ways)()

    def orders(self) -> None:
        chance = self.world.chance
        plan, interval = chance.choice(PLANS), chance.choice(("month", "month", "year"))
        self._twice(f"orders {plan}", f"/subscribe/{plan}?interval={interval}", "/checkout")

    def buys(self) -> None:
        what = self.world.chance.choice(("credits-100", "credits-100", "reports-for-life"))
        self._twice(f"buys {what}", f"/buy/{what}", f"/buy/{what}")

    def _twice(self, what: str, page: str, action: str, **fields: str) -> None:
        """Now and then somebody presses twice, or in two tabs."""
        for _ in range(2 if self.world.chance.random() < 0.15 else 1):
            self.visits(what, lambda browser: browser.press(page, action, **fields))

    def pays(self) -> None:
        """On Stripe's page, which none of our processes sees."""
        world = self.world
        session = world.chance.choice(self.pages)
        card = world.chance.choice(OFTEN)
        answer = world.ground.stripe.post(f"/c/pay/{session}", data=card_form(CARDS[card]))
        world.note(f"{self.name} pays {session[:12]} with a card that is {card}: {answer.status_code}")
        if answer.status_code == 303:
            self.pages.remove(session)
            self.back.append(answer.headers["Location"])

    def comes_back(self) -> None:
        parts = urlsplit(self.back.pop())
        self.visits("comes back", lambda browser: browser.get(f"{parts.path}?{parts.query}"))

    def looks(self) -> None:
        page = self.world.chance.choice(("/billing", "/app", "/invoices", "/plans"))
        self.visits(f"looks at {page}", lambda browser: browser.get(page))

    def checks(self) -> None:
        self.visits("checks", lambda browser: browser.press("/billing", "/billing/check"))

    def cancels(self) -> None:
        self._twice("cancels", "/billing/cancel", "/billing/cancel")

    def resumes(self) -> None:
        self._twice("resumes", "/billing", "/billing/resume")

    def changes(self) -> None:
        chance = self.world.chance
        plan, interval = chance.choice(PLANS), chance.choice(("month", "year"))
        self._twice(
            f"changes to {plan}", f"/billing/change/{plan}?interval={interval}", f"/billing/change/{plan}"
        )

    def pauses(self) -> None:
        way = self.world.chance.choice(("pause", "unpause"))
        self._twice(f"{way}s", f"/billing/{way}", f"/billing/{way}")

    def takes_a_card(self) -> None:
        """Stripe's portal: another card, which renewals are charged to."""
        card = self.world.chance.choice(("good", "good", "fails later"))
        try:
            actions.use_card(self.customer or "", CARDS[card])
        except (ValueError, actions.NotFound):
            return
        self.world.note(f"{self.name} takes a card that is {card}")


class Browser:
    """One visit: signed in for it, since months may have passed."""

    def __init__(self, person: Person) -> None:
        self._person, self._world = person, person.world
        self._client = self._world.ground.app.test_client()
        with self._world.ground.app.app_context():
            user = db.session.get_one(User, person.id)
            token = accounts.open_session(db.session(), user, "Simulated browser")
            db.session.commit()
            db.session.remove()
        with self._client.session_transaction() as cookie:
            cookie["_user_id"], cookie["_fresh"] = token, True

    def get(self, path: str) -> TestResponse:
        return self._seen(f"GET {urlsplit(path).path}", self._client.get(path))

    def press(self, page: str, action: str, **fields: str) -> None:
        """Open the page, and send the form of it that leads to ``action``, if there is one."""
        shown = self.get(page)
        form = Forms(shown.text).found.get(action) if shown.status_code == 200 else None
        if form is None:
            return
        answer = self._seen(f"POST {action}", self._client.post(action, data={**form, **fields}))
        place = answer.headers.get("Location", "")
        if place.startswith(f"{ADDRESS}/c/pay/"):
            session = place.rpartition("/")[2]
            if session not in self._person.pages:
                self._person.pages.append(session)

    def _seen(self, what: str, answer: TestResponse) -> TestResponse:
        self._world.note(f"{self._person.name}: {what} {answer.status_code}")
        if answer.status_code not in FINE:
            self._world.fails(f"{what} answered {answer.status_code}")
        return answer
