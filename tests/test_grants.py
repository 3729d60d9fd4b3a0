"""What was bought once is given once and taken back once: in any order, with any currency, to the unit."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing import access, grants, mirrors, payments
from billing.clock import now
from billing.extensions import db
from billing.installation import public_id
from billing.models import CheckoutSession, Dispute, Grant, Notice, Payment, StripeWrite, User
from billing.payloads import Object
from billing.syncing import Cause
from tests import admin_rows as rows
from tests.story import count
from tests.support import make_user, sign_in
from tests.told import START

# Of each class of currency: with cents, without, with three decimals, and whole though written with two.
PRICES = {"eur": (1500, 1), "jpy": (2400, 1), "kwd": (4990, 10), "isk": (249900, 100)}


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def intent(currency: str = "eur", refunded: int = 0, status: str = "succeeded", **changes: Any) -> Object:
    """A PaymentIntent of 500 credits and a feature for life, as the API gives it."""
    return {
        "id": f"pi_{currency}", "object": "payment_intent", "customer": "cus_alice", "status": status,
        "amount": PRICES[currency][0], "currency": currency, "created": START,
        "latest_charge": {"amount_refunded": refunded},
        "metadata": {"plan": "pack", "credits": "500", "gives": "reports,api",
                     "installation": public_id(db.session())}, **changes,
    }  # fmt: skip


def tell(session: Session, found: Object) -> None:
    """Write it as the job does."""
    cause = Cause(rows.stripe_event(session).event_id, 1, public_id(session), now())
    payments.write_payment(session, payments.FetchedPayment(found, None), cause)
    session.commit()


def has(session: Session, user: User) -> tuple[int, set[str]]:
    session.rollback()
    held = grants.held(session, user.id)
    return held.credits, set(held.features)


def entries(session: Session, feature: str = grants.CREDITS) -> list[tuple[str, int]]:
    session.rollback()
    found = session.query(Grant).filter_by(feature=feature).order_by(Grant.id)
    return [(one.kind, one.amount) for one in found]


ALL = (500, {"reports", "api"})


@pytest.mark.parametrize("currency", PRICES)
def test_a_refund_takes_back_its_share_of_the_credits_in_each_class_of_currency_to_the_unit(
    db_session: Session, alice: User, currency: str
) -> None:
    amount, step = PRICES[currency]
    tell(db_session, intent(currency))
    assert has(db_session, alice) == ALL
    for refunded in (step, amount // 3 // step * step, amount // 2 // step * step, amount - step):
        tell(db_session, intent(currency, refunded))
        kept, features = has(db_session, alice)
        exact = 500 * (amount - refunded)
        assert (exact <= kept * amount < exact + amount, features) == (True, ALL[1]), (
            "never less than was paid for"
        )
    row = db_session.query(Payment).one()
    assert (row.amount, row.amount_refunded, row.currency) == (amount, amount - step, currency)
    tell(db_session, intent(currency, amount))
    assert has(db_session, alice) == (0, set())
    assert entries(db_session, "reports") == [("granted", 1), ("taken_back", -1)]


def test_every_order_and_every_repetition_of_what_stripe_may_say_ends_at_what_it_says_last(
    db_session: Session, alice: User
) -> None:
    """Whatever is looked at between, the last look decides; and an event that comes again changes nothing."""
    states = [
        intent(status="processing"),
        intent(),
        intent(refunded=500),
        intent(refunded=1500),
    ]
    wanted = [(0, set()), ALL, (334, ALL[1]), (0, set())]
    for order in itertools.permutations(range(4)):
        for number in (*order, order[-1]):
            tell(db_session, states[number])
            assert has(db_session, alice) == wanted[number], order
        mails = sorted(kind for (kind,) in db_session.query(Notice.kind))
        assert mails.count("one_off_receipt") <= 1
        for model in (Grant, Notice, Payment):
            db_session.execute(delete(model))
        db_session.commit()


def test_a_refund_that_fails_later_gives_back_and_a_lost_dispute_takes_everything_whichever_is_told_first(
    db_session: Session, alice: User
) -> None:
    for refunded in (0, 1500, 0):
        tell(db_session, intent(refunded=refunded))
    assert entries(db_session) == [("granted", 500), ("taken_back", -500), ("given_back", 500)]
    for name, status in (("jpy", "lost"), ("kwd", "won"), ("isk", "needs_response")):
        rows.dispute(db_session, alice, payment_intent=f"pi_{name}", status=status)
        tell(db_session, intent(name))
    assert {one.payment_intent for one in db_session.query(Grant)} == {"pi_eur", "pi_kwd", "pi_isk"}
    lost = db_session.query(Dispute).filter_by(payment_intent="pi_isk").one()
    lost.status = "lost"
    cause = Cause(lost.cause_event_id, 1, "", now())
    for _ in range(2):
        grants.settle_intent(db_session, "pi_isk", cause)
        grants.settle_intent(db_session, "pi_of_a_plan", cause)
    db_session.commit()
    assert has(db_session, alice)[0] == 1000
    assert [one.amount for one in db_session.query(Grant).filter_by(payment_intent="pi_isk", feature="")] == [
        500,
        -500,
    ]


def test_what_a_payment_gave_that_stripe_does_not_know_goes_with_its_row(
    db_session: Session, alice: User
) -> None:
    tell(db_session, intent())
    cause = Cause(rows.stripe_event(db_session).event_id, 2, public_id(db_session), now())
    mirrors.forget(db_session, "pi_eur", cause)
    db_session.commit()
    assert (has(db_session, alice), count(Payment)) == ((0, set()), 0)


def test_what_was_promised_is_given_whatever_the_catalogue_or_stripes_metadata_say_by_then(
    db_session: Session, alice: User
) -> None:
    bare: dict[str, str] = {}
    tell(db_session, intent())
    tell(db_session, intent(refunded=750, metadata=bare))
    assert has(db_session, alice) == (250, ALL[1]), "its metadata was emptied: our row knows"
    order = CheckoutSession(
        user_id=alice.id, mode="payment", item="pack", price_id="p", status="complete", credits=70
    )
    order.payment_intent = "pi_jpy"
    db_session.add(order)
    write = StripeWrite(name="order:x", operation="payment_intent.create", user_id=alice.id, params_sha256="0",
                        idempotency_key="k", stripe_object_id="pi_kwd",
                        params='{"metadata":{"plan":"pack","credits":"9"}}')  # fmt: skip
    db_session.add(write)
    for currency in ("jpy", "kwd", "isk"):
        tell(db_session, intent(currency, metadata=bare))
    assert (has(db_session, alice)[0], count(Payment)) == (250 + 70 + 9, 3)
    old = {"plan": "credits-100", "installation": public_id(db_session)}
    tell(db_session, intent("isk", metadata=old))
    for strange in ("-5", "5x", "", "9" * 30, "٣"):
        tell(
            db_session,
            intent("isk", id=f"pi_{len(strange)}_{strange[:1]}", metadata={**old, "credits": strange}),
        )
    assert has(db_session, alice)[0] == 329, "an order of before promised nothing, and nonsense is nothing"


def test_credits_are_spent_once_for_each_key_never_below_zero_and_a_refund_of_spent_ones_shows_the_debt(
    app: Flask, db_session: Session, alice: User, admin: User
) -> None:
    tell(db_session, intent())
    user_id = alice.id
    db_session.rollback()

    def spend(key: int) -> bool:
        with app.app_context():
            done = grants.spend(db.session(), user_id, 200, f"report-{key % 4}")
            db.session.commit()
            db.session.remove()
            return done

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(spend, range(16)))
    assert (has(db_session, alice)[0], sum(answers)) == (100, 8), "two of the four, each asked for four times"
    assert not grants.spend(db_session, user_id, 0, "nothing")
    assert not grants.spend(db_session, user_id, -5, "less")
    tell(db_session, intent(refunded=1500))
    assert grants.balance(db_session, user_id) == -400
    browser = app.test_client()
    sign_in(browser, admin)
    assert "-400" in browser.get(f"/admin/subscribers/{user_id}").text.replace("\u2212", "-")


def test_two_who_settle_at_once_give_once(app: Flask, db_session: Session, alice: User) -> None:
    tell(db_session, intent(status="processing"))
    row = db_session.query(Payment).one()
    row.status, row.fulfilled_at = "succeeded", now()
    cause = Cause(row.cause_event_id, 1, "", now())
    db_session.commit()

    def settle(_: int) -> None:
        with app.app_context():
            grants.settle_intent(db.session(), "pi_eur", cause)
            db.session.commit()
            db.session.remove()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(settle, range(8)))
    assert (entries(db_session), has(db_session, alice)) == ([("granted", 500)], ALL)
    double = Grant(key="pi_eur::1", user_id=alice.id, kind="granted", feature="", amount=500)
    db_session.add(double)
    with pytest.raises(IntegrityError):
        db_session.commit()
    db_session.rollback()


@pytest.fixture
def reports(app: Flask) -> Flask:
    """The product has a page that needs a feature."""
    app.add_url_rule("/reports", view_func=access.feature_required("reports")(lambda: "your reports"))
    return app


@pytest.mark.alone
def test_a_feature_is_open_by_a_plan_or_for_life_and_never_by_what_was_refunded(
    reports: Flask, db_session: Session, alice: User
) -> None:
    browser = reports.test_client()
    sign_in(browser, alice)

    def opens() -> bool:
        answer = browser.get("/reports")
        return answer.status_code == 200

    assert not opens()
    tell(db_session, intent())
    assert opens()
    tell(db_session, intent(refunded=1500))
    assert not opens()
    plan = rows.subscription(db_session, alice)
    assert opens()
    plan.plan = "basic"
    db_session.commit()
    assert not opens(), "Basic has no reports"
    plan.plan, plan.status = "pro", "canceled"
    db_session.commit()
    assert not opens()


def test_a_bank_that_refuses_in_the_end_is_told_once_and_whoever_saw_it_at_checkout_is_told_nothing(
    db_session: Session, alice: User
) -> None:
    order = rows.add(db_session, CheckoutSession(
        user_id=alice.id, mode="payment", item="pack", price_id="p", status="open", payment_intent="pi_eur",
    ))  # fmt: skip
    tell(db_session, intent(status="requires_payment_method"))
    assert count(Notice) == 0
    tell(db_session, intent(status="processing"))
    order.status = "complete"
    db_session.commit()
    for _ in range(2):
        tell(db_session, intent(status="requires_payment_method"))
    assert [(one.kind, one.facts["amount"]) for one in db_session.query(Notice)] == [
        ("one_off_failed", "€15.00")
    ]
    assert (has(db_session, alice), count(Grant)) == ((0, set()), 0)


def test_a_policy_of_the_catalogue_is_no_promise(app: Flask) -> None:
    product = app.extensions["catalogue"].product("reports-for-life")
    has_it = grants.Held(0, {"reports": "reports-for-life"})
    assert grants.owns(product, has_it)
    assert not grants.owns(replace(product, credits=5), has_it), "credits may be bought again"
    assert not grants.owns(replace(product, gives=("reports", "api")), has_it)
    assert grants.Promise.of(product).metadata == {"plan": "reports-for-life", "gives": "reports"}
