"""People at our portal: what they have in mind, and what they find in their mail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox import actions
from tests.simulation.at_stripe import CARDS, AtStripe
from tests.simulation.browsers import PAY_LINK, Browser, said
from tests.support import PASSWORD

if TYPE_CHECKING:
    from tests.simulation.world import World

# Whether somebody was deleted, is to be, is a customer of Stripe's, and owes what we tried to take.
PLACE = (
    "select deleted_at is not null, deletion_due_at is not null, stripe_customer_id is not null,"
    " exists (select from invoices i where i.user_id = users.id and i.status = 'open' and first_failed_at is not null)"
    " from users where id = %s"
)
PLANS = ("basic", "pro", "team")


class Person:
    """Somebody with an account. ``stripe``: the pages of Stripe's that they were led to."""

    def __init__(self, world: World, address: str) -> None:
        self.world, self.address = world, address
        [(self.id,)] = world.rows("select id from users where email = %s", address)
        self.name = address.partition("@")[0]
        self.stripe = AtStripe(world, self.name)
        self.is_led_to = self.stripe.is_led_to

    @property
    def customer(self) -> str | None:
        [(found,)] = self.world.rows("select stripe_customer_id from users where id = %s", self.id)
        return str(found) if found else None

    def visits(self, what: str, do: Callable[[Browser], object]) -> None:
        browser = Browser(self).sign_in(self.id)
        self.world.begin(f"web: {self.name} {what}", lambda: do(browser))

    # what they may do

    def acts(self) -> None:
        """One of the things that somebody in their place may do."""
        [(gone, leaving, known, owing)] = self.world.rows(PLACE, self.id)
        if not gone:
            self.world.chance.choice(self._ways(leaving, known, owing))()

    def _ways(self, leaving: bool, known: bool, owing: bool) -> list[Callable[[], None]]:
        ways: list[Callable[[], None]] = [self.stripe.goes_on] * 4 if self.stripe.pages else []
        ways += [self.comes_back] if self.stripe.back else []
        if leaving:
            return [*ways, self.looks, self.looks, self.keeps_the_account]
        ways += [self.orders, self.buys, self.looks]
        if known:
            ways += [self.cancels] * 2 + [self.resumes, self.changes, self.pauses, self.checks]
            ways += [self.buys_with_the_card, self.takes_a_card]
            ways += [self.another_card, self.uses_the_portal] * 2
        if self.world.chance.random() < 0.3:
            ways.append(self.leaves)
        if owing:
            ways += [self.pays_by_mail, self.another_card, self.takes_a_card] * 2
        return ways

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

    def buys_with_the_card(self) -> None:
        self._twice("buys with the saved card", "/buy/credits-100", "/buy/credits-100/card")

    def pays_by_mail(self) -> None:
        """By the link of a mail that says that a payment failed."""
        link = said(self.world, self.address, PAY_LINK)
        if link:
            self.visits("pays by a mail", lambda browser: browser.press(link, link))

    def another_card(self) -> None:
        self.visits("changes the card", lambda browser: self._by_the_portal(browser, "/billing/card"))

    def uses_the_portal(self) -> None:
        action = "/billing/portal/home"
        self.visits("opens Stripe's portal", lambda browser: self._by_the_portal(browser, action))

    def _by_the_portal(self, browser: Browser, action: str) -> None:
        browser.press("/billing", action)
        self.stripe.uses_its_portal()

    def leaves(self) -> None:
        fields = {"current_password": PASSWORD, "word": "DELETE"}
        self._twice("has the account deleted", "/account/delete", "/account/delete", **fields)

    def keeps_the_account(self) -> None:
        self.world.hit("account kept")
        self._twice("keeps the account", "/account/keep", "/account/keep")

    def comes_back(self) -> None:
        parts = urlsplit(self.stripe.back.pop())
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
        chosen = {"months": str(self.world.chance.randint(1, 3))} if way == "pause" else {}
        self._twice(f"{way}s", f"/billing/{way}", f"/billing/{way}", **chosen)

    def takes_a_card(self) -> None:
        """Of their own, at Stripe: another one, which renewals are charged to."""
        card = self.world.chance.choice(self.world.later)
        try:
            actions.use_card(self.customer or "", CARDS[card])
        except (ValueError, actions.NotFound):
            return
        self.world.note(f"{self.name} takes a card that is {card}")
