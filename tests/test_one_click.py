"""Buying once more with the saved card: charged once, whoever presses how often, and told by events alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from billing import grants, jobs, one_click
from billing.extensions import db
from billing.models import CheckoutSession, Payment, StripeEvent, StripeWrite
from tests.counter import text_of
from tests.registry import over_a_wire, sweep
from tests.story import (
    DECLINED,
    FAILS_LATER,
    Shopper,
    catch_up,
    config_of,
    count,
    post_page,
    session_of,
    shopper,
)
from tests.test_leaving import hidden
from tests.test_new_card import ASKS_THE_BANK, put_card, settle
from tests.wire import Sent, cut, error

BUY, LIFE = "/buy/credits-100", "/buy/reports-for-life"


@pytest.fixture
def alice(desk_again: Flask) -> Shopper:
    found = shopper(desk_again)
    found.has()
    return found


def form(person: Shopper, path: str = BUY) -> dict[str, str]:
    """What the form of the saved card sends."""
    return hidden(person.get(path).text.partition("Pay another way")[0].rpartition("<form")[0])


def press(person: Shopper, fields: dict[str, str] | None = None, path: str = BUY) -> Any:
    return person.post(f"{path}/card", **(form(person, path) if fields is None else fields))


def intents(person: Shopper) -> list[Any]:
    """Every one-off payment of theirs at Stripe, the newest first."""
    found = person.sandbox.stripe.payment_intents.list({"customer": person.customer, "limit": 100})["data"]
    return [one for one in found if "plan" in one["metadata"]]


def taken(person: Shopper) -> list[int]:
    return [one["amount_received"] for one in intents(person) if one["amount_received"]]


def credits_of(person: Shopper) -> int:
    db.session.rollback()
    return grants.balance(db.session(), person.id)


def reads(person: Shopper, path: str) -> str:
    page = person.get(path)
    assert page.status_code == 200, (page.status_code, page.location)
    return text_of(page.text)


def test_one_press_takes_the_price_of_the_catalogue_from_the_card_and_is_only_believed_from_events(
    office: Flask, alice: Shopper
) -> None:
    page = alice.get(BUY).text
    assert "Pay €15.00 with Visa ending 4242" in text_of(page)
    assert (page.count('class="btn"'), "Pay another way" in page) == (1, True)
    assert not re.search(r"js\.stripe\.com|autocomplete=\"cc-|name=\"card(number|_number)", page)
    alice.sandbox.control("trouble", delivery="hold")
    forged = {
        "amount": "1",
        "price": "p",
        "customer": "cus_else",
        "payment_method": "pm_else",
        "user_id": "1",
    }
    answer = press(alice, {**form(alice), **forged})
    [made] = intents(alice)
    assert answer.location == f"/orders/{made['id']}"
    assert (made["amount"], made["currency"], made["customer"]) == (1500, "eur", alice.customer)
    metadata = made["metadata"].to_dict()
    assert {name: metadata[name] for name in ("user_id", "plan", "credits")} == {
        "user_id": str(alice.id), "plan": "credits-100", "credits": "100",
    }  # fmt: skip
    assert (count(Payment, user_id=alice.id), credits_of(alice)) == (0, 0), (
        "an answer of the API grants nothing"
    )
    with over_a_wire(office, alice.sandbox) as wire:
        wire.answer = cut
        assert "We’re confirming your payment." in reads(alice, answer.location)
    assert credits_of(alice) == 0
    assert "You bought 100 credits." in reads(alice, answer.location), "the page has Stripe looked at"
    assert (credits_of(alice), alice.mails()) == (100, ["receipt"])
    alice.sandbox.calm()
    catch_up(office)
    assert (credits_of(alice), alice.mails()) == (100, ["receipt", "one_off_receipt"])
    assert "Credits 100" in reads(alice, "/billing")
    assert f"/orders/{made['id']}" in alice.get("/invoices").text


def test_a_form_that_is_sent_again_and_again_buys_once_and_whoever_opens_the_page_anew_may_buy_once_more(
    office: Flask, alice: Shopper
) -> None:
    fields = form(alice)
    places = {press(alice, fields).location for _ in range(3)}
    catch_up(office)
    places |= {press(alice, fields).location, alice.post(BUY, once=fields["once"]).location}
    assert places == {f"/orders/{intents(alice)[0]['id']}", f"/orders/{fields['once']}"}
    assert "You bought 100 credits." in reads(alice, f"/orders/{fields['once']}")
    assert taken(alice) == [1500]
    press(alice)
    catch_up(office)
    assert (taken(alice), credits_of(alice)) == ([1500, 1500], 200)
    token = form(alice)["once"]
    session_id = session_of(alice.post(BUY, once=token))
    assert alice.pay(session_id).status == 303
    catch_up(office)
    again = press(alice, {**form(alice), "once": token})
    assert again.location == f"/checkout/return?session_id={session_id}", "it was paid in Checkout"
    assert credits_of(alice) == 300


def test_two_windows_buy_once_and_the_second_is_told(office: Flask, alice: Shopper) -> None:
    first, second, third = form(alice), form(alice), form(alice)
    alice.sandbox.control("trouble", delivery="hold")
    bought = press(alice, first).location
    told = press(alice, second)
    assert (told.status_code, "Your last payment is still being confirmed." in told.text) == (409, True)
    assert f'href="{bought}"' in told.text
    assert alice.post(BUY).status_code == 409, "nor is Checkout opened beside it"
    alice.sandbox.calm()
    catch_up(office)
    told = press(alice, third)
    assert (told.status_code, "You bought this in another window" in told.text) == (409, True)
    assert (taken(alice), count(CheckoutSession, user_id=alice.id, mode="payment")) == ([1500], 0)
    assert press(alice, hidden(told.text.partition("Pay another way")[0])).status_code == 303
    assert taken(alice) == [1500, 1500]


def test_a_bank_that_wants_to_be_asked_is_asked_on_its_own_page_and_what_it_says_is_heard_by_events(
    office: Flask, alice: Shopper
) -> None:
    put_card(alice, ASKS_THE_BANK)
    settle(alice)
    first = form(alice)
    answer = press(alice, first)
    assert answer.location.startswith(f"{alice.sandbox.url}/3ds/"), "never a page of ours"
    [made] = intents(alice)
    order = f"/orders/{made['id']}"
    said = reads(alice, order)
    assert "Your bank wants you to confirm this payment. You haven’t been charged." in said
    assert press(alice).status_code == 409, "another one has to wait"
    assert (taken(alice), credits_of(alice)) == ([], 0)
    bank = alice.post(f"{order}/confirm").location
    assert bank == answer.location
    back = post_page(bank, answer="pass")
    assert back.location.startswith(
        f"{config_of(office).public_url}/orders/return?payment_intent={made['id']}"
    )
    path = back.location.removeprefix(config_of(office).public_url)
    assert alice.get(path).location == order, "the secret in the address goes no further"
    assert "You bought 100 credits." in reads(alice, order)
    assert (taken(alice), credits_of(alice)) == ([1500], 100)
    assert alice.post(f"{order}/confirm").location == order
    assert press(alice, first).location == f"/orders/{first['once']}", "not to a bank's page that is over"
    press(alice)
    assert (
        post_page(alice.post(f"/orders/{intents(alice)[0]['id']}/confirm").location, answer="fail").status
        == 303
    )
    catch_up(office)
    said = reads(alice, f"/orders/{intents(alice)[0]['id']}")
    assert "This payment didn’t go through. Nothing was taken." in said
    assert (taken(alice), credits_of(alice), "one_off_failed" in alice.mails()) == ([1500], 100, False)


def test_a_declined_card_is_said_and_leads_to_checkout(office: Flask, alice: Shopper) -> None:
    put_card(alice, FAILS_LATER)
    settle(alice)
    fields = form(alice)
    answer = press(alice, fields)
    assert re.fullmatch(rf"{BUY}\?declined=\d+", answer.location)
    page = alice.get(answer.location).text
    assert "You haven’t been charged. You can pay another way." in text_of(page)
    assert ("Continue to payment" in page, "/card" in page) == (True, False)
    assert press(alice, fields).location == answer.location
    assert alice.get(f"/orders/{fields['once']}").location == answer.location
    assert alice.pay(session_of(alice.post(BUY, once=fields["once"]))).status == 303
    catch_up(office)
    assert (taken(alice), credits_of(alice)) == ([1500], 100)
    assert "one_off_failed" not in alice.mails(), "they were there, and saw it"
    other = alice.get(f"{BUY}?declined={10**17}").text
    assert "haven’t been charged" not in other


def test_an_answer_that_was_lost_is_called_unknown_never_charged_again_and_found_out(
    office: Flask, alice: Shopper
) -> None:
    with over_a_wire(office, alice.sandbox) as wire:

        def lost(sent: Sent) -> Any:
            found = wire.pass_on(sent)
            return cut(sent) if sent.method == "POST" else found

        wire.answer = lost
        fields = form(alice)
        address = press(alice, fields).location
        assert address == f"/orders/{fields['once']}"
        assert "We don’t know yet whether your payment went through." in reads(alice, address)
        for way in (press(alice), alice.post(BUY)):
            assert (way.status_code, "still being confirmed" in way.text) == (409, True)
        assert press(alice, fields).location == address
        wire.answer = wire.pass_on
        assert sweep() == 1
    assert "You bought 100 credits." in reads(alice, address)
    assert (taken(alice), credits_of(alice)) == ([1500], 100)


@pytest.mark.parametrize("done", [True, False])
def test_after_a_fault_of_stripes_the_payment_is_looked_for_and_what_was_not_done_is_given_up(
    office: Flask, alice: Shopper, done: bool
) -> None:
    with over_a_wire(office, alice.sandbox) as wire:
        wire.answer = lambda sent: (
            (
                (wire.pass_on(sent) if done or sent.method == "GET" else None)
                and (wire.pass_on(sent) if sent.method == "GET" else error(500))
            )
            or error(500)
        )
        fields = form(alice)
        address = press(alice, fields).location
        wire.answer = wire.pass_on
        assert sweep() == 1
    catch_up(office)
    assert (taken(alice), credits_of(alice)) == (([1500], 100) if done else ([], 0))
    assert alice.get(address).status_code == (200 if done else 303)
    assert press(alice).status_code == 303, "either way it is known, and another one may be bought"


def test_what_is_yours_for_life_is_sold_to_you_once(office: Flask, alice: Shopper) -> None:
    press(alice, path=LIFE)
    catch_up(office)
    assert "Yours for life Reports for life" in reads(alice, "/billing")
    assert "You already have Reports for life." in reads(alice, LIFE)
    for path in (LIFE, f"{LIFE}/card"):
        assert alice.post(path, once="x" * 20).status_code == 409
    assert taken(alice) == [4900]
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    catch_up(office)
    assert not alice.standing.access
    assert grants.features_of(db.session(), alice.id, alice.standing) == {"reports"}


def test_somebody_elses_order_and_none_are_the_same_and_so_are_strange_names(
    office: Flask, newcomer: Callable[[], Shopper], alice: Shopper
) -> None:
    fields = form(alice)
    order = press(alice, fields).location
    catch_up(office)
    bob = newcomer()
    assert "/card" not in bob.get(BUY).text, "who has no card is offered none"
    assert press(bob, {"once": "y" * 20}).status_code == 409
    for path in (order, f"/orders/{fields['once']}", "/orders/pi_of_nobody", "/orders/%20", f"/orders/{'x' * 300}",
                 f"/orders/return?payment_intent={order.rpartition('/')[2]}", "/orders/return"):  # fmt: skip
        assert bob.get(path).status_code == 404, path
    assert bob.post(f"{order}/confirm").status_code == 404
    assert press(alice, {**form(alice), "card": "pm_of_somebody_else"}).status_code == 409
    assert press(alice, {**form(alice), "offer": "credits-100_eur:1:100:"}).status_code == 409
    assert taken(alice) == [1500]


def test_a_card_that_is_gone_is_refused_and_ten_tries_in_an_hour_are_enough(
    office: Flask, alice: Shopper
) -> None:
    alice.sandbox.stripe.payment_methods.detach(one_click.card_of(db.session(), alice.id).method)  # type: ignore[union-attr]
    answers = [press(alice) for _ in range(one_click.MOST)]
    assert {answer.status_code for answer in answers} == {303}
    assert "Stripe couldn’t take this card." in reads(alice, answers[0].location)
    assert press(alice).status_code == 429
    assert (taken(alice), count(StripeWrite, user_id=alice.id, operation=one_click.OPERATION)) == (
        [],
        one_click.MOST,
    )


def test_whatever_is_told_twice_or_backwards_gives_once(office: Flask, alice: Shopper) -> None:
    press(alice)
    intent = intents(alice)[0]["id"]
    alice.sandbox.stripe.refunds.create({"payment_intent": intent, "amount": 500})
    alice.sandbox.control("trouble", delivery="twice")
    catch_up(office)
    for event in reversed(db.session.query(StripeEvent).filter_by(user_id=alice.id).all()):
        jobs.run_again(db.session(), event.event_id)
    db.session.rollback()
    assert credits_of(alice) == 67, "two thirds are left, rounded in her favour"
    said = reads(alice, f"/orders/{intent}")
    assert "€5.00 of €15.00 went back to you." in said
    assert alice.mails().count("one_off_receipt") == 1


def test_nobody_pays_by_checkout_what_the_bank_refuses(
    office: Flask, newcomer: Callable[[], Shopper]
) -> None:
    bob = newcomer()
    session_id = bob.buy()
    assert bob.pay(session_id, DECLINED).status == 422
    catch_up(office)
    assert (credits_of(bob), bob.mails()) == (0, [])
