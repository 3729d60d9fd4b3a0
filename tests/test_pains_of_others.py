"""What becomes of people where others share a Stripe account, an address, a database or a type of event with them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any, get_args

import pytest
from flask import Flask
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError
from stripe.params import WebhookEndpointCreateParams

from billing.extensions import db
from billing.jobs import HANDLERS
from billing.models import (
    CheckoutSession,
    Dispute,
    Installation,
    Invoice,
    Notice,
    Payment,
    PlanPrice,
    StripeEvent,
    Subscription,
    User,
)
from local.mailsink import MailSink
from tests.doors import mailed_code, sign_up, submit
from tests.histories import History
from tests.registry import over_a_wire
from tests.sandbox.engine.shapes import samples
from tests.seen import charges, delivered, may_enter, reads
from tests.story import (
    Shopper,
    apply_all,
    card_form,
    catch_up,
    config_of,
    count,
    events,
    post_page,
    shopper,
)
from tests.support import Sandbox, make_event, signed
from tests.test_cli import flask, refused
from tests.watching import all_rows
from tests.wire import Sent

NOT_OURS = "not ours: no customer of this installation"
DISPUTED = "4000000000000259"


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


def price_of(item: str) -> str:
    return str(
        db.session.query(PlanPrice.price_id).filter_by(item=item).order_by(PlanPrice.lookup_key).first()[0]
    )


def sold_elsewhere(sandbox: Sandbox, customer: str, number: str = "4242424242424242", **more: Any) -> str:
    """Another program sells to this customer by the same Stripe account; the id of its Session."""
    session = sandbox.stripe.checkout.sessions.create(
        {"mode": "subscription", "customer": customer, "success_url": "https://example.com/thanks", **more}
    )
    assert post_page(f"{sandbox.url}/c/pay/{session['id']}", **card_form(number)).status == 303
    return str(session["id"])


def line(price: str) -> dict[str, Any]:
    return {"line_items": [{"price": price, "quantity": 1}]}


# 14: the customer


def test_a_stranger_who_signs_up_with_a_victims_address_never_gets_the_victims_plan_or_card(
    desk: Flask, mails: MailSink
) -> None:
    """Another program on the account made her a customer, who pays for a plan at our very price."""
    sandbox: Sandbox = desk.extensions["sandbox"]
    victim = sandbox.stripe.customers.create({"email": "victim@example.com"})["id"]
    sold_elsewhere(sandbox, victim, **line(price_of("pro")))
    browser = desk.test_client()
    sign_up(browser, "victim@example.com")
    code = mailed_code(db.session(), config_of(desk), mails, "victim@example.com")
    guess = "000000" if code != "000000" else "111111"
    submit(browser, "/signup/confirm", code=guess)
    assert count(User, email="victim@example.com") == 0, "nobody has the account without the code of the mail"
    submit(browser, "/signup/confirm", code=code)
    [user] = db.session.query(User).filter_by(email="victim@example.com")
    stranger = Shopper(desk, user.id, user.email, browser)
    catch_up(desk)
    assert "You don’t have a plan yet." in reads(stranger)
    assert not may_enter(stranger)
    assert stranger.post("/billing/portal/home").status_code == 404, (
        "there is no customer whose portal to open"
    )
    stranger.order()
    assert stranger.customer not in ("", victim)
    [plan] = sandbox.stripe.subscriptions.list({"customer": victim})["data"]
    for claim in ({"user_id": str(stranger.id)}, {"user_id": str(stranger.id), "checkout": "1"}):
        sandbox.stripe.subscriptions.update(plan["id"], {"metadata": claim})
        sandbox.stripe.customers.update(victim, {"metadata": claim})
        catch_up(desk)
    assert not may_enter(stranger)
    assert (count(Subscription), count(Invoice)) == (0, 0)
    assert [one.subject for one in mails.to("victim@example.com") if "receipt" in one.subject.lower()] == []
    assert {kind for (kind,) in db.session.query(Notice.kind)} == {"code", "welcome"}


def test_nobody_becomes_two_customers_because_an_answer_was_lost_on_the_way(
    desk: Flask, alice: Shopper
) -> None:
    def lost(sent: Sent) -> Any:
        return wire.lose_answer(sent) if sent.path == "/v1/customers" else wire.pass_on(sent)

    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = lost
        assert alice.post("/checkout", plan="pro", interval="month").status_code == 503
        assert alice.customer == ""
        wire.answer = wire.pass_on
        session_id = alice.order()
    assert alice.pay(session_id).status == 303
    catch_up(desk)
    made = alice.sandbox.stripe.customers.list({"email": alice.email})["data"]
    assert [one["id"] for one in made] == [alice.customer]
    assert (may_enter(alice), charges(alice)) == (True, [2900])


# 15: test and live, this account and that


def test_no_event_of_live_mode_changes_what_somebody_has_in_test_mode(desk: Flask, alice: Shopper) -> None:
    """Signed as ever, yet of the other mode: it is refused and nothing of it kept; the right one is taken later."""
    alice.has()
    alice.sandbox.control("trouble", delivery="wrong_mode")
    before = all_rows(db.session())
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    alice.sandbox.flush()
    apply_all()
    refused = alice.sandbox.look("deliveries?limit=1")["deliveries"]
    assert {one["http_status"] for one in refused} == {400}
    after = all_rows(db.session())
    assert {name for name in after if after[name] != before[name]} <= {"rate_hits"}, "it is counted, not kept"
    assert may_enter(alice)
    alice.sandbox.calm()
    catch_up(desk)
    assert not may_enter(alice)


def test_a_copy_of_the_production_database_starts_nothing_and_asks_stripe_for_nothing(
    desk: Flask, alice: Shopper
) -> None:
    """Somebody restored it on their own machine, whose key is one of test mode or of another account."""
    alice.has()
    sandbox = alice.sandbox
    copies: list[dict[str, Any]] = [
        {"livemode": True},
        {"stripe_account": "acct_of_production", "key_fingerprint": "of the other key"},
    ]
    for copied in copies:
        db.session.execute(update(Installation).values(**copied))
        db.session.commit()
        asked = len(sandbox.look("requests?limit=10000")["requests"])
        for program in ("plans push", "sync all", f"sync {alice.email}", "work", "clock"):
            assert refused(flask(desk, program)).startswith("DATABASE_URL leads to a database of"), program
        since = sandbox.look("requests?limit=10000")["requests"][asked:]
        assert {(one["method"], one["path"]) for one in since} <= {("GET", "/v1/account")}
        db.session.execute(update(Installation).values(livemode=False))
        db.session.commit()


def test_no_row_of_the_other_mode_can_be_written_whoever_writes_it(desk: Flask, alice: Shopper) -> None:
    alice.has()
    for table in ("subscriptions", "stripe_events"):
        with pytest.raises(DBAPIError, match="of the other mode"):
            db.session.execute(text(f"update {table} set livemode = true"))
        db.session.rollback()
    assert may_enter(alice)


def test_everybody_reads_on_every_page_that_no_real_money_moves(desk: Flask, alice: Shopper) -> None:
    alice.has()
    session_id = alice.buy()
    said = "Test mode. No real money moves."
    for path in ("/", "/plans", "/billing", "/invoices", "/account", "/app", "/shop", "/buy/credits-100",
                 f"/checkout/return?session_id={session_id}"):  # fmt: skip
        assert said in reads(alice, path), path
    assert said in desk.test_client().get("/login").text


# 16: foreign events


def test_another_shop_on_the_same_account_gives_nobody_here_a_plan_a_bill_or_a_mail(
    desk: Flask, alice: Shopper
) -> None:
    """Plans, goods, refunds, disputes and bills of other customers, and of ours where another program marks them."""
    sandbox = alice.sandbox
    alice.order()  # makes her a customer
    catch_up(desk)
    known = {event.event_id for event in events()}
    theirs = sandbox.stripe.customers.create({"email": alice.email})["id"]
    mark = {"metadata": {"installation": "of somebody else"}}
    sold_elsewhere(sandbox, theirs, **line(price_of("pro")))
    sold_elsewhere(sandbox, theirs, DISPUTED, mode="payment", **line(price_of("credits-100")))
    sold_elsewhere(sandbox, alice.customer, **line(price_of("pro")), **mark, subscription_data=mark)
    for customer in (theirs, alice.customer):
        bill = sandbox.stripe.invoices.create({"customer": customer, **mark})
        sandbox.stripe.invoice_items.create(
            {"customer": customer, "invoice": bill["id"], "amount": 500, "currency": "eur"}
        )
        sandbox.stripe.invoices.finalize_invoice(bill["id"])
    for customer in (theirs, alice.customer):
        for intent in sandbox.stripe.payment_intents.list({"customer": customer})["data"]:
            if (intent["status"], intent["amount"]) == ("succeeded", 2900):
                sandbox.stripe.refunds.create({"payment_intent": intent["id"]})
    catch_up(desk)
    found = [event for event in events() if event.event_id not in known]
    kinds = {event.type for event in found}
    assert {"checkout.session.completed", "customer.subscription.created", "invoice.paid", "charge.refunded",
            "charge.dispute.created", "payment_intent.succeeded", "invoice.finalized"} <= kinds  # fmt: skip
    assert {event.state for event in found} == {StripeEvent.IGNORED}
    for model in (Subscription, Invoice, Payment, Dispute, Notice):
        assert count(model) == 0, model
    assert not may_enter(alice)
    assert "You don’t have a plan yet." in reads(alice)


def test_a_plan_at_a_price_that_is_not_ours_lets_nobody_in(desk: Flask, alice: Shopper) -> None:
    """Our own customer, sold something in the dashboard that our catalogue does not know."""
    stripe = alice.sandbox.stripe
    alice.order()
    price = stripe.prices.create(
        {
            "currency": "eur",
            "unit_amount": 100,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Tea"},
        }
    )
    sold_elsewhere(alice.sandbox, alice.customer, **line(price["id"]))
    catch_up(desk)
    assert not may_enter(alice)
    assert alice.standing.code == "unknown"
    assert reads(alice)
    assert {event.state for event in events()} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}


# 17: unhandled types

KINDS = sorted(
    set(get_args(get_args(WebhookEndpointCreateParams.__annotations__["enabled_events"])[0])) - {"*"}
)


def post(desk: Flask, event: dict[str, Any]) -> int:
    """One delivery over HTTP, signed; the status of the answer."""
    config, body = config_of(desk), json.dumps(event).encode()
    headers = {
        "Stripe-Signature": signed(body, config.stripe_webhook_secrets[0].value),
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(f"{config.public_url}/webhooks/stripe", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        return answer.code


def sample_of(kind: str, known: dict[str, Any]) -> dict[str, Any]:
    """Stripe's published object for a type of event, or the least that there is."""
    name = kind.rpartition(".")[0]
    name = {"customer.subscription": "subscription", "charge.dispute": "dispute"}.get(name, name)
    return dict(known.get(name) or {"id": "thing_1", "object": name, "created": int(time.time())})


def test_an_endpoint_is_never_switched_off_because_a_type_of_event_was_refused(desk: Flask) -> None:
    """Each type that Stripe has is taken with 2xx and kept, whether or not anything is done for it."""
    assert len(KINDS) > 200
    known = samples()
    sent = {kind: make_event(kind, sample_of(kind, known)) for kind in KINDS}
    sent |= {
        kind: make_event(kind, {"id": "new_1", "object": "new"}) for kind in ("invented.tomorrow", "v1.odd")
    }
    assert {kind: status for kind, event in sent.items() if (status := post(desk, event)) != 200} == {}
    kept = {row.event_id: row for row in events()}
    assert set(kept) == {event["id"] for event in sent.values()}
    undone = {kind: kept[event["id"]] for kind, event in sent.items() if kind not in HANDLERS}
    assert {(row.state, row.reason) for row in undone.values()} == {(StripeEvent.IGNORED, "type not handled")}


# 18: metadata


def test_what_somebody_buys_says_whose_it_is_wherever_stripe_looks_for_it(
    desk: Flask, alice: Shopper
) -> None:
    stripe = alice.sandbox.stripe
    plan = stripe.checkout.sessions.retrieve(alice.subscribe(), {"expand": ["subscription"]})
    bought = alice.buy()
    assert alice.pay(bought).status == 303
    goods = stripe.checkout.sessions.retrieve(bought, {"expand": ["payment_intent"]})
    for there in (plan, plan.subscription, goods, goods.payment_intent):
        said = there.metadata.to_dict()
        assert said["user_id"] == str(alice.id)
        assert {"installation", "plan", "checkout"} <= set(said)
    assert {plan.client_reference_id, goods.client_reference_id} == {str(alice.id)}


def test_nobody_loses_what_they_paid_for_because_metadata_is_gone(desk: Flask, alice: Shopper) -> None:
    """Somebody emptied it in the dashboard before any event was applied: the customer and our own order say enough."""
    history, stripe = History(desk), alice.sandbox.stripe
    for choose in (alice.order, alice.buy):
        assert alice.pay(choose()).status == 303
    [plan] = stripe.subscriptions.list({"customer": alice.customer})["data"]
    stripe.subscriptions.update(plan["id"], {"metadata": ""})
    for intent in stripe.payment_intents.list({"customer": alice.customer})["data"]:
        stripe.payment_intents.update(intent["id"], {"metadata": ""})
    for session in stripe.checkout.sessions.list({"customer": alice.customer})["data"]:
        stripe.checkout.sessions.update(session["id"], {"metadata": ""})
    stripe.customers.update(alice.customer, {"metadata": ""})
    assert set(delivered(desk, history.news())) == {200}
    catch_up(desk)
    assert may_enter(alice)
    assert sorted(alice.mails()) == ["one_off_receipt", "receipt"]
    assert "100 credits" in reads(alice, "/invoices")
    assert count(CheckoutSession, status="complete") == 2
