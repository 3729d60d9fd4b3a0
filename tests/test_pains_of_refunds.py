"""Pain 24: money that goes back, is contested or was stolen. Nobody is paid back twice, too much, or without a word."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from billing import money, outbox, refunding, timetable, writes
from billing.clock import now
from billing.errors import StripeRefused
from billing.extensions import db
from billing.installation import public_id
from billing.models import AuditEntry, Dispute, FraudWarning, Notice, Payment, Refund, StripeWrite
from billing.payloads import Object
from tests.histories import History, cursor_at, everything, forget
from tests.registry import sweep
from tests.story import DAY, GOOD, Shopper, apply_all, catch_up, config_of, count, fresh, shopper
from tests.test_leaving import hidden, words

DISPUTED, INQUIRY, WARNED = "4000000000000259", "4000000000001976", "4000000000005423"
PENDING, BOUNCES = "4000000000007726", "4000000000005126"
LOSING = {"evidence": {"uncategorized_text": "losing_evidence"}}


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


@pytest.fixture
def admin(desk: Flask) -> Shopper:
    return shopper(desk, "admin@example.com", is_admin=True)


def settings(desk: Flask, **changed: str) -> None:
    desk.extensions["config"] = replace(config_of(desk), **changed)


def bought(person: Shopper, number: str = GOOD) -> str:
    """They buy 100 credits for €15.00; the PaymentIntent."""
    assert person.pay(person.buy(), number).status == 303
    catch_up(person.desk)
    return str(
        db.session.query(Payment).filter_by(user_id=person.id).order_by(Payment.id.desc())[0].payment_intent
    )


def paid(person: Shopper, amount: int, currency: str) -> str:
    """They pay this much once; the PaymentIntent."""
    return str(
        person.sandbox.stripe.payment_intents.create(
            {
                "amount": amount,
                "currency": currency,
                "customer": person.customer,
                "payment_method": "pm_card_visa",
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": {"plan": "credits-100", "installation": public_id(db.session())},
            }
        )["id"]
    )


def intents_of(person: Shopper) -> list[str]:
    return [
        one["id"] for one in person.sandbox.stripe.payment_intents.list({"customer": person.customer})["data"]
    ]


def at(intent: str) -> str:
    return f"/admin/payments/{intent}/refund"


def page(admin: Shopper, intent: str, amount: str, reason: str = "requested_by_customer") -> Any:
    """What the page says of giving this much back."""
    return admin.client.get(at(intent), query_string={"amount": amount, "reason": reason})


def press(admin: Shopper, intent: str, opened: Any) -> Any:
    assert opened.status_code == 200, words(opened.text)
    return admin.post(at(intent), note="they asked", **hidden(opened.text))


def back_at_stripe(person: Shopper, intent: str) -> list[int]:
    found = person.sandbox.stripe.refunds.list({"payment_intent": intent})["data"]
    return sorted(one["amount"] for one in found if one["status"] != "failed")


def rows(intent: str) -> list[tuple[int, str]]:
    db.session.rollback()
    found = db.session.query(Refund).filter_by(payment_intent=intent).order_by(Refund.amount)
    return [(one.amount, one.status) for one in found]


def keys(kind: str) -> list[str]:
    db.session.rollback()
    return sorted(key for (key,) in db.session.query(Notice.dedupe_key).filter_by(kind=kind))


def in_every_order(history: History, told: list[Object], ends: Callable[[], Any]) -> Any:
    """Deliver what was told last, in each order, each twice; every order must end alike."""
    found: list[Any] = []
    for order in itertools.islice(itertools.permutations(told), 24):
        db.session.query(Dispute).delete()
        db.session.query(StripeWrite).filter_by(operation="subscription.cancel").delete()
        db.session.commit()
        forget()
        for event in order:
            history.deliver([event, event])
            apply_all()
        found.append(ends())
    assert all(one == found[0] for one in found), found
    return found[0]


AMOUNTS = [
    ("eur", 2900, "12.50", 1250, "€16.50", ("12.505", "29.01", "0", "-1", "1,50", "", "1e2", "٣", "5.")),
    ("jpy", 2900, "1250", 1250, "¥1,650", ("12.5", "2901", "1250.0")),
    ("kwd", 25000, "2.5", 2500, "KWD 22.500", ("2.505", "2.5000", "25.01")),
    ("isk", 290000, "1250", 125000, "ISK 1,650", ("12.5", "1250.00", "2901")),
]


def test_an_admin_gives_back_what_they_typed_to_the_unit_of_its_currency_and_never_more(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    bought(alice)  # so that she is a customer
    for currency, amount, typed, minor, left, wrong in AMOUNTS:
        intent = paid(alice, amount, currency)
        catch_up(desk)
        for text in wrong:
            answer = page(admin, intent, text)
            assert (answer.status_code, "aria-invalid" in answer.text) == (422, True), (currency, text)
        said = money.format_money(minor, currency)
        opened = page(admin, intent, typed)
        this = f"This will give {said} of {money.format_money(amount, currency)} back"
        assert this.replace("\u00a0", " ") in words(opened.text)
        assert press(admin, intent, opened).status_code == 303
        assert rows(intent) == [], "an answer to our own call is no state"
        assert "Asked for" in words(admin.get(at(intent)).text)
        catch_up(desk)
        assert rows(intent) == [(minor, "succeeded")]
        assert back_at_stripe(alice, intent) == [minor]
        assert f"Left {left}" in words(admin.get(at(intent)).text)
        refund = db.session.query(Refund).filter_by(payment_intent=intent).one()
        [mail] = db.session.query(Notice).filter_by(dedupe_key=f"refund:{refund.stripe_id}:succeeded")
        assert (mail.to, mail.state, mail.facts["amount"]) == (alice.email, "sent", said)
    entries = db.session.query(AuditEntry).filter_by(kind="refund.asked")
    assert [one.after["amount"] for one in entries.order_by(AuditEntry.id)] == [one[3] for one in AMOUNTS]
    assert {one.actor for one in entries} == {f"admin:{admin.id}"}


def test_an_admin_who_presses_twice_in_two_tabs_or_beside_the_dashboard_pays_back_once(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    alice.subscribe()
    intent = alice.invoices[0].payment_intent or ""
    tab, other_tab = page(admin, intent, "20.00"), page(admin, intent, "20.00")
    for _ in range(2):
        assert press(admin, intent, tab).status_code == 303
    assert press(admin, intent, other_tab).status_code == 409
    assert back_at_stripe(alice, intent) == [2000]
    assert page(admin, intent, "9.01").status_code == 422, "what was asked for is no longer left"
    catch_up(desk)
    tab = page(admin, intent, "9.00")
    alice.sandbox.stripe.refunds.create({"payment_intent": intent, "amount": 500})  # in the dashboard
    answer = press(admin, intent, tab)
    assert (answer.status_code, "changed while this page was open" in answer.text) == (409, True)
    assert back_at_stripe(alice, intent) == [500, 2000]
    # Two that are sent in the same moment: Stripe takes the one that fits.
    both = [
        refunding.request(f"refund:{intent}:{name}", intent, alice.id, "duplicate", 300)
        for name in ("a", "b")
    ]
    db.session.rollback()
    writes.perform(db.session(), both[0])
    with pytest.raises(StripeRefused):
        writes.perform(db.session(), both[1])
    catch_up(desk)
    assert sum(back_at_stripe(alice, intent)) == 2800
    assert alice.invoices[0].amount_refunded == 2800
    assert page(admin, intent, "1.00").status_code == 200
    assert press(admin, intent, page(admin, intent, "1.00")).status_code == 303
    catch_up(desk)
    assert "Everything that was paid has gone back already" in admin.get(at(intent)).text
    assert press_anyway(admin, intent).status_code in (409, 422)
    assert sum(back_at_stripe(alice, intent)) == 2900
    assert [one for one in keys("refund") if not one.endswith(":succeeded")] == []
    assert alice.standing.access, "a refund alone ends no plan"


def press_anyway(admin: Shopper, intent: str) -> Any:
    form = {"amount": "1.00", "reason": "duplicate", "note": "x", "seen": "2900", "once": "o" * 22}
    return admin.post(at(intent), **form)


def test_nobody_is_paid_back_on_top_of_a_dispute_whoever_asks_and_whenever_we_hear_of_it(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    history = History(desk)
    assert alice.pay(alice.buy(), DISPUTED).status == 303
    told = history.news()
    disputes = [one for one in told if one["type"].startswith("charge.dispute.")]
    history.deliver(one for one in told if one not in disputes)
    apply_all()
    intent = db.session.query(Payment).one().payment_intent
    opened = page(admin, intent, "15.00")  # our rows know of no dispute yet
    answer = press(admin, intent, opened)
    assert (answer.status_code, "This payment is disputed" in answer.text) == (409, True)
    for name in ("second-refund:in_1", "efw-refund:issfr_1"):
        with pytest.raises(StripeRefused) as refused:
            writes.perform(db.session(), refunding.request(name, intent, alice.id, "duplicate"))
        assert refused.value.code == "charge_disputed"
    history.deliver(disputes)
    apply_all()
    assert "This payment is disputed" in admin.get(at(intent)).text
    assert page(admin, intent, "15.00").status_code == 200
    assert "Refund it" not in page(admin, intent, "15.00").text
    assert press_anyway(admin, intent).status_code == 409
    assert back_at_stripe(alice, intent) == []
    states = {row.state for row in db.session.query(StripeWrite).filter_by(operation="refund.create")}
    assert states == {"failed"}
    assert sweep() == 0


def test_a_refund_that_the_bank_sends_back_is_owed_again_and_told_however_its_events_come(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    intent = bought(alice, BOUNCES)
    press(admin, intent, page(admin, intent, "15.00"))
    catch_up(desk)
    assert (fresh(Payment, 1).amount_refunded, rows(intent)) == (1500, [(1500, "succeeded")])
    history = History(desk)
    alice.sandbox.control(f"customers/{alice.customer}/advance", to=int(now().timestamp()) + 2 * DAY)
    told = [one for one in history.news() if "refund" in one["type"]]
    assert {"refund.failed", "refund.updated"} <= {one["type"] for one in told}
    history.deliver([told[-1], *told, told[0]])
    apply_all()
    outbox.send_due(db.session(), config_of(desk))
    assert (fresh(Payment, 1).amount_refunded, rows(intent)) == (0, [(1500, "failed")])
    assert "Left €15.00" in words(admin.get(at(intent)).text)
    assert [one.partition(":")[0] for one in keys("refund_failed")] == ["refund"]
    assert count(Notice, kind="refund_failed", state="sent", user_id=alice.id) == 1
    assert count(Notice, kind="admin_alert") == 1


def test_the_events_of_a_refund_that_failed_end_alike_in_all_their_orders_and_in_any_number(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    history = History(desk)
    assert alice.pay(alice.buy(), BOUNCES).status == 303
    [intent] = intents_of(alice)
    for amount in (400, 600):
        alice.sandbox.stripe.refunds.create({"payment_intent": intent, "amount": amount})
    alice.sandbox.control(f"customers/{alice.customer}/advance", to=int(now().timestamp()) + 2 * DAY)
    told = [one for one in history.news() if one["type"].startswith(("refund.", "charge.refunded"))]
    names = ("refund.created", "charge.refunded", "refund.failed")
    chosen = [next(one for one in told if one["type"] == name) for name in names]

    def ends() -> Any:
        row = db.session.query(Payment).one()
        return row.status, row.amount_refunded, rows(intent), keys("refund"), len(keys("refund_failed"))

    both = [(400, "failed"), (600, "failed")]
    assert in_every_order(history, chosen, ends) == ("succeeded", 0, both, [], 2)


def test_a_refund_that_is_pending_is_not_called_done_and_is_told_once_it_is(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    intent = bought(alice, PENDING)
    press(admin, intent, page(admin, intent, "5.00"))
    catch_up(desk)
    assert rows(intent) == [(500, "pending")]
    assert "Of these, pending €5.00" in words(admin.get(at(intent)).text)
    assert keys("refund") == []
    alice.advance_by(2 * DAY)
    assert rows(intent) == [(500, "succeeded")]
    assert count(Notice, kind="refund", state="sent") == 1


def test_a_dispute_that_is_lost_ends_the_plan_by_policy_once_in_whatever_order_it_is_heard_of(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    settings(desk, on_dispute_lost="end")
    history = History(desk)
    assert alice.pay(alice.order(), DISPUTED).status == 303
    [intent] = intents_of(alice)
    [dispute] = alice.sandbox.stripe.disputes.list({"payment_intent": intent})["data"]
    alice.sandbox.stripe.disputes.update(dispute["id"], LOSING)
    told = history.news()
    contested = [one for one in told if one["type"].startswith("charge.dispute.")]
    last = [contested[0], contested[-1], next(one for one in told if one["type"] == "invoice.paid")]

    def ends() -> Any:
        row = db.session.query(Dispute).one()
        names = [
            name for (name,) in db.session.query(StripeWrite.name).filter_by(operation="subscription.cancel")
        ]
        return row.status, row.funds, names, keys("admin_dispute")

    found = in_every_order(history, last, ends)
    assert found == (
        "lost",
        "withdrawn",
        [f"dispute-cancel:{dispute['id']}"],
        [f"dispute:{dispute['id']}:lost:{admin.id}"],
    )
    history.deliver(told)
    apply_all()
    sweep()
    catch_up(desk)
    history.deliver(history.news())
    apply_all()
    assert alice.row.status == "canceled"
    assert back_at_stripe(alice, alice.invoices[0].payment_intent or "") == []


def test_admins_hear_when_a_dispute_opens_is_nearly_too_late_and_is_decided_and_the_plan_goes_on_by_default(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    alice.subscribe(number=DISPUTED)
    [row] = db.session.query(Dispute)
    assert (row.status, row.funds) == ("needs_response", "withdrawn")
    listed = words(admin.get("/admin/disputes?state=answer").text)
    assert "1 dispute" in listed
    assert alice.email in listed
    one = admin.get(f"/admin/disputes/{row.stripe_id}").text
    assert "It must be answered by" in one
    assert "with the bank" in one
    assert f"/admin/disputes/{row.stripe_id}" in admin.get(f"/admin/subscribers/{alice.id}").text
    deadline = next(duty for duty in timetable.duties() if duty.name == "deadlines")
    deadline.work(db.session(), config_of(desk))
    assert len(keys("admin_dispute")) == 1, "nine days are left"
    for _ in range(2):
        db.session.execute(update(Dispute).values(due_by=now() + timedelta(days=2)))
        db.session.commit()
        deadline.work(db.session(), config_of(desk))
    name = f"dispute:{row.stripe_id}"
    assert keys("admin_dispute") == [f"{name}:due:{admin.id}", f"{name}:opened:{admin.id}"]
    alice.sandbox.stripe.disputes.update(row.stripe_id, LOSING)
    catch_up(desk)  # decided before that mail left
    states = dict(db.session.query(Notice.dedupe_key, Notice.state).filter_by(kind="admin_dispute").all())
    assert states == {
        f"{name}:opened:{admin.id}": "sent",
        f"{name}:due:{admin.id}": "obsolete",
        f"{name}:lost:{admin.id}": "sent",
    }
    assert alice.row.status == "active"
    assert count(StripeWrite, operation="subscription.cancel") == 0


def test_an_inquiry_is_called_one_moves_no_money_and_its_end_lets_money_go_back_again(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    intent = bought(alice, INQUIRY)
    [row] = db.session.query(Dispute)
    assert (row.status, row.funds) == ("warning_needs_response", None)
    assert "the bank has taken none" in admin.get(f"/admin/disputes/{row.stripe_id}").text
    assert "This payment is disputed" in admin.get(at(intent)).text
    alice.sandbox.stripe.disputes.close(row.stripe_id)
    catch_up(desk)
    name = f"dispute:{row.stripe_id}"
    assert keys("admin_dispute") == [f"{name}:inquiry:{admin.id}", f"{name}:warning_closed:{admin.id}"]
    assert press(admin, intent, page(admin, intent, "15.00")).status_code == 303
    catch_up(desk)
    assert rows(intent) == [(1500, "succeeded")]


def test_a_fraud_warning_is_told_to_the_admins_and_by_default_costs_nobody_anything(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    alice.subscribe(number=WARNED)
    catch_up(desk)
    [row] = db.session.query(FraudWarning)
    intent = alice.invoices[0].payment_intent or ""
    assert (row.actionable, row.amount, row.payment_intent) == (True, 2900, intent)
    assert keys("admin_fraud_warning") == [f"efw:{row.stripe_id}:{admin.id}"]
    assert count(Notice, kind="admin_fraud_warning", state="sent") == 1
    assert (alice.row.status, back_at_stripe(alice, intent)) == ("active", [])
    assert at(intent) in admin.get("/admin/disputes").text
    press(admin, intent, page(admin, intent, "29.00", "fraudulent"))
    catch_up(desk)
    assert fresh(FraudWarning, row.id).actionable is False
    assert len(keys("admin_fraud_warning")) == 1


def test_by_policy_a_fraud_warning_pays_back_what_is_left_once_and_ends_the_plan(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    settings(desk, on_fraud_warning="refund")
    history = History(desk)
    assert alice.pay(alice.order(), WARNED).status == 303
    [intent] = intents_of(alice)
    alice.sandbox.stripe.refunds.create({"payment_intent": intent, "amount": 900})
    told = history.news()
    warned = [one for one in told if one["type"].startswith("radar.")]
    for event in (*warned, *warned, *told[::-1], *warned):  # before all that we know of the plan
        history.deliver([event])
        apply_all()
    [row] = db.session.query(FraudWarning)
    names = [name for (name,) in db.session.query(StripeWrite.name).filter(StripeWrite.name.like("efw-%"))]
    assert sorted(names) == [f"efw-cancel:{row.stripe_id}", f"efw-refund:{row.stripe_id}"]
    for _ in range(2):
        sweep()
        history.deliver(history.news())
        apply_all()
    assert back_at_stripe(alice, intent) == [900, 2000]
    assert rows(intent) == [(900, "succeeded"), (2000, "succeeded")]
    assert (alice.row.status, alice.invoices[0].amount_refunded) == ("canceled", 2900)
    assert len(keys("refund")) == 2
    assert fresh(FraudWarning, row.id).actionable is False


def test_what_nobody_told_us_of_refunds_and_warnings_is_found_by_the_next_pass(
    desk: Flask, alice: Shopper, admin: Shopper
) -> None:
    alice.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    intent = alice.invoices[0].payment_intent or ""
    alice.sandbox.stripe.refunds.create({"payment_intent": intent, "amount": 700})
    assert alice.pay(alice.buy(), WARNED).status == 303
    cursor_at(DAY)  # no event of it is found either
    everything(alice)
    assert rows(intent) == [(700, "succeeded")]
    assert alice.invoices[0].amount_refunded == 700
    assert [one.amount for one in db.session.query(FraudWarning)] == [1500]
    assert (len(keys("refund")), len(keys("admin_fraud_warning"))) == (1, 1)
    db.session.execute(update(Refund).values(status="failed", amount=1))
    db.session.execute(update(FraudWarning).values(actionable=False))
    db.session.commit()
    everything(alice)
    assert rows(intent) == [(700, "succeeded")]
    assert db.session.query(FraudWarning).one().actionable
    assert everything(alice) == (0, 0)
