"""Whatever brings a mail about is told again and again, backwards and by several workers at once: it leaves once.

Each life is somebody's story at Stripe, act by act. Stripe delivers nothing by itself: after each act its events,
signed, are given to us in both manners below, and the clock's duties are done. A new kind is one more act here; every
order of some histories, and every delay, is tried in ``test_every_order``.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from billing import outbox, samples, timetable
from billing.clock import now
from billing.extensions import db
from billing.models import Notice, StripeEvent
from billing.payloads import Object
from local.mailsink import MailSink
from tests.histories import History, later
from tests.story import DAY, FAILS_LATER, GOOD, Shopper, apply_all, catch_up, config_of, count, post_page
from tests.support import make_user
from tests.test_dunning_whole_life import REFUSED_FOR_GOOD
from tests.test_every_order import change_to, paid, plan_of, set_, time_passes, tries_the_team_plan
from tests.test_leaving import hidden
from tests.test_new_card import ASKS_THE_BANK, settle
from tests.test_pains_of_refunds import BOUNCES, WARNED
from tests.test_pausing import rest
from tests.test_payments import DISPUTED
from tests.test_second import another

Act = Callable[[Shopper], object]
DUTIES = ("resume", "announce", "remind", "deadlines")
WORKERS = 3

# Kinds that a form causes, and where that is tried.
BY_A_FORM = {
    "code": "each request is a mail of its own; tests/test_codes.py counts them",
    "exists": "each request is a mail of its own; tests/test_auth.py counts them",
    "reset": "each request is a mail of its own; tests/test_reset.py counts them",
    "withdraw_link": "each request is a mail of its own; tests/test_withdrawing.py counts them",
    "welcome": "pressed fifty times at once in tests/test_presses.py",
    "pw_changed": "pressed fifty times at once in tests/test_presses.py",
    "email_code": "each request is a mail of its own; tests/test_email_change.py counts them",
    "email_taken": "each request is a mail of its own; tests/test_email_change.py counts them",
    "email_changed": "pressed fifty times at once in tests/test_presses.py",
    "email_undone": "pressed fifty times at once in tests/test_presses.py",
    "export_ready": "asked for fifty times at once in tests/test_presses.py",
    "delete_asked": "pressed fifty times at once in tests/test_presses.py",
    "delete_undone": "pressed fifty times at once in tests/test_presses.py",
    "delete_stuck": "by the clock alone, at whose every step it is killed, in tests/test_removing.py",
    "deleted": "by the clock alone, at whose every step it is killed, in tests/test_removing.py",
    "withdrawn": "pressed fifty times at once in tests/test_presses.py",
}


@dataclass(frozen=True)
class Life:
    """``before``: told as usual, and not looked at; ``kinds``: all that must have left when the last act was told."""

    kinds: set[str]
    acts: list[Act]
    before: Act = lambda person: None


def subscribed(person: Shopper) -> None:
    person.subscribe()


def pays_and_disputes(person: Shopper) -> None:
    assert person.pay(person.order(), DISPUTED).status == 303


def pays_and_is_warned_of(person: Shopper) -> None:
    assert person.pay(person.order(), WARNED).status == 303


def buys_and_gets_it_back(person: Shopper) -> None:
    """The bank takes the refund, and sends it back two days later."""
    assert person.pay(person.buy(), BOUNCES).status == 303
    [bought] = person.sandbox.stripe.payment_intents.list({"customer": person.customer})["data"]
    person.sandbox.stripe.refunds.create({"payment_intent": bought["id"]})


def buys_by_a_debit_that_comes_back(person: Shopper) -> None:
    person.sandbox.control("settings", payment_methods=["card", "sepa_debit"], bank_debit_seconds=600)
    form = {"pay_with": "sepa_debit", "iban": "AT051904300235473205", "account_name": "Alice Ahrens"}
    assert post_page(f"{person.sandbox.url}/c/pay/{person.buy()}", **form).status == 303
    person.sandbox.control("settings", payment_methods=["card"], bank_debit_seconds=180)


def gets_money_back(person: Shopper) -> None:
    intent = person.invoices[0].payment_intent
    person.sandbox.stripe.refunds.create({"payment_intent": intent, "amount": 900})


def ends_now(person: Shopper) -> None:
    person.sandbox.stripe.subscriptions.cancel(plan_of(person))


def on_a_clock(person: Shopper, days: int) -> None:
    """Days pass, and the row knows of the clock by which they do."""
    person.advance_by(days * DAY)
    person.post("/billing/check")


def ten_days_in(person: Shopper) -> None:
    person.subscribe()
    on_a_clock(person, 10)


def rests(person: Shopper) -> None:
    rest(person, 1)


def goes_on(person: Shopper) -> None:
    fields = hidden(person.get("/billing/unpause").text)
    assert person.post("/billing/unpause", **fields).location == "/billing"


def days_pass(days: int) -> Act:
    def pass_(person: Shopper) -> None:
        on_a_clock(person, days)

    return pass_


def with_a_failing_card(person: Shopper) -> None:
    person.subscribe()
    person.use_card(FAILS_LATER)
    for _ in range(2):
        person.advance()


def with_a_card_that_asks(person: Shopper) -> None:
    person.subscribe()
    person.use_card(ASKS_THE_BANK)
    settle(person)
    for _ in range(2):
        person.advance()


def with_a_card_refused_for_good(person: Shopper) -> None:
    """Where Stripe leaves the plan past due, so that the days of grace run out."""
    person.subscribe()
    person.use_card(REFUSED_FOR_GOOD)
    person.sandbox.control("settings", retry_end="past_due")


def days_go_by(person: Shopper) -> None:
    """Two of them, for whoever has no plan."""
    person.sandbox.control(f"customers/{person.customer}/advance", to=int(now().timestamp()) + 2 * DAY)


def the_bank_answers(person: Shopper) -> None:
    assert person.sandbox.control(f"customers/{person.customer}/settle")["settled"] == 1


def puts_a_good_card(person: Shopper) -> None:
    person.use_card(GOOD)


def nearly_a_year(person: Shopper) -> None:
    """A year, and a card that is over in its last month."""
    person.subscribe("pro", "year")
    end = person.row.current_period_end
    assert end is not None
    last = end.replace(day=1) - timedelta(days=1)
    api = person.sandbox.stripe
    for method in api.payment_methods.list({"customer": person.customer})["data"]:
        api.payment_methods.update(method["id"], {"card": {"exp_month": last.month, "exp_year": last.year}})
    on_a_clock(person, 345)


def buys_something(person: Shopper) -> None:
    assert person.pay(person.buy()).status == 303


def gets_a_second_plan(person: Shopper) -> None:
    another(person)


def loses_the_second(person: Shopper) -> None:
    api = person.sandbox.stripe
    found = api.subscriptions.list({"customer": person.customer})["data"]
    api.subscriptions.cancel(max(found, key=lambda one: one["id"] != person.row.stripe_id)["id"])


LIVES = {
    "a plan": Life(
        {"receipt", "changed", "cancel_set", "kept", "refund", "ended"},
        [
            paid,
            change_to("team_month_eur", proration_behavior="always_invoice"),
            set_(cancel_at_period_end=True),
            set_(cancel_at_period_end=False),
            gets_money_back,
            ends_now,
        ],
    ),
    "a dispute": Life({"receipt", "admin_dispute"}, [pays_and_disputes]),
    "a trial": Life({"trial_start", "trial_end"}, [tries_the_team_plan, time_passes]),
    "a rest": Life({"paused", "resuming", "resumed"}, [rests, days_pass(25), goes_on], ten_days_in),
    "a debt that is paid": Life(
        {"dun1", "dun2", "recovered"},
        [time_passes, time_passes, puts_a_good_card, time_passes],
        with_a_failing_card,
    ),
    "a debt that is not": Life({"dun3", "dun5"}, [time_passes] * 4, with_a_failing_card),
    "a debt by a card that is refused for good": Life(
        {"dun1", "dun2", "dun3", "dun4", "dun5"},
        [days_pass(31), days_pass(3), days_pass(5), days_pass(4), days_pass(3)],
        with_a_card_refused_for_good,
    ),
    "a bank that asks": Life({"action_required"}, [time_passes], with_a_card_that_asks),
    "a year": Life({"renewal", "card_expiring"}, [days_pass(10), days_pass(6)], nearly_a_year),
    "a warning": Life({"receipt", "admin_fraud_warning"}, [pays_and_is_warned_of]),
    "a refund that is sent back": Life(
        {"one_off_receipt", "refund", "refund_failed"}, [buys_and_gets_it_back, days_go_by]
    ),
    "a debit that comes back": Life({"one_off_failed"}, [buys_by_a_debit_that_comes_back, the_bank_answers]),
    "a purchase": Life({"one_off_receipt"}, [buys_something]),
    "two plans": Life({"second_ended", "admin_alert"}, [gets_a_second_plan, loses_the_second], subscribed),
}


@pytest.fixture(scope="module", autouse=True)
def _an_admin(office: Flask) -> None:
    make_user(db.session(), "desk@example.com", is_admin=True)


def backwards(desk: Flask, events: list[Object], told: History) -> None:
    """The newest first, each applied by itself."""
    for event in reversed(events):
        told.deliver([event])
        apply_all()
    _work(desk)


def at_once(desk: Flask, events: list[Object], told: History) -> None:
    """By several workers, each of which is told everything, in an order of its own."""
    start = threading.Barrier(WORKERS)

    def work(number: int) -> None:
        mine = random.Random(number).sample(events, len(events))
        with desk.app_context():
            start.wait(60)
            told.deliver(mine)
            apply_all()
            _work(desk)
            db.session.remove()

    db.session.rollback()
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, number) for number in range(WORKERS)]:
            done.result()


def _work(desk: Flask) -> None:
    """What clock and worker do beside applying events."""
    known = {duty.name: duty.work for duty in timetable.duties()}
    for name in DUTIES:
        known[name](db.session(), config_of(desk))
    outbox.send_due(db.session(), config_of(desk))


def _settled(desk: Flask) -> None:
    """Whoever found a lease taken, or a row locked, tries again."""
    while count(StripeEvent, state=StripeEvent.PENDING):
        later(120)
        apply_all()
    outbox.send_due(db.session(), config_of(desk))
    db.session.rollback()


# Each life is told in both manners, every other one backwards first.
MANNERS = {
    name: (backwards, at_once) if number % 2 else (at_once, backwards) for number, name in enumerate(LIVES)
}


@pytest.fixture(autouse=True)
def _as_set(office: Flask) -> Iterator[None]:
    yield
    office.extensions["sandbox"].control("settings", retry_end="cancel")


@pytest.fixture
def sink(mail_sink: MailSink) -> Iterator[MailSink]:
    mail_sink.messages.clear()
    yield mail_sink
    mail_sink.messages.clear()


@pytest.mark.parametrize("name", LIVES)
def test_each_mail_of_a_life_is_one_row_and_one_message_however_it_is_told(
    office: Flask, newcomer: Callable[..., Shopper], sink: MailSink, name: str
) -> None:
    life, person = LIVES[name], newcomer()
    life.before(person)
    catch_up(office)
    told, left = History(office), Counter[str]()
    for act in life.acts:
        db.session.rollback()
        last = db.session.execute(select(func.max(Notice.id))).scalar() or 0
        act(person)
        while news := told.news():  # what we ask of Stripe in turn makes more
            for manner in MANNERS[name]:
                manner(office, news, told)
                _settled(office)
        new = db.session.query(Notice).filter(Notice.id > last).all()
        of_each = Counter((one.kind, one.to) for one in new)
        assert set(of_each.values()) <= {1}, of_each
        messages = Counter(str(one.message["Message-ID"]).strip() for one in sink.messages)
        for one in new:
            assert one.state in ("sent", "obsolete"), (one.kind, one.state, one.reason)
            assert messages[one.message_id] == (one.state == "sent"), one.kind
        left.update(one.kind for one in new if one.state == "sent")
    assert life.kinds <= left.keys(), left


def test_every_kind_has_a_life_or_a_form_that_causes_it() -> None:
    lived = set[str]().union(*(life.kinds for life in LIVES.values()))
    assert lived | BY_A_FORM.keys() == set(samples.kinds())
    assert not lived & BY_A_FORM.keys()
