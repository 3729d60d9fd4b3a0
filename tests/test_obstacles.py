"""Where a plan can't be changed, the page says why and offers the one thing to do first, which works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billing.extensions import db
from billing.models import PlanPrice
from billing.obstacles import of_price, of_state
from local.mailsink import MailSink
from tests.counter import HOUR, Counter, look, open_counter, quoted, text_of, until
from tests.story import FAILS_LATER, Shopper
from tests.support import Databases, Sandbox


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        yield found


def update(**changes: Any) -> Callable[[Shopper], None]:
    def do(person: Shopper) -> None:
        person.sandbox.stripe.subscriptions.update(person.row.stripe_id, changes)

    return do


def unpaid(person: Shopper) -> None:
    person.use_card(FAILS_LATER)
    end = person.row.current_period_end
    assert end is not None
    until(person, int(end.timestamp()) + 2 * HOUR)


def bank_asks(person: Shopper) -> None:
    person.use_card("4000002760003184")
    quoted(person, "/billing/change/team").send()


def smaller_later(person: Shopper) -> None:
    quoted(person, "/billing/change/basic").send()


def two_items(person: Shopper) -> None:
    product = person.sandbox.stripe.products.create({"name": "Extra"})["id"]
    terms = {"currency": "eur", "unit_amount": 100, "product": product, "recurring": {"interval": "month"}}
    price = person.sandbox.stripe.prices.create(terms)["id"]
    person.sandbox.stripe.subscription_items.create({"subscription": person.row.stripe_id, "price": price})


def nothing(person: Shopper) -> None: ...


CASES = {
    "unpaid": (unpaid, "team", "once its payments are in order", "Pay this invoice now", "/invoices/"),
    "pending": (bank_asks, "basic", "Confirm that payment first", "Confirm payment", "/invoices/"),
    "scheduled": (smaller_later, "team", "set to change already", "Keep Pro", "/billing/stay"),
    "canceling": (update(cancel_at_period_end=True), "team", "set to end", "Keep Pro", "/billing/resume"),
    "paused": (update(pause_collection={"behavior": "void"}), "team", "Payments are paused", None, None),
    "measured": (two_items, "team", "made to measure", "Contact us", "mailto:"),
    "invoiced": (
        update(collection_method="send_invoice", days_until_due=14),
        "team",
        "You pay by invoice",
        "Contact us",
        "mailto:",
    ),
    "same": (nothing, "pro", "That is the plan you have.", "Go to billing", "/billing"),
}


@pytest.mark.parametrize("kind", CASES)
def test_who_can_not_change_reads_why_and_finds_what_to_do_first(counter: Counter, kind: str) -> None:
    happens, want, why, label, leads_to = CASES[kind]
    person = counter.newcomer("pro")
    happens(person)
    look(person)
    page = person.get(f"/billing/change/{want}")
    words = text_of(page.text)
    assert (page.status_code, why in words) == (409, True), words
    main = page.text.partition("<main")[2].partition("</main>")[0]
    assert main.count('class="btn"') == 1, "one action, and no dead button"
    if label is not None:
        assert label in words
        assert f'action="{leads_to}' in main or f'class="btn" href="{leads_to}' in main


@pytest.mark.parametrize(
    ("happens", "step"), [(smaller_later, "stay"), (update(cancel_at_period_end=True), "resume")]
)
def test_after_that_first_step_the_plan_can_be_changed(counter: Counter, happens: Any, step: str) -> None:
    person = counter.newcomer("pro")
    happens(person)
    look(person)
    assert person.get("/billing/change/team").status_code == 409
    assert person.post(f"/billing/{step}").status_code == 303
    look(person)
    assert person.get("/billing/change/team").status_code == 200


def test_who_pays_in_another_currency_reads_which_one_and_finds_the_plans(counter: Counter) -> None:
    person = counter.newcomer("pro")
    price = db.session.get_one(PlanPrice, "team_month_eur")
    price.currency = "usd"
    db.session.commit()
    try:
        page = person.get("/billing/change/team")
    finally:
        price = db.session.get_one(PlanPrice, "team_month_eur")
        price.currency = "eur"
        db.session.commit()
    words = text_of(page.text)
    assert "Your account is billed in EUR, and this plan has no price in EUR." in words
    assert 'class="btn" href="/plans"' in page.text


@pytest.mark.parametrize("status", ["incomplete", "past_due", "unpaid", "canceled", "something_new"])
def test_no_state_that_we_do_not_know_to_be_good_can_be_changed(status: str) -> None:
    found = of_state({"status": status, "items": {"data": []}})
    assert found is not None
    assert found.kind == "unpaid"


def test_a_subscription_without_a_price_has_no_currency_to_change_in() -> None:
    assert of_price({"items": {"data": []}}, "eur") is not None
