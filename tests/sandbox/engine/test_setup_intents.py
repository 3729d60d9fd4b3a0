"""SetupIntents of the API: saving a payment method, its refusals and its events."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

BACK = "http://127.0.0.1:9/saved"


def test_saving_a_card_attaches_it_and_lets_it_be_charged_later(sandbox: Sandbox) -> None:
    """Facts 3.9: setup_intent.created, setup_intent.succeeded, payment_method.attached."""
    customer = sandbox.customer().id
    mark = sandbox.mark()
    intent = sandbox.api.setup_intents.create(
        {"customer": customer, "payment_method": "pm_card_visa", "confirm": True}
    )
    assert (intent.status, intent.usage) == ("succeeded", "off_session")
    assert sandbox.types(mark) == [
        "setup_intent.created",
        "setup_intent.succeeded",
        "payment_method.attached",
    ]
    (saved,) = sandbox.api.payment_methods.list({"customer": customer}).data
    assert saved.id == intent.payment_method


@pytest.mark.parametrize(
    ("usage", "status"), [("off_session", "succeeded"), ("on_session", "authentication_required")]
)
def test_what_a_setup_is_for_decides_whether_the_bank_asks_again(
    sandbox: Sandbox, usage: Any, status: str
) -> None:
    """Card 16: set up off session it is charged without 3D Secure."""
    customer = sandbox.customer().id
    intent: Any = sandbox.api.setup_intents.create(
        {
            "customer": customer, "payment_method": "pm_card_authenticationRequiredOnSetup",
            "usage": usage, "confirm": True, "return_url": BACK,
        }
    )  # fmt: skip
    assert intent.status == "requires_action"
    answer = sandbox.form(intent.next_action.redirect_to_url.url, answer="pass")
    assert answer.location.startswith(f"{BACK}?setup_intent={intent.id}&setup_intent_client_secret=")
    assert answer.location.endswith("redirect_status=succeeded")
    money: Any = {
        "amount": 2000,
        "currency": "usd",
        "confirm": True,
        "off_session": True,
        "customer": customer,
    }
    try:
        outcome = sandbox.api.payment_intents.create(
            {**money, "payment_method": intent.payment_method}
        ).status
    except stripe.CardError as refusal:
        outcome = str(refusal.code)
    assert outcome == status


def test_a_setup_that_is_not_authenticated_fails(sandbox: Sandbox) -> None:
    intent: Any = sandbox.api.setup_intents.create(
        {"payment_method": "pm_card_authenticationRequired", "confirm": True, "return_url": BACK}
    )
    mark = sandbox.mark()
    answer = sandbox.form(intent.next_action.redirect_to_url.url, answer="fail")
    assert answer.location.endswith("redirect_status=failed")
    (event,) = sandbox.events(mark)
    assert event["type"] == "setup_intent.setup_failed"
    assert event["data"]["object"]["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    assert sandbox.api.setup_intents.retrieve(intent.id).status == "requires_payment_method"


def test_a_bank_that_refuses_answers_402_with_the_intent(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError) as caught:
        sandbox.api.setup_intents.create({"payment_method": "pm_card_chargeDeclined", "confirm": True})
    error: Any = caught.value.error
    assert (error.code, error.decline_code) == ("card_declined", "generic_decline")
    assert error.setup_intent.status == "requires_payment_method"
    assert sandbox.types(mark) == ["setup_intent.created", "setup_intent.setup_failed"]


def test_what_each_state_allows(sandbox: Sandbox) -> None:
    api = sandbox.api.setup_intents
    intent = api.create({"description": "later", "metadata": {"a": "b"}})
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        api.confirm(intent.id)
    assert api.update(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_confirmation"
    assert api.confirm(intent.id).status == "succeeded"
    for call in (api.confirm, api.cancel):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(intent.id)
        assert caught.value.code == "setup_intent_unexpected_state"
    assert api.update(intent.id, {"metadata": {"c": "d"}}).to_dict()["metadata"] == {"a": "b", "c": "d"}


def test_a_setup_can_be_given_up(sandbox: Sandbox) -> None:
    intent = sandbox.api.setup_intents.create({})
    mark = sandbox.mark()
    gone = sandbox.api.setup_intents.cancel(intent.id, {"cancellation_reason": "duplicate"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "duplicate")
    assert sandbox.types(mark) == ["setup_intent.canceled"]


def test_the_removed_parameter_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.raw("POST", "/v1/setup_intents", "payment_method_types[]=card")
    assert (answer.status, answer.error["code"]) == (400, "payment_method_types_no_longer_supported")


def test_a_challenge_that_was_answered_is_gone(sandbox: Sandbox) -> None:
    intent: Any = sandbox.api.setup_intents.create(
        {"payment_method": "pm_card_authenticationRequired", "confirm": True, "return_url": BACK}
    )
    url = intent.next_action.redirect_to_url.url
    assert sandbox.form(url, answer="pass").status == 303
    assert sandbox.http("GET", urlsplit(url).path).status == 404


def test_a_payment_method_can_be_changed_once_it_is_somebodys(sandbox: Sandbox) -> None:
    api = sandbox.api.payment_methods
    loose = api.create({"type": "card", "card": {"token": "tok_visa"}})
    with pytest.raises(stripe.InvalidRequestError):
        api.update(loose.id, {"metadata": {"a": "b"}})
    api.attach(loose.id, {"customer": sandbox.customer().id})
    mark = sandbox.mark()
    details: Any = {"name": "Alice", "address": {"city": "Hamburg", "country": "DE"}}
    changed: Any = api.update(
        loose.id, {"billing_details": details, "card": {"exp_month": 3, "exp_year": 2040}}
    )
    assert (changed.card.exp_month, changed.billing_details.address.city) == (3, "Hamburg")
    (event,) = sandbox.events(mark)
    assert event["type"] == "payment_method.updated"
    assert set(event["data"]["previous_attributes"]) == {"billing_details", "card"}
