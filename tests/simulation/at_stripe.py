"""What people do on Stripe's pages, which none of our processes sees: checkout, their bank, the portal, an invoice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox import actions, portal_actions
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
    "asking at its first use": "4000002500003155",
    "always asking": "4000002760003184",
}
OFTEN = ["good"] * 10 + [name for name in CARDS if name != "good"]


class AtStripe:
    """``pages``: those that somebody was led to and has not left yet. ``back``: addresses of ours that they led to."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.pages: list[str] = []
        self.back: list[str] = []

    def is_led_to(self, place: str) -> None:
        path = place.removeprefix(ADDRESS)
        if place.startswith("http") and path == place:
            self.back.append(place)
        elif path.startswith(("/c/pay/", "/3ds/", "/p/session/", "/i/")) and path not in self.pages:
            self.pages.append(path)

    def uses_its_portal(self) -> None:
        """At once, since whoever comes five minutes later finds it closed."""
        for page in [one for one in self.pages if one.startswith("/p/session/")]:
            self.goes_on(page)

    def goes_on(self, page: str | None = None) -> None:
        """Do what there is to do on this page, or on one of them."""
        page = page or self.world.chance.choice(self.pages)
        kind = page.split("/")[1]
        what, answer = {"c": self._pays, "i": self._pays, "3ds": self._answers, "p": self._portal}[kind](page)
        self.world.note(f"{self.name} {what} at {page[:16]}: {answer}")

    def _card(self) -> str:
        return self.world.chance.choice(self.world.cards)

    def _pays(self, page: str) -> tuple[str, int]:
        card = self._card()
        return f"pays with a card that is {card}", self._sends(page, page, card_form(CARDS[card]))

    def _answers(self, page: str) -> tuple[str, int]:
        word = "pass" if self.world.chance.random() < 0.75 else "fail"
        self.world.hit(f"bank asked: {word}")
        return f"answers the bank: {word}", self._sends(page, page, {"answer": word})

    def _sends(self, page: str, action: str, form: dict[str, str]) -> int:
        """The page is left where the answer leads elsewhere, and where it is no page any more."""
        answer = self.world.ground.stripe.post(action, data=form)
        if answer.status_code != 422:
            self.pages.remove(page)
            place = answer.headers.get("Location", "")
            if not urlsplit(place).path.startswith(page):
                self.is_led_to(place)
        return answer.status_code

    def _portal(self, page: str) -> tuple[str, int]:
        """One thing in a session of Stripe's portal, which is over with it."""
        try:
            view = portal_actions.portal_view(page.rpartition("/")[2])
        except actions.NotFound:
            view = {"expired": True}
        if view["expired"]:
            self.pages.remove(page)
            return "comes too late", 410
        flow = (view["flow"] or {}).get("type")
        ways: list[Callable[[], tuple[str, int]]] = []
        if flow in (None, "payment_method_update"):
            ways.append(lambda: self._changes_card(page))
        for plan in view["subscriptions"][:1]:
            if flow in (None, "subscription_cancel"):
                ways.append(lambda plan=plan: self._with_plan(page, "cancel", plan["id"]))  # type: ignore[misc]
            if flow is None:
                ways.append(lambda plan=plan: self._with_plan(page, "resume", plan["id"]))  # type: ignore[misc]
                ways.append(lambda plan=plan: self._changes_plan(page, plan["id"]))  # type: ignore[misc]
        return self.world.chance.choice(ways)()

    def _changes_card(self, page: str) -> tuple[str, int]:
        card = self._card()
        self.world.hit("another card by the portal")
        return f"saves a card that is {card}", self._sends(page, f"{page}/card", card_form(CARDS[card]))

    def _with_plan(self, page: str, what: str, plan: str) -> tuple[str, int]:
        self.world.hit(f"{what} by the portal")
        return f"{what}s {plan}", self._sends(page, f"{page}/{what}/{plan}", {})

    def _changes_plan(self, page: str, plan: str) -> tuple[str, int]:
        token = page.rpartition("/")[2]
        self.pages.remove(page)
        prices = [
            one["price"]["id"] for one in portal_actions.plan_choices(token, plan) if not one["current"]
        ]
        if not prices:
            return "finds no other plan", 200
        chosen = (self.world.chance.choice(prices), 1, "")
        if portal_actions.change_problem(token, plan, chosen[0], "1", ""):
            return "may not change the plan", 422
        shown = portal_actions.rehearse_change(token, plan, chosen)
        outcome = portal_actions.confirm_change(token, plan, chosen, shown["at"])
        self.world.hit("plan changed by the portal")
        return f"changes {plan}: {outcome.kind}", 303 if outcome.kind == "done" else 422
