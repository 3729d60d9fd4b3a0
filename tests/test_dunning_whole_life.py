"""An unpaid renewal from its first failed try to its end, each on a clock of its own: which mails, and who is let in.

Stripe's tries fall on days 0, 3, 6 and 11, and the days of grace are 14. Each step of a life is a day, what the person
or Stripe does on it, the mails of that day, and whether the person is let in afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask

from billing import outbox, timetable, words, writes
from billing.extensions import db
from local.mailsink import MailSink, Received
from tests.story import DAY, FAILS_LATER, GOOD, Shopper, card_form, catch_up, config_of, post_page

ASKS_THE_BANK = "4000002760003184"
REFUSED_FOR_GOOD = "4000000000004954"  # it can be kept; each charge is highest_risk_level
MASTERCARD = "5555555555554444"
LINK = re.compile(r"^http://\S+/pay/\S+", re.MULTILINE)

Act = Callable[["Life"], None]
Step = tuple[int, Act | None, list[str], bool]


@dataclass
class Life:
    """Somebody whose renewal has just failed. ``began``: when, by Stripe's clock."""

    person: Shopper
    mails: MailSink
    began: int = 0
    seen: list[Received] = field(default_factory=list)

    def begin(self, card: str) -> None:
        """A month after the order its renewal fails; all of it is heard of at once, since this is where it begins."""
        person, api = self.person, self.person.sandbox.stripe
        person.pay(person.order())
        person.use_card(card)
        [plan] = api.subscriptions.list({"customer": person.customer})["data"]
        renewal = plan["items"]["data"][0]["current_period_end"]
        person.sandbox.control(f"customers/{person.customer}/advance", to=renewal + 3700)
        catch_up(person.desk)
        [bill] = api.invoices.list({"customer": person.customer, "status": "open"})["data"]
        self.began = bill["status_transitions"]["finalized_at"]

    def arrived(self) -> list[Received]:
        return list(self.mails.to(self.person.email))

    def settle(self) -> None:
        """What worker and clock do; what is sent to Stripe is heard of, and what the clock owes leaves too."""
        session = db.session()
        catch_up(self.person.desk)
        if writes.send_new(session):
            catch_up(self.person.desk)
        timetable._remind(session)
        outbox.send_due(session, config_of(self.person.desk))

    def on(self, day: int) -> None:
        """Until so many days after the first try, in the middle of the hour."""
        self.person.sandbox.control(
            f"customers/{self.person.customer}/advance", to=self.began + day * DAY + 1800
        )

    def news(self) -> list[str]:
        """The subjects of what has come since the last look."""
        now = self.arrived()
        new, self.seen = now[len(self.seen) :], now
        return [one.subject.removeprefix("[Test] ") for one in new]

    def link(self) -> str:
        """The newest link to pay: the one that is said in the text and on the button."""
        newest = next(one for one in reversed(self.arrived()) if LINK.search(one.text))
        html = newest.message.get_body(("html",))
        found = LINK.findall(newest.text)
        assert len(found) == 1
        assert html is not None
        assert set(re.findall(r'href="([^"]*)"', html.get_content())) == set(found)
        return found[0]


def pays_by_the_link(life: Life) -> None:
    """Whoever has the mail, in a browser that nobody is signed in to."""
    stranger = life.person.desk.test_client()
    path = life.link().partition("/pay/")[2]
    page = stranger.get(f"/pay/{path}").text
    assert life.person.email not in page
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = stranger.post(f"/pay/{path}", data={"csrf_token": token})
    assert answer.status_code == 303, answer.text
    assert post_page(answer.location, **card_form(GOOD)).status == 303


def pays_in_billing(life: Life) -> None:
    bill = next(one for one in life.person.invoices if one.status == "open")
    hosted = life.person.post(f"/invoices/{bill.stripe_id}/open").location
    assert post_page(hosted, **card_form(MASTERCARD)).status == 303


def takes_another_card(life: Life) -> None:
    life.person.use_card(MASTERCARD)


def has_money_again(life: Life) -> None:
    """Stripe's next try will go through, and nobody tells us before that."""
    life.person.sandbox.control("trouble", delivery="drop")
    life.person.use_card(GOOD)
    life.person.sandbox.flush()  # what is sent after the trouble is over is not dropped
    life.person.sandbox.calm()


def leaves(life: Life) -> None:
    """Ends the plan at once, and so owes nothing to go."""
    life.person.sandbox.stripe.subscriptions.cancel(life.person.row.stripe_id)


DECLINED = "Your card didn’t go through for Dunlin"
CARD = "Update your card to keep Pro"
WARNED = "Pro stops by {end} unless it’s paid"
DAYS = "2 days left to keep your Pro plan"
DAY_LEFT = "1 day left to keep your Pro plan"
STOPPED = "Your Pro plan has stopped"
HELD = "Your access to Pro is on hold"
ASKED = "Your bank wants you to confirm €29.00"
CONFIRM = "Confirm your payment to keep Pro"
SORTED = "Sorted: your €29.00 payment went through"
GONE = "Your Pro plan has ended"

# Of each: what Stripe does when its tries are over, the card, and the days.
LIVES: dict[str, tuple[str, str, list[Step]]] = {
    "the next try goes through": ("cancel", FAILS_LATER, [
        (2, has_money_again, [DECLINED], True),
        (4, None, [SORTED], True),
    ]),
    "another card": ("cancel", FAILS_LATER, [
        (0, None, [DECLINED], True),
        (4, takes_another_card, [CARD, SORTED], True),
    ]),
    "by the link of the mail": ("cancel", FAILS_LATER, [
        (1, pays_by_the_link, [DECLINED, SORTED], True),
        (9, None, [], True),
    ]),
    "on Stripe’s page, from the billing page": ("cancel", FAILS_LATER, [
        (0, None, [DECLINED], True),
        (7, pays_in_billing, [WARNED, SORTED], True),
    ]),
    "tries that end in the end of the plan": ("cancel", FAILS_LATER, [
        (0, None, [DECLINED], True),
        (3, None, [CARD], True),
        (6, None, [WARNED], True),
        (11, None, [STOPPED], False),
        (15, None, [], False),
    ]),
    "tries that end in unpaid, and a late payment": ("unpaid", FAILS_LATER, [
        (0, None, [DECLINED], True),
        (11, None, [STOPPED], False),
        (15, pays_by_the_link, [SORTED], True),
    ]),
    "left past due until the grace is over": ("past_due", FAILS_LATER, [
        (0, None, [DECLINED], True),
        (3, None, [CARD], True),
        (6, None, [WARNED], True),
        (12, None, [DAYS], True),
        (14, None, [HELD], False),
        (16, pays_by_the_link, [SORTED], True),
    ]),
    "a card that is refused for good": ("past_due", REFUSED_FOR_GOOD, [
        (0, None, [DECLINED], True),
        (3, None, [CARD], True),
        (7, None, [], True),
        (8, None, [WARNED], True),
        (12, None, [DAYS], True),
        (14, None, [HELD], False),
    ]),
    "the bank’s question, answered in time": ("cancel", ASKS_THE_BANK, [
        (0, None, [ASKED], True),
        (3, None, [CONFIRM], True),
        (8, None, [WARNED], True),
        (9, pays_by_the_link, [SORTED], True),
    ]),
    "the bank’s question, never answered": ("past_due", ASKS_THE_BANK, [
        (0, None, [ASKED], True),
        (13, None, [DAY_LEFT], True),
        (14, None, [HELD], False),
    ]),
    "left by the person": ("cancel", FAILS_LATER, [
        (1, leaves, [DECLINED, GONE], False),
        (15, None, [], False),
    ]),
}  # fmt: skip


@pytest.fixture
def ends_in(office: Flask) -> Iterator[Callable[[str], None]]:
    sandbox = office.extensions["sandbox"]
    yield lambda how: sandbox.control("settings", retry_end=how)
    sandbox.control("settings", retry_end="cancel")


@pytest.mark.parametrize("name", LIVES)
def test_an_unpaid_renewal_is_told_of_step_by_step_and_access_is_right_on_each_day(
    newcomer: Callable[[], Shopper], ends_in: Callable[[str], None], mails: MailSink, name: str
) -> None:
    how, card, steps = LIVES[name]
    ends_in(how)
    life = Life(newcomer(), mails)
    life.begin(card)
    end = None
    for day, act, expected, access in steps:
        if day:
            life.on(day)
        life.settle()
        if act is not None:
            act(life)
            life.settle()
        end = end or words.day(life.person.standing.grace_end)
        assert life.news() == [one.format(end=end) for one in expected], f"day {day}"
        assert life.person.standing.access is access, f"day {day}"
    subjects = [one.subject for one in life.arrived()]
    assert len(set(subjects)) == len(subjects) <= 6, "five of the ladder, and that it is sorted"
