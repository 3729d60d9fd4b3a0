"""People who have no account yet, and an admin who gives money back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.simulation.browsers import CODE, Browser, Forms, said
from tests.support import PASSWORD

if TYPE_CHECKING:
    from tests.simulation.world import World

NOTE = {"note": "They asked for it."}


class Stranger:
    """Signs up by the code that comes by mail. One browser for all of it, which remembers what was begun in it."""

    def __init__(self, world: World, address: str) -> None:
        self.world, self.address = world, address
        self.name = address.partition("@")[0]
        self._browser = Browser(self)

    def is_led_to(self, place: str) -> None:
        """Nobody who has no account is led to Stripe."""

    @property
    def has_an_account(self) -> bool:
        return bool(self.world.rows("select 1 from users where email = %s", self.address))

    def acts(self) -> None:
        code = said(self.world, self.address, CODE)
        if code and self.world.chance.random() < 0.8:
            self.world.begin(f"web: {self.name} confirms", lambda: self._confirms(code))
        else:
            self.world.begin(f"web: {self.name} signs up", self._signs_up)

    def _signs_up(self) -> None:
        self._browser.press("/signup", "", email=self.address, password=PASSWORD)

    def _confirms(self, code: str) -> None:
        self._browser.press("/signup/confirm", "", code=code)


class Admin:
    """Gives back what somebody paid, by our own page: the form that says what it would do, then the one that does."""

    def __init__(self, world: World, address: str) -> None:
        self.world, self.name = world, "admin"
        [(self.id,)] = world.rows("select id from users where email = %s", address)

    def is_led_to(self, place: str) -> None:
        """Its pages lead nowhere else."""

    def acts(self) -> None:
        sql = (
            "select payment_intent from payments where status = 'succeeded' union"
            " select payment_intent from invoices where status = 'paid' and amount_paid > 0 order by 1"
        )
        paid = [intent for (intent,) in self.world.rows(sql) if intent]
        if paid:
            page = f"/admin/payments/{self.world.chance.choice(paid)}/refund"
            part = self.world.chance.random() < 0.5
            for _ in range(2 if self.world.chance.random() < 0.15 else 1):
                browser = Browser(self).sign_in(self.id)
                work = partial(self._refunds, browser, page, part)
                self.world.begin("web: admin gives money back", work)

    def _refunds(self, browser: Browser, page: str, part: bool) -> None:
        wish = Forms(browser.get(page).text).asking.get(page)
        if wish is None or "amount" not in wish:
            return
        asked = {"amount": "1.00" if part else wish["amount"], "reason": "requested_by_customer"}
        answer = browser.press(f"{page}?{urlencode(asked)}", page, **NOTE)
        if answer is not None and answer.status_code == 303:
            self.world.hit("refund by an admin")
