"""One-off purchases, refunds and disputes: as Stripe tells them, each with its effect once, in any order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing import grants, jobs, payments, refresh
from billing.clock import from_stripe, now
from billing.extensions import db
from billing.installation import public_id
from billing.models import Dispute, Grant, Notice, Payment, Refund, User
from billing.payloads import Object
from billing.standing import Policy, standing
from billing.syncing import Cause
from tests.admin_rows import audit_of, stripe_event
from tests.histories import History
from tests.histories import forget as forget_rows
from tests.story import DECLINED, GOOD, Shopper, apply_all, catch_up, config_of, count, events, shopper
from tests.support import make_user
from tests.told import START

DISPUTED = "4000000000000259"
WINNING = {"evidence": {"uncategorized_text": "winning_evidence"}}


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


def purchases(person: Shopper) -> list[Payment]:
    db.session.rollback()
    return db.session.query(Payment).filter_by(user_id=person.id).order_by(Payment.id).all()


def bought(person: Shopper, number: str = GOOD) -> Payment:
    """They buy 100 credits, and everything that follows is applied."""
    assert person.pay(person.buy(), number).status == 303
    catch_up(person.desk)
    return purchases(person)[-1]


def refund(person: Shopper, payment_intent: str, amount: int) -> None:
    person.sandbox.stripe.refunds.create({"payment_intent": payment_intent, "amount": amount})
    catch_up(person.desk)


def twice(person: Shopper) -> None:
    """Every delivery from now on comes twice, and each that was made before comes once more."""
    person.sandbox.control("trouble", delivery="twice")
    for event in events():
        jobs.run_again(db.session(), event.event_id)
    catch_up(person.desk)


def forget() -> None:
    """As if nothing of it had been heard of."""
    db.session.query(Dispute).delete()
    db.session.commit()
    forget_rows()


def ledger(person: Shopper) -> list[tuple[str, str]]:
    """What the invoices page says of each entry, newest first: its state and its amount."""
    page = person.get("/invoices").text
    rows = re.findall(r"<tr role=\"row\">(.*?)</tr>", page, re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    return [(words(one[3]), words(one[4])) for one in cells if one]


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def mailed(kind: str) -> list[tuple[str, str]]:
    """Every mail of this kind that has left: to whom, and which sum it names."""
    db.session.rollback()
    sent = db.session.query(Notice).filter_by(kind=kind, state="sent").order_by(Notice.id)
    return [(one.to, one.facts["amount"]) for one in sent]


def test_a_purchase_that_was_declined_and_given_up_is_canceled_by_its_own_event(desk: Flask) -> None:
    """An expired Session names no PaymentIntent that took nothing, so its event alone can’t bring the row there."""
    alice = shopper(desk)
    session_id = alice.buy()
    assert alice.pay(session_id, DECLINED).status == 422
    catch_up(desk)
    alice.sandbox.stripe.checkout.sessions.expire(session_id)
    catch_up(desk)
    assert [(one.status, one.fulfilled_at) for one in purchases(alice)] == [("canceled", None)]
    assert (ledger(alice), mailed("one_off_failed")) == ([], [])


def test_a_purchase_is_granted_and_receipted_once_and_only_when_stripe_has_the_money(desk: Flask) -> None:
    alice = shopper(desk)
    session_id = alice.buy()
    assert alice.pay(session_id, DECLINED).status == 422
    catch_up(desk)
    assert [(one.status, one.fulfilled_at) for one in purchases(alice)] == [("requires_payment_method", None)]
    assert ledger(alice) == []
    assert alice.pay(session_id).status == 303
    catch_up(desk)
    [row] = purchases(alice)
    assert (row.product, row.status, row.amount, row.currency) == ("credits-100", "succeeded", 1500, "eur")
    granted = row.fulfilled_at
    assert granted is not None
    twice(alice)
    [row] = purchases(alice)
    assert row.fulfilled_at == granted
    assert mailed("one_off_receipt") == [(alice.email, "€15.00")]
    assert ledger(alice) == [("Paid", "€15.00")]
    assert "100 credits" in alice.get("/billing").text
    assert alice.standing.code == "none"  # a purchase is no plan
    [*_, entry] = audit_of(db.session(), "payment.status")
    assert (entry.after or {})["status"] == "succeeded"


def test_each_refund_of_a_purchase_is_shown_and_mailed_once_with_its_own_amount(desk: Flask) -> None:
    alice = shopper(desk)
    row = bought(alice)
    refund(alice, row.payment_intent, 500)
    [paid] = purchases(alice)
    assert (paid.amount_refunded, paid.refunded_at is not None) == (500, True), (
        "the day of the entry of its own"
    )
    assert ledger(alice) == [("Refund", "-€5.00"), ("Partly refunded", "€15.00")], "an entry of its own"
    assert grants.balance(db.session(), alice.id) == 67
    twice(alice)
    refund(alice, row.payment_intent, 1000)
    twice(alice)
    assert [one.amount_refunded for one in purchases(alice)] == [1500]
    assert ledger(alice) == [("Refund", "-€15.00"), ("Refunded", "€15.00")]
    assert [one.amount for one in db.session.query(Grant).order_by(Grant.id)] == [100, -33, -67]
    assert mailed("refund") == [(alice.email, "€5.00"), (alice.email, "€10.00")]
    assert [(one.before, one.after) for one in audit_of(db.session(), "refund")] == [
        ({"amount_refunded": 0}, {"amount_refunded": 500}),
        ({"amount_refunded": 500}, {"amount_refunded": 1500}),
    ]


def test_a_refund_of_a_plans_payment_marks_its_invoice_and_takes_nothing_away(desk: Flask) -> None:
    alice = shopper(desk)
    alice.has()
    [invoice] = alice.invoices
    refund(alice, invoice.payment_intent or "", 900)
    assert ledger(alice) == [("Partly refunded", "€29.00")]
    refund(alice, invoice.payment_intent or "", 2000)
    twice(alice)
    [invoice] = alice.invoices
    assert (invoice.status, invoice.amount_paid, invoice.amount_refunded) == ("paid", 2900, 2900)
    assert ledger(alice) == [("Refunded", "€29.00")]
    assert mailed("refund") == [(alice.email, "€9.00"), (alice.email, "€20.00")]
    assert (alice.standing.code, alice.standing.access) == ("active", True)
    assert purchases(alice) == []


def test_a_dispute_is_recorded_told_to_each_admin_once_and_holds_access_as_the_policy_says(
    desk: Flask,
) -> None:
    admins = [make_user(db.session(), f"{name}@example.com", is_admin=True).email for name in ("ada", "bea")]
    alice = shopper(desk)
    alice.subscribe(number=DISPUTED)
    twice(alice)
    [row] = db.session.query(Dispute)
    assert (row.user_id, row.status, row.reason) == (alice.id, "needs_response", "fraudulent")
    assert (row.amount, row.currency, row.payment_intent) == (2900, "eur", alice.invoices[0].payment_intent)
    there = alice.sandbox.stripe.disputes.retrieve(row.stripe_id)
    assert row.due_by == from_stripe(there.evidence_details.due_by)
    assert sorted(mailed("admin_dispute")) == [(admin, "€29.00") for admin in admins]
    assert (alice.standing.code, alice.standing.access) == ("disputed", True)
    strict = standing(alice.standing.facts, Policy(hold_while_disputed=True), now())
    assert (strict.code, strict.access) == ("disputed_hold", False)
    alice.sandbox.stripe.disputes.update(row.stripe_id, WINNING)
    catch_up(desk)
    twice(alice)
    assert [one.status for one in db.session.query(Dispute)] == ["won"]
    assert alice.standing.code == "active"
    assert sorted(mailed("admin_dispute")) == sorted([(admin, "€29.00") for admin in admins] * 2)
    assert mailed("refund") == []
    assert len(audit_of(db.session(), "dispute.status")) == 2


def test_in_whatever_order_and_however_often_it_comes_to_the_same_rows_and_mails(desk: Flask) -> None:
    make_user(db.session(), "ada@example.com", is_admin=True)
    history, alice = History(desk), shopper(desk)
    stripe, told = alice.sandbox.stripe, list[Object]()

    def tell() -> None:
        told.extend(new := history.news())
        history.deliver(new)
        apply_all()

    for choose, number in ((alice.order, GOOD), (alice.buy, GOOD), (alice.buy, DISPUTED)):
        assert alice.pay(choose(), number).status == 303
        tell()
    first, second = (one.payment_intent for one in purchases(alice))
    plan = alice.invoices[0].payment_intent or ""
    for intent, amount in ((first, 500), (first, 300), (plan, 2900)):
        stripe.refunds.create({"payment_intent": intent, "amount": amount})
    stripe.disputes.close(db.session.query(Dispute).one().stripe_id)
    tell()
    assert money(alice) == {first: 800, second: 0, plan: 2900, "disputes": ["lost"]}
    expected = None
    payments_first = sorted(
        told, key=lambda event: not event["type"].startswith(("charge.", "payment_intent."))
    )
    for order in (told, told[::-1], payments_first):
        forget()
        for event in order:
            history.deliver([event, event])
            apply_all()
        found = (money(alice), sorted(key for (key,) in db.session.query(Notice.dedupe_key)))
        expected = expected or found
        assert found == expected
    assert [event["type"] for event in told].count("charge.refunded") == 3


def money(person: Shopper) -> dict[str, Any]:
    """What was refunded of each payment, and where each dispute stands."""
    refunded = {one.payment_intent: one.amount_refunded for one in (*purchases(person), *person.invoices)}
    return {**refunded, "disputes": [one.status for one in db.session.query(Dispute)]}


def intent(user: User, session: Session, **changes: Any) -> Object:
    """A PaymentIntent of our one-off purchase, as the API gives it."""
    return {
        "id": "pi_1", "object": "payment_intent", "customer": user.stripe_customer_id, "status": "succeeded",
        "amount": 1500, "currency": "eur", "created": START, "latest_charge": {"amount_refunded": 0},
        "metadata": {"plan": "credits-100", "installation": public_id(session)}, **changes,
    }  # fmt: skip


def write(session: Session, found: Object) -> str | None:
    """Write it as the job does. Why it was ignored, if it was."""
    cause = Cause(stripe_event(session).event_id, 1, public_id(session), now())
    outcome = payments.write_payment(session, payments.FetchedPayment(found, None), cause)
    session.commit()
    return outcome.ignored


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def test_no_state_but_succeeded_grants_anything(db_session: Session, alice: User) -> None:
    waiting = ("requires_payment_method", "requires_action", "processing", "canceled", "a_word_of_tomorrow")
    for status in waiting:
        assert write(db_session, intent(alice, db_session, status=status)) is None
        [row] = db_session.query(Payment)
        assert (row.status, row.fulfilled_at) == (status, None)
    assert count(Notice) == 0


def test_what_is_somebody_elses_or_no_purchase_of_ours_leaves_no_row(
    db_session: Session, alice: User
) -> None:
    for strange in (
        {"customer": "cus_of_nobody"},
        {"customer": None},
        {"metadata": {"plan": "credits-100", "installation": "another"}},
        {"metadata": {}},
        {"id": None},
    ):
        assert write(db_session, intent(alice, db_session, **strange)), strange
    cause = Cause(stripe_event(db_session).event_id, 1, public_id(db_session), now())
    for charge in ({"customer": "cus_of_nobody"}, "ch_not_expanded", None):
        assert payments.write_dispute(db_session, {"id": "du_1", "charge": charge}, cause).ignored
    assert count(Payment) == count(Dispute) == count(Notice) == 0


def test_a_refund_that_failed_is_taken_back_from_the_row_and_told_to_the_person_and_the_admins(
    db_session: Session, alice: User
) -> None:
    make_user(db_session, "ada@example.com", is_admin=True)
    for refunded, status in ((0, None), (500, "succeeded"), (0, "failed"), (0, "failed")):
        refund = {"id": "re_1", "amount": 500, "currency": "eur", "created": START, "status": status}
        charge = {"amount_refunded": refunded, "refunds": {"data": [refund] if status else []}}
        write(db_session, intent(alice, db_session, latest_charge=charge))
        assert db_session.query(Payment).one().amount_refunded == refunded
    assert [one.status for one in db_session.query(Refund)] == ["failed"]
    keys = {key for (key,) in db_session.query(Notice.dedupe_key)}
    assert {"refund:re_1:succeeded", "refund:re_1:failed"} < keys
    kinds = [kind for (kind,) in db_session.query(Notice.kind).order_by(Notice.id)]
    assert kinds == ["one_off_receipt", "refund", "refund_failed", "admin_alert"]


def test_what_was_refunded_before_there_were_rows_of_refunds_is_recorded_and_told_to_nobody_again(
    db_session: Session, alice: User
) -> None:
    """The release before had counted 500 of it and mailed that; 300 more went back while we were updated."""
    before, since = (
        {"id": f"re_{amount}", "amount": amount, "currency": "eur", "created": at, "status": "succeeded"}
        for amount, at in ((500, START), (300, START + 60))
    )
    write(db_session, intent(alice, db_session, latest_charge={"amount_refunded": 500}))
    charge = {"amount_refunded": 800, "refunds": {"data": [since, before]}}
    write(db_session, intent(alice, db_session, latest_charge=charge))
    assert {one.stripe_id for one in db_session.query(Refund)} == {"re_500", "re_300"}
    keys = [key for (key,) in db_session.query(Notice.dedupe_key).filter_by(kind="refund")]
    assert keys == ["refund:re_300:succeeded"]


@pytest.mark.parametrize("lost", [False, True])
def test_what_a_customer_paid_who_was_deleted_at_stripe_can_still_be_given_back(
    desk: Flask, lost: bool
) -> None:
    """What they bought is theirs, whoever they are at Stripe since; an event that is lost is made up for."""
    alice = shopper(desk)
    paid, old = bought(alice), alice.customer
    alice.sandbox.stripe.customers.delete(old)
    catch_up(alice.desk)
    assert alice.pay(alice.buy()).status == 303
    catch_up(alice.desk)
    assert alice.customer != old
    assert grants.balance(db.session(), alice.id) == 200
    if lost:
        alice.sandbox.control("trouble", delivery="drop")
    refund(alice, paid.payment_intent, paid.amount)
    if lost:
        assert purchases(alice)[0].amount_refunded == 0
        refresh.everything(db.session(), config_of(alice.desk), full=True)
    assert [one.amount_refunded for one in purchases(alice)] == [paid.amount, 0]
    assert grants.balance(db.session(), alice.id) == 100
    assert count(Refund, user_id=alice.id, status="succeeded") == 1
