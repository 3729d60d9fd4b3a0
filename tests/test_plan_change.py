"""Changing the plan: the charge is the quote to the unit, and what isn't paid changes nothing."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from billing import catalogue, outcomes
from billing.extensions import db
from billing.models import Notice, StripeWrite
from billing.plans import Catalogue, Plan, Price
from tests import admin_rows as rows
from tests.registry import sweep
from tests.story import FAILS_LATER, HOUR, Shopper, catch_up, count, shopper
from tests.support import make_user

DAY = 24 * HOUR
ASKS_THE_BANK = "4000002760003184"


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


@dataclass
class Offer:
    """The page that says what a change costs, as somebody reads and sends it."""

    person: Shopper
    plan: str
    text: str
    fields: dict[str, str]

    @property
    def words(self) -> str:
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    def send(self, **other: str) -> Any:
        return self.person.post(f"/billing/change/{self.plan}", **{**self.fields, **other})


def offer(person: Shopper, plan: str, interval: str = "month") -> Offer:
    page = person.get(f"/billing/change/{plan}?interval={interval}")
    assert page.status_code == 200, page.text
    return Offer(person, plan, page.text, fields_of(page.text))


def fields_of(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(once|quote|interval)" value="([^"]*)"', page)
    assert len(found) == 3
    return dict(found)


def today(words: str) -> str:
    """The sum beside “To pay today”."""
    found = re.search(r"To pay today (\S+)", words)
    assert found is not None
    return found[1]


def charged(person: Shopper) -> int:
    """All that was ever taken from the person's card, in minor units."""
    paid = person.sandbox.stripe.charges.list({"customer": person.customer, "limit": 100})["data"]
    return sum(one["amount"] - one["amount_refunded"] for one in paid if one["paid"])


def credit(person: Shopper) -> int:
    """What Stripe owes the person for later invoices."""
    return -int(person.sandbox.stripe.customers.retrieve(person.customer)["balance"])


def said(person: Shopper) -> str:
    """The billing page, as people read it."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", person.get("/billing").text)).split())


def renew(person: Shopper) -> None:
    """Let the present period or trial end, and the invoice of the next one be settled."""
    end = person.row.trial_end if person.row.status == "trialing" else person.row.current_period_end
    assert end is not None
    person.advance(int(end.timestamp()) + 2 * HOUR)


def nothing(person: Shopper) -> None: ...


def old_credit(person: Shopper) -> None:
    terms = {"amount": -700, "currency": "eur"}
    person.sandbox.stripe.customers.balance_transactions.create(person.customer, terms)


def money(amount: int) -> str:
    return f"€{amount / 100:,.2f}"


def test_a_currency_without_minor_units_is_charged_as_quoted(desk: Flask, alice: Shopper) -> None:
    plans = tuple(
        Plan(name, name.title(), "", (), (), 0, (Price(name, amount, "jpy", "month"),))
        for name, amount in (("basic", 1333), ("pro", 4001))
    )
    desk.extensions["catalogue"] = Catalogue(plans, ())
    catalogue.push(db.session(), desk.extensions["catalogue"])
    alice.subscribe("basic")
    alice.advance_by(11 * DAY + 123)
    before, page = charged(alice), offer(alice, "pro")
    page.send()
    catch_up(desk)
    assert alice.row.plan == "pro"
    assert f"¥{charged(alice) - before:,}" == today(page.words)


def test_a_smaller_plan_begins_when_the_paid_period_ends_and_can_be_taken_back(alice: Shopper) -> None:
    alice.has("pro")
    alice.advance_by(10 * DAY)
    before, page = charged(alice), offer(alice, "basic")
    assert "You keep Pro until" in page.words
    assert today(page.words) == "€0.00"
    page.send()
    assert (alice.standing.code, alice.row.plan, charged(alice)) == ("changing", "pro", before)
    assert "you’ll move to Basic. Next payment: €9.00 on" in said(alice)
    assert alice.post("/billing/stay").status_code == 303
    assert "You stay on Pro." in said(alice)
    assert (alice.standing.code, alice.row.coming) == ("active", None)
    offer(alice, "basic").send()
    renew(alice)
    assert (alice.row.plan, alice.row.coming, charged(alice) - before) == ("basic", None, 900)
    assert alice.standing.code == "active"


def test_a_shorter_interval_begins_when_the_paid_year_ends(alice: Shopper) -> None:
    alice.has("pro", "year")
    before = charged(alice)
    offer(alice, "pro").send()
    assert (alice.standing.code, alice.row.interval, charged(alice)) == ("changing", "year", before)
    renew(alice)
    assert (alice.row.interval, charged(alice) - before) == ("month", 2900)


def test_a_trial_changes_for_nothing_and_goes_on(alice: Shopper) -> None:
    alice.has("team")
    ends, page = alice.row.trial_end, offer(alice, "pro")
    assert "Your trial goes on until" in page.words
    assert "Nothing to pay today. Then €29.00 on" in page.words
    page.send()
    assert (alice.row.plan, alice.row.status, alice.row.trial_end) == ("pro", "trialing", ends)
    assert charged(alice) == 0
    renew(alice)
    assert charged(alice) == 2900


def test_a_declined_card_changes_nothing_charges_nothing_and_owes_nobody_a_mail(alice: Shopper) -> None:
    alice.has("basic")
    alice.use_card(FAILS_LATER)
    before, mails = charged(alice), alice.mails()
    offer(alice, "pro").send()
    assert "Your card was declined, so you’re still on Basic. Nothing changed." in said(alice)
    catch_up(alice.desk)
    assert (alice.row.plan, alice.row.coming, alice.standing.code) == ("basic", None, "active")
    assert (charged(alice), alice.mails()) == (before, mails)
    assert [one.status for one in alice.invoices] == ["paid", "void"]
    assert count(Notice, kind="dun1") == 0


def test_a_bank_that_asks_keeps_the_old_plan_until_it_is_answered(alice: Shopper) -> None:
    alice.has("basic")
    alice.use_card(ASKS_THE_BANK)
    page = offer(alice, "pro")
    page.send()
    words = said(alice)
    assert "Your bank wants you to confirm the payment. Until you do, you’re still on Basic." in words
    assert (alice.row.plan, alice.standing.code) == ("basic", "action_required")
    assert alice.get("/billing/change/team").status_code == 409
    [owed] = [one for one in alice.invoices if one.status == "open"]
    intent = owed.payment_intent
    alice.sandbox.stripe.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    catch_up(alice.desk)
    assert (alice.row.plan, alice.row.coming, alice.standing.code) == ("pro", None, "active")
    assert money(owed.amount_due) == today(page.words)


def test_a_form_that_is_sent_again_changes_and_charges_once(alice: Shopper) -> None:
    alice.has("basic")
    before, page = charged(alice), offer(alice, "pro")
    page.send()
    after = charged(alice)
    assert after > before
    again = page.send()
    assert (again.location, charged(alice)) == ("/billing", after)
    assert "You’re on Pro." in said(alice)
    assert count(StripeWrite, operation="subscription.update") == 1


def test_what_would_cost_something_else_by_now_is_asked_again(alice: Shopper) -> None:
    alice.has("basic")
    before, page = charged(alice), offer(alice, "pro")
    old_credit(alice)
    answer = page.send()
    assert answer.status_code == 422
    assert "Something changed while this page was open." in answer.text
    assert (alice.row.plan, charged(alice)) == ("basic", before)
    anew = Offer(alice, "pro", answer.text, fields_of(answer.text))
    assert "Paid from what we owe you" in anew.words
    anew.send()
    assert money(charged(alice) - before) == today(anew.words)


def test_a_quote_is_good_for_half_an_hour(alice: Shopper, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.has("basic")
    page = offer(alice, "pro")
    monkeypatch.setattr("billing.seals.FRESH_SECONDS", -1)
    answer = page.send()
    assert (answer.status_code, alice.row.plan) == (422, "basic")
    assert "This page was open for a while, so we asked Stripe again." in answer.text


@pytest.mark.parametrize("field", ["quote", "once"])
def test_a_quote_that_we_did_not_seal_changes_nothing(alice: Shopper, field: str) -> None:
    alice.has("basic")
    page = offer(alice, "pro")
    assert page.send(**{field: page.fields[field][:-3] + "x\0<"}).status_code == 422
    assert (alice.row.plan, count(StripeWrite, operation="subscription.update")) == ("basic", 0)


def test_the_quote_of_somebody_else_or_of_another_plan_is_no_quote(desk: Flask, alice: Shopper) -> None:
    alice.has("basic")
    bob = shopper(desk, "bob@example.com")
    bob.subscribe("basic")
    assert offer(alice, "pro").send(quote=offer(bob, "pro").fields["quote"]).status_code == 422
    assert offer(alice, "team").send(quote=offer(alice, "pro").fields["quote"]).status_code == 422
    assert (alice.row.plan, bob.row.plan) == ("basic", "basic")


def set_to_end(alice: Shopper) -> None:
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})


def unpaid(alice: Shopper) -> None:
    alice.use_card(FAILS_LATER)
    renew(alice)
    assert alice.row.status == "past_due"


def paused(alice: Shopper) -> None:
    terms = {"pause_collection": {"behavior": "void"}}
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, terms)


def smaller_later(alice: Shopper) -> None:
    offer(alice, "basic").send()


OBSTACLES = [
    (set_to_end, "pro", "Your plan is set to end. Keep it first, then change it."),
    (unpaid, "team", "A plan can be changed once its payments are in order."),
    (paused, "team", "Payments are paused. The plan can be changed when they have restarted."),
    (smaller_later, "team", "Your plan is set to change already."),
    (nothing, "pro", "That is the plan you have."),
]


@pytest.mark.parametrize(("happens", "want", "words"), OBSTACLES)
def test_where_a_plan_can_not_be_changed_the_page_says_why_and_nothing_changes(
    alice: Shopper, happens: Any, want: str, words: str
) -> None:
    alice.has("pro")
    page = offer(alice, "team") if happens is not unpaid else None
    happens(alice)
    answer = alice.get(f"/billing/change/{want}")
    assert (answer.status_code, words in answer.text) == (409, True)
    if page is not None and want == "team":
        assert page.send().status_code == 409
    assert alice.row.plan == "pro"


def test_without_a_plan_one_is_bought_not_changed(alice: Shopper) -> None:
    answer = alice.get("/billing/change/pro?interval=year")
    assert (answer.status_code, answer.location) == (303, "/subscribe/pro?interval=year")
    assert alice.post("/billing/change/pro").location == "/billing"
    assert alice.post("/billing/stay").location == "/billing"
    assert alice.get("/billing/change/none-such").status_code == 404
    assert alice.get("/billing/change/pro?interval=week").status_code == 404


def test_where_stripe_is_away_no_change_is_offered_and_an_unanswered_one_is_called_unknown(
    alice: Shopper,
) -> None:
    alice.has("basic")
    page = offer(alice, "pro")
    alice.sandbox.control("trouble", api="error_500")
    assert alice.get("/billing/change/pro").status_code == 503
    alice.sandbox.control("trouble", api="cut_before", api_path="/v1/subscriptions/", api_method="POST")
    answer = page.send()
    assert (answer.status_code, "We don’t know yet whether that went through." in answer.text) == (503, True)
    alice.sandbox.control("trouble", api="normal", api_path="/v1/")
    sweep()
    catch_up(alice.desk)
    assert alice.row.plan == "pro"


@pytest.mark.parametrize("trouble", ["lost_answer", "applied_then_500", "error_500", "cut_before"])
def test_a_change_whose_answer_was_lost_is_made_and_charged_once(alice: Shopper, trouble: str) -> None:
    alice.has("basic")
    before, page = charged(alice), offer(alice, "pro")
    alice.sandbox.control("trouble", api=trouble, api_path="/v1/subscriptions/", api_method="POST")
    page.send()
    alice.sandbox.calm()
    for _ in range(2):
        sweep()
        catch_up(alice.desk)
    assert (alice.row.plan, alice.row.coming) == ("pro", None)
    assert money(charged(alice) - before) == today(page.words)


def test_a_change_that_broke_off_half_way_is_no_change_and_no_obstacle(alice: Shopper) -> None:
    alice.has("pro")
    alice.sandbox.stripe.subscription_schedules.create({"from_subscription": alice.row.stripe_id})
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"metadata": {"any": "news"}})
    catch_up(alice.desk)
    assert alice.standing.code == "active"
    offer(alice, "basic").send()
    assert alice.standing.code == "changing"
    alice.post("/billing/stay")
    alice.sandbox.stripe.subscription_schedules.create({"from_subscription": alice.row.stripe_id})
    offer(alice, "team").send()
    assert alice.row.plan == "team"


def test_the_plans_page_offers_every_other_plan_and_interval_to_whoever_has_one(alice: Shopper) -> None:
    alice.has("pro")
    month, year = alice.get("/plans").text, alice.get("/plans?interval=year").text
    assert "/billing/change/basic?interval=month" in month
    assert "/billing/change/pro" not in month
    assert "/billing/change/pro?interval=year" in year


def test_what_is_given_up_is_the_invoice_of_the_change_and_never_an_older_debt(app: Flask) -> None:
    session = db.session()
    row = rows.subscription(session, make_user(session, "ower@example.com"), latest_invoice="in_change")
    rows.owed(session, row)
    assert outcomes.invoice_of_the_change(row) is None
    waits = rows.invoice(session, row, stripe_id="in_change", status="open")
    assert outcomes.invoice_of_the_change(row) is waits
