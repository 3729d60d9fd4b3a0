"""Where areas meet: sequences of facts 3 that have no other home, and money that must add up whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from tests.sandbox.engine import billing
from tests.sandbox.engine.driver import GENERIC, Sandbox, eventually
from tests.sandbox.engine.subscribing import (
    DAY,
    HALFWAY,
    HOUR,
    START,
    amounts,
    change,
    give_card,
    newest,
    payer,
    previous,
    renewed,
    subscribe,
    told,
)

UPDATED = "customer.subscription.updated"
PAID = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
]
COLLECTED = ["invoice.finalized", "payment_intent.created", *PAID]


def _end(sub: Any) -> int:
    return int(sub.items.data[0].current_period_end)


# 3.3 to 3.5: Checkout that comes to nothing, or needs no card


def test_a_trial_without_a_card_tells_of_no_card(sandbox: Sandbox) -> None:
    """facts 3.4: the same sequence less setup_intent and payment_method; nothing is owed, nothing to pay with."""
    session = sandbox.session(
        subscription_data={"trial_period_days": 14}, payment_method_collection="if_required"
    )
    mark = sandbox.mark()
    assert sandbox.form(session.url, email="alice@example.com").status == 303
    assert told(sandbox, session.customer, mark) == [
        "customer.updated",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]
    assert previous(sandbox, session.customer, mark, "customer.updated") == {"currency": None}
    done = sandbox.api.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (done.payment_status, done.setup_intent, done.payment_intent) == (
        "no_payment_required",
        None,
        None,
    )
    assert (done.subscription.status, done.subscription.default_payment_method) == ("trialing", None)


@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_an_expired_session_is_told_once_with_its_recovery(sandbox: Sandbox, mode: str) -> None:
    """facts 3.5: expired, url null, unpaid; what was tried with it is canceled."""
    session = sandbox.session(mode, after_expiration={"recovery": {"enabled": True}})
    sandbox.card(session.url, GENERIC)
    mark = sandbox.mark()
    sandbox.api.checkout.sessions.expire(session.id)
    assert told(sandbox, session.customer, mark) == ["checkout.session.expired", "payment_intent.canceled"]
    shown = sandbox.events(mark, session.customer)[0]["data"]["object"]
    assert (shown["status"], shown["url"], shown["payment_status"]) == ("expired", None, "unpaid")
    assert shown["after_expiration"]["recovery"]["url"]
    assert (shown["subscription"], shown["invoice"]) == (None, None)


# 3.6, 3.14: a renewal with all that can be on it


def test_a_renewal_takes_discount_prorations_and_balance_in_that_order(sandbox: Sandbox) -> None:
    """facts 3.6, 3.14: prorations are lines of their own, not discounted again; the balance pays last."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    sandbox.advance(customer.id, HALFWAY)
    change(sandbox, sub, sandbox.price(10000))
    coupon = sandbox.api.coupons.create({"percent_off": 10, "duration": "forever"})
    sandbox.api.subscriptions.update(sub.id, {"discounts": [{"coupon": coupon.id}]})
    sandbox.api.customers.balance_transactions.create(customer.id, {"amount": -1500, "currency": "usd"})
    sub = renewed(sandbox, sub)
    invoice = newest(sandbox, sub)
    assert sorted(amounts(invoice)) == [-2500, 5000, 10000]
    assert (invoice.subtotal, invoice.total) == (12500, 11500)
    assert (invoice.starting_balance, invoice.ending_balance) == (-1500, 0)
    assert (invoice.amount_due, invoice.amount_paid, invoice.amount_remaining) == (10000, 10000, 0)
    assert sum(each["amount"] for each in sandbox.charges(customer.id)) == 5000 + 10000
    assert sandbox.api.customers.retrieve(customer.id).balance == 0


# 3.7, 3.14: a schedule's next phase while a payment is missing


def test_a_phase_begins_though_the_subscription_is_past_due(sandbox: Sandbox) -> None:
    """facts 3.7, 3.14: it stays past_due, and only the newest invoice's payment makes it active again."""
    customer = payer(sandbox)
    daily, dearer = sandbox.price(1000, "day"), sandbox.price(2000, "day")
    sub = subscribe(sandbox, customer.id, daily)
    schedule = sandbox.api.subscription_schedules.create({"from_subscription": sub.id})
    first = schedule.phases[0]
    phases: Any = [
        {
            "items": [{"price": daily}],
            "start_date": first.start_date,
            "end_date": first.end_date + DAY,
        },
        {"items": [{"price": dearer}], "duration": {"interval": "day", "interval_count": 3}},
    ]
    sandbox.api.subscription_schedules.update(schedule.id, {"phases": phases})
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    assert sub.status == "past_due"
    older = str(sub.latest_invoice)
    mark = sandbox.mark()
    sandbox.advance(customer.id, _end(sub) + 10)
    assert told(sandbox, customer.id, mark) == ["subscription_schedule.updated", UPDATED, "invoice.created"]
    before = previous(sandbox, customer.id, mark)
    assert set(before) == {"items", "latest_invoice"}
    assert before["items"]["data"][0]["price"]["id"] == daily
    sub = sandbox.api.subscriptions.retrieve(sub.id)
    assert sub.status == "past_due"
    assert sub.items.data[0].price.id == dearer
    sandbox.advance(customer.id, sub.items.data[0].current_period_start + 2 * HOUR)
    give_card(sandbox, customer.id, "pm_card_visa")
    sandbox.api.invoices.pay(older)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "past_due"
    sandbox.api.invoices.pay(str(sub.latest_invoice))
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


# 3.9, 3.12: dunning and pauses


def test_what_was_given_up_as_a_draft_does_not_keep_a_subscription_past_due(sandbox: Sandbox) -> None:
    """facts 3.12: earlier open invoices are still collected while collection is paused; facts 3.9 their recovery."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id, sandbox.price(1000, "day"))
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    open_one = str(sub.latest_invoice)
    sandbox.api.subscriptions.update(sub.id, {"pause_collection": {"behavior": "void"}})
    mark = sandbox.mark()
    sandbox.advance(customer.id, _end(sub) + 10)
    assert told(sandbox, customer.id, mark) == [UPDATED, "invoice.created", "invoice.voided"]
    give_card(sandbox, customer.id, "pm_card_visa")
    mark = sandbox.mark()
    sandbox.advance(customer.id, int(sandbox.api.invoices.retrieve(open_one).next_payment_attempt or 0))
    paid = [
        each for each in told(sandbox, customer.id, mark) if each not in ("invoice.created", "invoice.voided")
    ]
    assert paid[-len(PAID) - 2 :] == [*PAID, "customer.updated", UPDATED]
    assert previous(sandbox, customer.id, mark) == {"status": "past_due"}
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_paying_while_the_next_invoice_is_a_draft_makes_it_active(sandbox: Sandbox) -> None:
    """facts 3.9: a draft has not been asked for, so it holds nothing back."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id, sandbox.price(1000, "day"))
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    open_one = str(sub.latest_invoice)
    sandbox.advance(customer.id, _end(sub) + 10)
    assert newest(sandbox, sub).status == "draft"
    give_card(sandbox, customer.id, "pm_card_visa")
    sandbox.api.invoices.pay(open_one)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_nothing_is_charged_after_the_end_though_3d_secure_was_waited_for(sandbox: Sandbox) -> None:
    """facts 3.8, 3.11: automatic collection stops with the subscription, another card or not."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    give_card(sandbox, customer.id, "pm_card_authenticationRequired")
    sub = renewed(sandbox, sub)
    assert sub.status == "past_due"
    sandbox.api.subscriptions.cancel(sub.id)
    give_card(sandbox, customer.id, "pm_card_visa")
    mark = sandbox.mark()
    sandbox.advance(customer.id, sub.items.data[0].current_period_start + 40 * DAY)
    assert told(sandbox, customer.id, mark) == []
    assert len(sandbox.charges(customer.id)) == 1


# 3.10, 3.11: ends with something left


def test_what_is_pending_is_collected_as_the_last_period_ends(sandbox: Sandbox) -> None:
    """facts 3.10: no invoice at the end, unless items are pending."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    sandbox.advance(customer.id, HALFWAY)
    change(sandbox, sub, sandbox.price(10000))
    sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    announced = sandbox.api.invoices.create_preview({"subscription": sub.id})
    mark = sandbox.mark()
    sandbox.advance(customer.id, _end(sub) + HOUR)
    assert told(sandbox, customer.id, mark) == [
        "customer.subscription.deleted",
        "invoice.created",
        *COLLECTED,
    ]
    invoice = newest(sandbox, sub)
    assert sorted(amounts(invoice)) == sorted(amounts(announced)) == [-2500, 5000]
    assert (invoice.billing_reason, invoice.status, invoice.amount_paid) == (
        "subscription_cycle",
        "paid",
        2500,
    )
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"


@pytest.mark.parametrize("more", [{}, {"prorate": True}])
def test_pending_prorations_go_with_an_immediate_end_that_settles_nothing(
    sandbox: Sandbox, more: Any
) -> None:
    """facts 3.11; the SDK's words on cancel: removed if invoice_now and prorate are both false."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    sandbox.advance(customer.id, HALFWAY)
    change(sandbox, sub, sandbox.price(10000))
    mark = sandbox.mark()
    sandbox.api.subscriptions.cancel(sub.id, more)
    left = sandbox.api.invoice_items.list({"customer": customer.id, "pending": True}).data
    if more:
        assert sorted(item.amount for item in left) == [-5000, -2500, 5000]
    else:
        assert left == []
        assert told(sandbox, customer.id, mark) == [
            *["invoiceitem.deleted"] * 2,
            "customer.subscription.deleted",
        ]


def test_an_open_invoice_survives_the_end_of_its_period_uncollected(sandbox: Sandbox) -> None:
    """facts 3.10, 3.11: it stays open, and a person may still pay it."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id, sandbox.price(1000, "day"))
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    mark = sandbox.mark()
    sandbox.advance(customer.id, _end(sub) + 20 * DAY)
    assert told(sandbox, customer.id, mark) == ["customer.subscription.deleted", "invoice.updated"]
    invoice = newest(sandbox, sub)
    assert (invoice.status, invoice.auto_advance, invoice.next_payment_attempt) == ("open", False, None)
    give_card(sandbox, customer.id, "pm_card_visa")
    assert sandbox.api.invoices.pay(invoice.id).status == "paid"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"


# 3.13, 3.20: a trial that ends with a bank debit


def test_a_trial_ends_with_a_debit_that_is_under_way(sandbox: Sandbox) -> None:
    """facts 3.13, 3.20: active before it is paid; processing until the bank answers by the wall clock."""
    customer = payer(sandbox, None)
    details: Any = {"name": "Bo", "email": "bo@example.com"}
    debit = sandbox.api.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}, "billing_details": details}
    )
    sandbox.api.payment_methods.attach(debit.id, {"customer": customer.id})
    sub = subscribe(
        sandbox,
        customer.id,
        sandbox.price(5000, currency="eur"),
        trial_period_days=7,
        default_payment_method=debit.id,
    )
    mark = sandbox.mark()
    sandbox.advance(customer.id, START + 7 * DAY + HOUR)
    eventually(lambda: newest(sandbox, sub).status == "paid", "the bank collects")
    assert told(sandbox, customer.id, mark) == [
        "customer.subscription.trial_will_end",
        UPDATED,
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "payment_intent.processing",
        "charge.pending",
        "invoice.updated",
        *PAID,
    ]
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    assert newest(sandbox, sub).attempt_count == 1


# 3.14: changes that are paid at once


def test_an_upgrade_that_needs_3d_secure_waits_and_is_made_when_it_is_paid(sandbox: Sandbox) -> None:
    """facts 3.14, 3.8: pending_update first, nothing changed; applied by the payment."""
    customer = payer(sandbox)
    cheap, dear = sandbox.price(5000), sandbox.price(10000)
    sub = subscribe(sandbox, customer.id, cheap)
    sandbox.advance(customer.id, HALFWAY)
    give_card(sandbox, customer.id, "pm_card_authenticationRequired")
    mark = sandbox.mark()
    sub = change(
        sandbox, sub, dear, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete"
    )
    assert told(sandbox, customer.id, mark) == [
        UPDATED,
        "invoiceitem.created",
        "invoiceitem.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "payment_intent.requires_action",
        "invoice.payment_action_required",
        "invoice.updated",
    ]
    assert set(previous(sandbox, customer.id, mark)) == {"pending_update", "latest_invoice"}
    assert (sub.status, sub.items.data[0].price.id) == ("active", cheap)
    invoice = newest(sandbox, sub)
    assert (invoice.attempt_count, invoice.amount_due, invoice.next_payment_attempt) == (0, 2500, None)
    give_card(sandbox, customer.id, "pm_card_visa")
    mark = sandbox.mark()
    sandbox.api.invoices.pay(invoice.id)
    assert told(sandbox, customer.id, mark) == [
        *PAID,
        UPDATED,
        "customer.subscription.pending_update_applied",
    ]
    assert set(previous(sandbox, customer.id, mark)) == {"items", "pending_update"}
    assert sandbox.api.subscriptions.retrieve(sub.id).items.data[0].price.id == dear


def test_a_pending_update_never_outlives_the_period_that_it_was_reckoned_in(sandbox: Sandbox) -> None:
    """facts 3.14: dropped with its invoice, and the renewal is at the old price."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    end = _end(sub)
    sandbox.advance(customer.id, end - 10 * HOUR)
    give_card(sandbox, customer.id, "pm_card_authenticationRequired")
    sub = change(
        sandbox,
        sub,
        sandbox.price(10000),
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )
    assert sub.pending_update
    assert sub.pending_update.expires_at == end
    dropped = str(sub.latest_invoice)
    give_card(sandbox, customer.id, "pm_card_visa")
    mark = sandbox.mark()
    sandbox.advance(customer.id, end + HOUR)
    assert told(sandbox, customer.id, mark)[:6] == [
        "payment_intent.canceled",
        "invoice.updated",
        "invoice.voided",
        "customer.subscription.pending_update_expired",
        UPDATED,
        "invoice.created",
    ]
    assert sandbox.api.invoices.retrieve(dropped).status == "void"
    sub = sandbox.api.subscriptions.retrieve(sub.id)
    assert sub.items.data[0].current_period_start == end
    assert newest(sandbox, sub).amount_paid == 5000


def test_a_plan_in_another_currency_is_prorated_in_that_currency(sandbox: Sandbox) -> None:
    """facts 1.2, 3.14: 40 and 80 euros, of prices whose own currency is the dollar."""

    def price(dollars: int, euros: int) -> str:
        params: Any = {
            "product": sandbox.api.products.create({"name": "Pro"}).id,
            "currency": "usd",
            "unit_amount": dollars,
            "recurring": {"interval": "month"},
            "currency_options": {"eur": {"unit_amount": euros}},
        }
        return str(sandbox.api.prices.create(params).id)

    sub = sandbox.subscriber(price=price(5000, 4000), currency="eur")
    assert (sub.currency, newest(sandbox, sub).amount_paid) == ("eur", 4000)
    change(sandbox, sub, price(10000, 8000), proration_date=sub.items.data[0].current_period_start)
    waiting = sandbox.api.invoice_items.list({"customer": str(sub.customer), "pending": True}).data
    assert sorted((item.amount, item.currency) for item in waiting) == [(-4000, "eur"), (8000, "eur")]
    with billing.refused(None, "items[0][price]"):
        change(sandbox, sub, sandbox.price(20000))


def test_refunding_a_change_leaves_the_change_and_its_invoice(sandbox: Sandbox) -> None:
    """facts 3.16: invoice.status stays paid, the subscription is untouched."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    sandbox.advance(customer.id, HALFWAY)
    dear = sandbox.price(10000)
    change(sandbox, sub, dear, proration_behavior="always_invoice")
    charge = next(each for each in sandbox.charges(customer.id) if each["amount"] == 2500)
    mark = sandbox.mark()
    sandbox.api.refunds.create({"charge": charge["id"], "amount": 1000})
    sandbox.api.refunds.create({"charge": charge["id"]})
    assert told(sandbox, customer.id, mark) == ["refund.created", "charge.refunded"] * 2
    refunded = [each for each in sandbox.events(mark, customer.id) if each["type"] == "charge.refunded"]
    assert [each["data"]["previous_attributes"]["amount_refunded"] for each in refunded] == [0, 1000]
    assert [each["data"]["object"]["refunded"] for each in refunded] == [False, True]
    assert "refunded" not in refunded[0]["data"]["previous_attributes"]
    invoice = newest(sandbox, sub)
    assert (invoice.status, invoice.amount_paid) == ("paid", 2500)
    assert sandbox.api.subscriptions.retrieve(sub.id).items.data[0].price.id == dear


def test_voiding_the_renewal_ends_its_dunning(sandbox: Sandbox) -> None:
    """facts 3.7, 3.15: the intent is canceled as void_invoice, the subscription is active, no retry follows."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    mark = sandbox.mark()
    sandbox.api.invoices.void_invoice(str(sub.latest_invoice))
    assert told(sandbox, customer.id, mark) == [
        "payment_intent.canceled",
        "invoice.updated",
        "invoice.voided",
        UPDATED,
    ]
    assert previous(sandbox, customer.id, mark) == {"status": "past_due"}
    mark = sandbox.mark()
    sandbox.advance(customer.id, sub.items.data[0].current_period_start + 20 * DAY)
    assert told(sandbox, customer.id, mark) == []


def test_forgiving_an_invoice_clears_its_customer_but_not_the_subscription(sandbox: Sandbox) -> None:
    """facts 1.1: delinquent is false after marking any invoice uncollectible, unless dunning did it."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    assert sandbox.api.customers.retrieve(customer.id).delinquent
    mark = sandbox.mark()
    sandbox.api.invoices.mark_uncollectible(str(sub.latest_invoice))
    assert told(sandbox, customer.id, mark) == [
        "invoice.updated",
        "invoice.marked_uncollectible",
        "customer.updated",
    ]
    assert previous(sandbox, customer.id, mark, "customer.updated") == {"delinquent": True}
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "past_due"


# 3.7 and its settings


@pytest.mark.parametrize("leaps", [1, 4])
def test_retries_come_at_the_same_times_however_the_clock_is_advanced(sandbox: Sandbox, leaps: int) -> None:
    """facts 3.7: 3, 3 and 5 days after each attempt."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    start = _end(sub)
    mark = sandbox.mark()
    for leap in range(1, leaps + 1):
        sandbox.advance(customer.id, start + leap * 20 * DAY // leaps)
    failed = [
        each["data"]["object"]
        for each in sandbox.events(mark, customer.id)
        if each["type"] == "invoice.payment_failed"
    ]
    first = start + HOUR
    planned = [each["next_payment_attempt"] for each in failed]
    assert planned == [first + 3 * DAY, first + 6 * DAY, first + 11 * DAY, None]
    assert [each["attempt_count"] for each in failed] == [1, 2, 3, 4]
    assert sandbox.api.subscriptions.retrieve(sub.id).ended_at == first + 11 * DAY


@pytest.mark.parametrize("end", ["cancel", "unpaid", "past_due"])
@pytest.mark.parametrize("final", ["leave", "uncollectible"])
def test_the_end_of_retries_is_told_once_whatever_the_account_chose(
    sandbox: Sandbox, end: str, final: str
) -> None:
    """facts 3.7, the end: (a) cancel, (b) unpaid, (c) past_due; and the invoice left open or marked."""
    customer = payer(sandbox)
    sub = subscribe(sandbox, customer.id)
    give_card(sandbox, customer.id, "pm_card_chargeCustomerFail")
    sub = renewed(sandbox, sub)
    first = sub.items.data[0].current_period_start + HOUR
    sandbox.advance(customer.id, first + 6 * DAY)
    mark = sandbox.mark()
    sandbox.control("settings", retry_end=end, final_invoice=final)
    try:
        sandbox.advance(customer.id, first + 11 * DAY)
    finally:
        sandbox.control("settings", retry_end="cancel", final_invoice="leave")
    last = {
        "cancel": ["customer.subscription.deleted", "invoice.updated"],
        "unpaid": ["invoice.updated", UPDATED],
        "past_due": ["invoice.updated"],
    }[end]
    marked = ["invoice.updated", "invoice.marked_uncollectible"] if final == "uncollectible" else []
    attempt = ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "invoice.updated"]
    assert told(sandbox, customer.id, mark) == [*attempt, *last, *marked]
    status = {"cancel": "canceled"}.get(end, end)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == status
    assert newest(sandbox, sub).status == ("uncollectible" if marked else "open")
    assert sandbox.api.customers.retrieve(customer.id).delinquent
    mark = sandbox.mark()
    sandbox.advance(customer.id, first + 20 * DAY)
    assert told(sandbox, customer.id, mark) == []


@pytest.mark.parametrize("days", ["soon", [0], [-1], [1.5], [True], None])
def test_what_is_no_list_of_days_is_no_schedule_of_retries(sandbox: Sandbox, days: Any) -> None:
    answer = sandbox.http(
        "POST", "/sandbox/settings", json.dumps({"retry_days": days}), {"Content-Type": "application/json"}
    )
    assert answer.status == 400


def test_without_retries_the_first_failure_is_the_last(sandbox: Sandbox) -> None:
    """facts 3.7: also where the shop made that first attempt itself."""
    sandbox.control("settings", retry_days=[])
    try:
        customer = billing.payer(sandbox, "pm_card_chargeCustomerFail")
        invoice = billing.draft(sandbox, customer, 2000, auto_advance=True)
        sandbox.api.invoices.finalize_invoice(invoice.id)
        with pytest.raises(stripe.CardError):
            sandbox.api.invoices.pay(invoice.id)
        assert sandbox.api.invoices.retrieve(invoice.id).next_payment_attempt is None
    finally:
        sandbox.control("settings", retry_days=[3, 3, 5])


# removal


def test_deleting_a_customer_ends_everything_but_what_the_bank_is_doing(sandbox: Sandbox) -> None:
    """facts 1.1, 3.11, 3.20: a schedule is aborted, an open invoice stays, a debit that is under way settles."""
    sandbox.control("settings", bank_debit_seconds=2)
    customer = payer(sandbox, None)
    details: Any = {"name": "Bo", "email": "bo@example.com"}
    debit = sandbox.api.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT321904300235473204"}, "billing_details": details}
    )
    sandbox.api.payment_methods.attach(debit.id, {"customer": customer.id})
    euros = sandbox.price(5000, currency="eur")
    sub = subscribe(sandbox, customer.id, euros, default_payment_method=debit.id)
    schedule = sandbox.api.subscription_schedules.create({"from_subscription": sub.id})
    mark = sandbox.mark()
    sandbox.api.customers.delete(customer.id)
    first = told(sandbox, customer.id, mark)[:4]
    assert first == [
        "customer.subscription.deleted",
        "invoice.updated",
        "subscription_schedule.aborted",
        "customer.deleted",
    ]
    sandbox.api.test_helpers.test_clocks.delete(str(customer.test_clock))
    eventually(lambda: sandbox.charges(customer.id)[0]["status"] == "succeeded", "the bank collects")
    sandbox.control("settings", bank_debit_seconds=180)
    assert sandbox.api.invoices.retrieve(str(sub.latest_invoice)).status == "paid"
    assert sandbox.api.subscription_schedules.retrieve(schedule.id).status == "canceled"
    after = told(sandbox, customer.id, mark)[4:]
    assert "customer.updated" not in after
    assert UPDATED not in after


# what holds for every event of the run


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from _keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


def test_no_event_shows_what_is_private(sandbox: Sandbox) -> None:
    customer = payer(sandbox)
    subscribe(sandbox, customer.id)
    events = sandbox.events()
    assert events
    assert [each["type"] for each in events if any(str(key).startswith("_") for key in _keys(each))] == []
