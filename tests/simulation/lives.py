"""Histories at Stripe of which we have not heard yet: what happens, step by step, and the events that it brings.

Whatever the portal does (an order, a purchase) happens before the first step; the steps are Stripe's own, or somebody's
at one of its pages. So our rows before the first event are the same, whenever that is delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from billing import jobs
from sandbox import actions
from sandbox.api import form, server
from tests.simulation.at_stripe import CARDS
from tests.simulation.ground import PEOPLE, Ground
from tests.simulation.hours import hours
from tests.simulation.people import Person
from tests.simulation.world import World
from tests.story import card_form

MINUTE = 60.0
MOST_MOMENTS = 20


@dataclass(frozen=True)
class Step:
    """``at``: when it was over. ``stripe``: the sandbox as it was then. ``news``: the events that it brought, by id."""

    at: float
    stripe: Path
    news: tuple[str, ...]


@dataclass
class Life:
    """Somebody's life at Stripe. ``types``: of each event."""

    name: str
    world: World
    folder: Path
    steps: list[Step] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.weather.fine = True
        self.person = Person(self.world, PEOPLE[0])

    @property
    def ground(self) -> Ground:
        return self.world.ground

    # before the first step

    def orders(self, plan: str, interval: str = "month") -> None:
        self._presses(f"/subscribe/{plan}?interval={interval}", "/checkout")

    def buys(self, product: str = "credits-100") -> None:
        self._presses(f"/buy/{product}", f"/buy/{product}")

    def _presses(self, page: str, action: str) -> None:
        before = len(self.person.stripe.pages)
        self.person.visits("orders", lambda browser: browser.press(page, action))
        while self.world.crowd.alive:
            awake = self.world.crowd.awake()
            if awake:
                self.world.go_on(awake[0])
            else:
                self.world.passes(1)
        assert len(self.person.stripe.pages) == before + 1, self.world.trace[-5:]

    # steps

    def step(self, act: Callable[[], object]) -> None:
        """Let it happen, and write down what Stripe holds then."""
        act()
        self.world.passes(MINUTE)
        known = {event for step in self.steps for event in step.news}
        owed = self.ground.house.store.rows("SELECT event, type FROM deliveries ORDER BY id")
        news = {row["event"]: row["type"] for row in owed if row["type"] in jobs.HANDLERS}
        self.types |= news
        path = self.folder / f"{len(self.steps)}.db"
        self.ground.house.store.save(path)
        self.steps.append(Step(hours.now, path, tuple(one for one in news if one not in known)))

    def pays(self, card: str = "good") -> None:
        page = self.person.stripe.pages.pop(0)
        self.step(lambda: self._pays(page, card))

    def _pays(self, page: str, card: str) -> None:
        answer = self.ground.stripe.post(page, data=card_form(CARDS[card]))
        assert answer.status_code == 303, answer.status_code

    def takes_card(self, card: str) -> None:
        self.step(lambda: actions.use_card(str(self.person.customer), CARDS[card]))

    def until(self, *types: str) -> None:
        """Time passes until an event of one of these types."""
        self.step(lambda: self._until(types))

    def _until(self, types: tuple[str, ...]) -> None:
        store = self.ground.house.store
        [(last,)] = store.rows("SELECT coalesce(max(id), 0) FROM deliveries")
        for _ in range(MOST_MOMENTS):
            due = self.world._next_at_stripe()
            assert due is not None, "nothing comes any more"
            self.world.passes(max(0.0, due - hours.now) + 1)
            come = store.rows("SELECT type FROM deliveries WHERE id > ?", (last,))
            if {row["type"] for row in come} & set(types):
                return
        raise AssertionError(f"none of {types} came")

    def plan(self) -> dict[str, Any]:
        [found] = self.world.at_stripe("subscription")
        return found

    def dashboard(self, path: str, method: str = "POST", **tree: Any) -> None:
        """Somebody at Stripe's dashboard."""
        self.step(lambda: self._dashboard(method, path, tree))

    def _dashboard(self, method: str, path: str, tree: dict[str, Any]) -> None:
        status, said = server.perform_in_dashboard(method, f"/v1/{path}", form.encoded(tree))
        assert status == 200, said

    def sets(self, **tree: Any) -> None:
        self.dashboard(f"subscriptions/{self.plan()['id']}", **tree)

    def changes_to(self, lookup_key: str, proration: str) -> None:
        [price] = [one for one in self.world.at_stripe("price") if one["lookup_key"] == lookup_key]
        item = self.plan()["items"]["data"][0]["id"]
        self.sets(items={"0": {"id": item, "price": price["id"]}}, proration_behavior=proration)

    def refunds(self, share: int = 1) -> None:
        charge = self.world.at_stripe("charge")[-1]
        self.dashboard("refunds", charge=charge["id"], amount=str(charge["amount"] // share))

    def answers(self, word: str) -> None:
        [dispute] = self.world.at_stripe("dispute")
        self.dashboard(f"disputes/{dispute['id']}", evidence={"uncategorized_text": word}, submit="true")


def renewals(life: Life) -> None:
    life.orders("pro")
    life.pays()
    for _ in range(2):
        life.until("invoice.paid")


def failing_and_recovering(life: Life) -> None:
    life.orders("pro")
    life.pays()
    life.takes_card("fails later")
    for _ in range(2):
        life.until("invoice.payment_failed")
    life.takes_card("good")
    life.until("invoice.paid")


def failing_to_the_end(life: Life) -> None:
    life.orders("basic")
    life.pays()
    life.takes_card("fails later")
    for _ in range(3):
        life.until("invoice.payment_failed")
    life.until("customer.subscription.deleted")


def canceling_and_keeping(life: Life) -> None:
    life.orders("pro")
    life.pays()
    life.sets(cancel_at_period_end="true")
    life.sets(cancel_at_period_end="false")
    life.dashboard(f"subscriptions/{life.plan()['id']}", method="DELETE")


def plan_changes(life: Life) -> None:
    life.orders("pro")
    life.pays()
    life.changes_to("team_month_eur", "always_invoice")
    life.changes_to("basic_month_eur", "create_prorations")
    life.until("invoice.paid")


def refunds(life: Life) -> None:
    life.orders("pro")
    life.pays()
    life.refunds(share=3)
    life.refunds(share=3)


def a_dispute(life: Life) -> None:
    life.buys()
    life.pays("disputed")
    life.answers("losing_evidence")


def purchase_and_plan(life: Life) -> None:
    life.buys()
    life.orders("pro")
    life.pays("slow to refund")
    life.refunds(share=2)
    life.pays()
    life.until("invoice.paid")


def a_trial(life: Life) -> None:
    life.orders("team")
    life.pays()
    life.until("customer.subscription.trial_will_end")
    life.until("invoice.paid")


LIVES: dict[str, Callable[[Life], None]] = {
    made.__name__.replace("_", " "): made
    for made in (
        renewals, failing_and_recovering, failing_to_the_end, canceling_and_keeping, plan_changes, refunds,
        a_dispute, purchase_and_plan, a_trial,
    )
}  # fmt: skip


def live(name: str, world: World, folder: Path) -> Life:
    """A life at Stripe from its beginning, of which we have not heard."""
    folder.mkdir(parents=True)
    life = Life(name, world, folder)
    LIVES[name](life)
    assert not world.wrong, world.wrong
    return life
