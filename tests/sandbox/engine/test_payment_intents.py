"""PaymentIntents of the API: the state machine, its refusals, 3D Secure, capture, and what events tell of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

MONEY: Any = {"amount": 2000, "currency": "usd"}
BACK = "http://127.0.0.1:9/back?cart=7"


def made(sandbox: Sandbox, token: str = "pm_card_visa", **more: Any) -> Any:
    return sandbox.api.payment_intents.create({**MONEY, "payment_method": token, **more})


def paid(sandbox: Sandbox, token: str = "pm_card_visa", **more: Any) -> Any:
    return made(sandbox, token, confirm=True, **more)


def challenged(sandbox: Sandbox, **more: Any) -> Any:
    return paid(sandbox, "pm_card_threeDSecure2Required", return_url=BACK, **more)


def in_state(sandbox: Sandbox, status: str) -> Any:
    """The id of an intent in that state."""
    api = sandbox.api.payment_intents
    if status == "requires_payment_method":
        return api.create(MONEY).id
    if status == "requires_confirmation":
        return made(sandbox).id
    if status == "requires_action":
        return challenged(sandbox).id
    if status == "requires_capture":
        return paid(sandbox, capture_method="manual").id
    if status == "succeeded":
        return paid(sandbox).id
    if status == "canceled":
        return api.cancel(api.create(MONEY).id).id
    person: Any = {"name": "Bob", "email": "bob@example.com"}
    bank = sandbox.api.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT321904300235473204"}, "billing_details": person}
    )
    accepted: Any = {"customer_acceptance": {"type": "offline"}}
    return paid(sandbox, bank.id, currency="eur", mandate_data=accepted).id


NO = "payment_intent_unexpected_state"
MACHINE = [
    # state, what confirm(with a good card), capture, cancel and update(amount) come to
    ("requires_payment_method", "succeeded", NO, "canceled", "requires_payment_method"),
    ("requires_confirmation", "succeeded", NO, "canceled", "requires_confirmation"),
    ("requires_action", "succeeded", NO, "canceled", "requires_action"),
    ("requires_capture", NO, "succeeded", "canceled", NO),
    ("processing", NO, NO, NO, NO),
    ("succeeded", NO, NO, NO, NO),
    ("canceled", NO, NO, NO, NO),
]


@pytest.mark.parametrize(
    ("state", "confirm", "capture", "cancel", "update"), MACHINE, ids=[row[0] for row in MACHINE]
)
def test_what_each_state_allows(
    sandbox: Sandbox, state: str, confirm: str, capture: str, cancel: str, update: str
) -> None:
    api = sandbox.api.payment_intents
    calls: list[tuple[Any, str]] = [
        (lambda id_: api.confirm(id_, {"payment_method": "pm_card_visa"}), confirm),
        (lambda id_: api.capture(id_), capture),
        (lambda id_: api.cancel(id_), cancel),
        (lambda id_: api.update(id_, {"amount": 2100}), update),
    ]
    for call, comes_to in calls:
        id_ = in_state(sandbox, state)
        assert api.retrieve(id_).status == state
        if comes_to != NO:
            assert call(id_).status == comes_to
            continue
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(id_)
        assert caught.value.code == NO
        assert caught.value.error.payment_intent.id == id_  # type: ignore[union-attr]
        assert api.retrieve(id_).status == state


def test_a_fresh_intent_is_as_recorded(sandbox: Sandbox) -> None:
    """Facts 1.6: automatic_async, automatic payment methods, no charge yet."""
    intent = sandbox.api.payment_intents.create({**MONEY, "metadata": {"order": "7"}, "description": "Tea"})
    assert intent.automatic_payment_methods is not None
    assert (intent.capture_method, intent.automatic_payment_methods.allow_redirects) == (
        "automatic_async",
        "always",
    )
    assert (intent.status, intent.latest_charge) == ("requires_payment_method", None)
    assert intent.metadata["order"] == "7"
    assert str(intent.client_secret).startswith(f"{intent.id}_secret_")


def test_words_can_be_changed_when_all_is_over(sandbox: Sandbox) -> None:
    done = paid(sandbox)
    changed = sandbox.api.payment_intents.update(done.id, {"metadata": {"a": "b"}, "description": "New"})
    assert (changed.status, changed.metadata["a"], changed.description) == ("succeeded", "b", "New")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        (
            {"payment_method_types": ["card"]},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ({"payment_method": "pm_1234"}, "resource_missing", "payment_method"),
        ({"customer": "cus_1234"}, "resource_missing", "customer"),
        ({"currency": "xxx"}, None, "currency"),
        ({"off_session": True}, None, "off_session"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    sandbox: Sandbox, params: Any, code: str | None, param: str
) -> None:
    mark = sandbox.mark()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.payment_intents.create({**MONEY, **params})
    assert (caught.value.code, caught.value.param) == (code, param)
    assert sandbox.events(mark) == []


def test_types_can_be_allowed_and_excluded(sandbox: Sandbox) -> None:
    euros: Any = {"amount": 2000, "currency": "eur"}
    api = sandbox.api.payment_intents
    assert api.create(euros).payment_method_types == ["card", "sepa_debit"]
    only = api.create({**euros, "allowed_payment_method_types": ["sepa_debit"]})
    assert (only.payment_method_types, only.allowed_payment_method_types) == (["sepa_debit"], ["sepa_debit"])
    assert api.create({**euros, "excluded_payment_method_types": ["card"]}).payment_method_types == [
        "sepa_debit"
    ]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.confirm(only.id, {"payment_method": "pm_card_visa"})
    assert caught.value.code == "payment_intent_incompatible_payment_method"


def test_paying_tells_of_the_charge_and_of_its_balance_a_little_later(sandbox: Sandbox) -> None:
    """Facts 3.19: charge.updated fills balance_transaction of an asynchronous capture."""
    mark = sandbox.mark()
    intent = paid(sandbox)
    told = sandbox.events(mark)
    assert [each["type"] for each in told] == [
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated",
    ]  # fmt: skip
    assert told[1]["data"]["object"]["balance_transaction"] is None
    assert told[3]["data"]["previous_attributes"] == {"balance_transaction": None}
    assert intent.amount_received == 2000
    entry = sandbox.api.balance_transactions.retrieve(told[3]["data"]["object"]["balance_transaction"])
    assert (entry.amount, entry.fee, entry.net, entry.status, entry.type) == (
        2000,
        88,
        1912,
        "pending",
        "charge",
    )
    assert entry.available_on % 86400 == 0


@pytest.mark.parametrize(("amount", "fee"), [(2500, 103), (1000, 59), (50, 31), (99_999_999, 2_900_030)])
def test_the_fee_is_right_to_the_unit(sandbox: Sandbox, amount: int, fee: int) -> None:
    intent = paid(sandbox, amount=amount, expand=["latest_charge.balance_transaction"])
    assert intent.latest_charge.balance_transaction.fee == fee


def test_a_card_that_bypasses_pending_is_available_at_once(sandbox: Sandbox) -> None:
    intent = paid(sandbox, "pm_card_bypassPending", expand=["latest_charge.balance_transaction"])
    assert intent.latest_charge.balance_transaction.status == "available"


def test_a_decline_is_402_with_the_intent_in_it_and_is_kept(sandbox: Sandbox) -> None:
    """Facts 1.0 and 3.3."""
    mark = sandbox.mark()
    answer = sandbox.raw(
        "POST", "/v1/payment_intents",
        "amount=2000&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined", "pi-decline-1",
    )  # fmt: skip
    assert answer.status == 402
    error = answer.error
    assert {key: error[key] for key in ("type", "code", "decline_code", "advice_code", "network_decline_code")} == {
        "type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
        "advice_code": "try_again_later", "network_decline_code": "01",
    }  # fmt: skip
    intent = error["payment_intent"]
    assert (intent["status"], intent["payment_method"]) == ("requires_payment_method", None)
    assert intent["last_payment_error"]["charge"] == error["charge"] == intent["latest_charge"]
    assert not [key for key in intent if key.startswith("_")]
    assert sandbox.types(mark) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    again = sandbox.raw(
        "POST", "/v1/payment_intents",
        "amount=2000&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined", "pi-decline-1",
    )  # fmt: skip
    assert (again.status, again.headers["Idempotent-Replayed"]) == (402, "true")
    assert again.error["payment_intent"]["id"] == intent["id"]
    assert len(sandbox.types(mark)) == 3


def test_creating_and_confirming_twice_with_one_key_charges_once(sandbox: Sandbox) -> None:
    key: Any = {"idempotency_key": "pi-once-1"}
    params: Any = {**MONEY, "payment_method": "pm_card_visa", "confirm": True}
    first = sandbox.api.payment_intents.create(params, key)
    assert sandbox.api.payment_intents.create(params, key).id == first.id
    assert len(sandbox.api.charges.list({"payment_intent": first.id}).data) == 1


def test_a_refused_attach_names_an_empty_param(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    answer = sandbox.raw("POST", "/v1/payment_methods/pm_card_chargeDeclined/attach", f"customer={customer}")
    assert (answer.status, answer.error["param"], answer.error["code"]) == (402, "", "card_declined")


def test_another_card_can_be_tried_after_a_decline(sandbox: Sandbox) -> None:
    intent = sandbox.api.payment_intents.create(MONEY)
    with pytest.raises(stripe.CardError):
        sandbox.api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    done = sandbox.api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (done.status, done.last_payment_error) == ("succeeded", None)
    charges = sandbox.api.charges.list({"payment_intent": intent.id}).data
    assert [each.status for each in charges] == ["succeeded", "failed"]


def test_without_a_card_there_is_nothing_to_confirm(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method") as caught:
        sandbox.api.payment_intents.confirm(sandbox.api.payment_intents.create(MONEY).id)
    assert caught.value.code == NO


def test_an_absent_person_cannot_answer_the_bank(sandbox: Sandbox) -> None:
    """Facts 3.8 and card 17: off session, 3184 is declined with authentication_required."""
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError) as caught:
        paid(sandbox, "pm_card_authenticationRequired", off_session=True)
    error: Any = caught.value.error
    assert (error.code, error.decline_code) == ("authentication_required", "authentication_required")
    assert error.payment_intent.status == "requires_payment_method"
    assert sandbox.types(mark) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


def test_a_shop_can_refuse_3d_secure(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.CardError) as caught:
        paid(sandbox, "pm_card_threeDSecure2Required", error_on_requires_action=True)
    assert caught.value.code == "authentication_required"


def page(url: str) -> str:
    return urlsplit(url).path


def told_back(location: str, intent: Any) -> str:
    """The redirect_status, after the rest of the return address is what was asked for."""
    query = parse_qs(urlsplit(location).query)
    assert location.startswith("http://127.0.0.1:9/back?cart=7&")
    assert query["payment_intent"] == [intent.id]
    assert query["payment_intent_client_secret"] == [intent.client_secret]
    return query["redirect_status"][0]


def test_3d_secure_passed_leads_back_with_the_payment(sandbox: Sandbox) -> None:
    """Facts 3.2: no charge while the bank asks; the return address is told how it went."""
    mark = sandbox.mark()
    intent = challenged(sandbox)
    assert intent.next_action.type == "redirect_to_url"
    assert intent.next_action.redirect_to_url.return_url == BACK
    assert intent.latest_charge is None
    shown = sandbox.http("GET", page(intent.next_action.redirect_to_url.url))
    assert shown.status == 200
    assert b"20.00" in shown.body
    answer = sandbox.form(intent.next_action.redirect_to_url.url, answer="pass")
    assert told_back(answer.location, intent) == "succeeded"
    assert sandbox.types(mark) == [
        "payment_intent.created", "payment_intent.requires_action", "charge.succeeded",
        "payment_intent.succeeded", "charge.updated",
    ]  # fmt: skip
    (charge,) = sandbox.api.charges.list({"payment_intent": intent.id}).data
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.three_d_secure is not None
    assert charge.payment_method_details.card.three_d_secure.authentication_flow == "challenge"


def test_3d_secure_failed_is_no_charge_and_another_card_may_be_tried(sandbox: Sandbox) -> None:
    """Facts 3.2: payment_intent_authentication_failure, no charge.failed."""
    intent = challenged(sandbox)
    mark = sandbox.mark()
    answer = sandbox.form(intent.next_action.redirect_to_url.url, answer="fail")
    assert told_back(answer.location, intent) == "failed"
    (event,) = sandbox.events(mark)
    assert event["type"] == "payment_intent.payment_failed"
    about = event["data"]["object"]
    assert about["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert (about["status"], about["latest_charge"], about["next_action"]) == (
        "requires_payment_method",
        None,
        None,
    )
    done = sandbox.api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"


def test_3d_secure_without_a_return_address_is_for_the_shops_own_page(sandbox: Sandbox) -> None:
    intent = paid(sandbox, "pm_card_threeDSecure2Required")
    assert intent.next_action.type == "use_stripe_sdk"
    answer = sandbox.form(intent.next_action.use_stripe_sdk["stripe_js"], answer="pass")
    assert answer.status == 303
    assert sandbox.api.payment_intents.retrieve(intent.id).status == "succeeded"


def test_a_passed_challenge_can_still_end_in_a_decline(sandbox: Sandbox) -> None:
    intent = paid(sandbox, "pm_card_threeDSecureRequiredChargeDeclined", return_url=BACK)
    answer = sandbox.form(intent.next_action.redirect_to_url.url, answer="pass")
    assert told_back(answer.location, intent) == "failed"
    now: Any = sandbox.api.payment_intents.retrieve(intent.id)
    assert (now.status, now.last_payment_error.code) == ("requires_payment_method", "card_declined")


def test_with_manual_confirmation_the_server_confirms_once_more(sandbox: Sandbox) -> None:
    intent = challenged(sandbox, confirmation_method="manual")
    sandbox.form(intent.next_action.redirect_to_url.url, answer="pass")
    assert sandbox.api.payment_intents.retrieve(intent.id).status == "requires_confirmation"
    assert sandbox.api.payment_intents.confirm(intent.id).status == "succeeded"


def test_a_card_is_saved_where_the_payment_says_so(sandbox: Sandbox) -> None:
    """The 3155 card, set up by a payment, is charged off session afterwards."""
    customer = sandbox.customer().id
    mark = sandbox.mark()
    intent = paid(
        sandbox, "pm_card_authenticationRequiredOnSetup",
        customer=customer, setup_future_usage="off_session", return_url=BACK,
    )  # fmt: skip
    sandbox.form(intent.next_action.redirect_to_url.url, answer="pass")
    assert "payment_method.attached" in sandbox.types(mark)
    again = paid(sandbox, intent.payment_method, customer=customer, off_session=True)
    assert again.status == "succeeded"


def test_somebody_elses_card_is_not_charged(sandbox: Sandbox) -> None:
    alice, bob = sandbox.customer().id, sandbox.customer("bob@example.com").id
    saved = sandbox.api.payment_methods.attach("pm_card_visa", {"customer": alice}).id
    for owner in ({}, {"customer": bob}):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            paid(sandbox, saved, **owner)
        assert caught.value.param == "payment_method"


def test_a_hold_is_captured(sandbox: Sandbox) -> None:
    """Facts 1.9: charge.captured tells amount_captured, balance_transaction and captured as they were."""
    mark = sandbox.mark()
    intent = paid(sandbox, capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 2000, 0)
    charge = sandbox.api.charges.retrieve(intent.latest_charge)
    assert (charge.captured, charge.amount_captured, charge.balance_transaction) == (False, 0, None)
    done = sandbox.api.payment_intents.capture(intent.id)
    assert (done.status, done.amount_capturable, done.amount_received) == ("succeeded", 0, 2000)
    told = sandbox.events(mark)
    assert [each["type"] for each in told] == [
        "payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated",
        "charge.captured", "payment_intent.succeeded",
    ]  # fmt: skip
    assert told[3]["data"]["previous_attributes"] == {
        "amount_captured": 0, "balance_transaction": None, "captured": False,
    }  # fmt: skip


def test_a_part_can_be_captured_and_the_rest_is_released(sandbox: Sandbox) -> None:
    intent = paid(sandbox, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.payment_intents.capture(intent.id, {"amount_to_capture": 2001})
    assert caught.value.param == "amount_to_capture"
    done = sandbox.api.payment_intents.capture(intent.id, {"amount_to_capture": 1500})
    assert done.amount_received == 1500
    charge = sandbox.api.charges.retrieve(str(done.latest_charge), {"expand": ["balance_transaction"]})
    assert (charge.amount, charge.amount_captured, charge.amount_refunded, charge.refunded) == (
        2000,
        1500,
        500,
        False,
    )
    assert charge.balance_transaction.amount == 1500  # type: ignore[union-attr]
    assert sandbox.api.refunds.create({"charge": charge.id}).amount == 1500


def test_a_hold_that_is_canceled_is_given_back(sandbox: Sandbox) -> None:
    intent = paid(sandbox, capture_method="manual")
    mark = sandbox.mark()
    gone = sandbox.api.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason, gone.amount_capturable) == ("canceled", "abandoned", 0)
    assert gone.canceled_at is not None
    assert sandbox.api.charges.retrieve(intent.latest_charge).refunded
    assert sandbox.types(mark) == ["charge.refunded", "payment_intent.canceled"]


def test_a_hold_expires_after_seven_days(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    intent = paid(sandbox, capture_method="manual", customer=customer)
    mark = sandbox.mark()
    sandbox.advance(customer, intent.created + 7 * 86400)
    told = [each for each in sandbox.types(mark) if not each.startswith("test_helpers")]
    assert told == ["charge.expired", "payment_intent.canceled"]
    assert sandbox.api.payment_intents.retrieve(intent.id).cancellation_reason == "expired"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.charges.capture(intent.latest_charge)
    assert caught.value.code == "charge_expired_for_capture"


def test_a_charge_can_be_captured_by_its_own_address(sandbox: Sandbox) -> None:
    intent = paid(sandbox, capture_method="manual")
    charge = sandbox.api.charges.capture(intent.latest_charge, {"amount": 1200})
    assert (charge.captured, charge.amount_captured) == (True, 1200)
    assert sandbox.api.payment_intents.retrieve(intent.id).amount_received == 1200
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.charges.capture(charge.id)
    assert caught.value.code == "charge_already_captured"


def test_a_charge_takes_words(sandbox: Sandbox) -> None:
    charge = paid(sandbox).latest_charge
    mark = sandbox.mark()
    changed = sandbox.api.charges.update(
        charge, {"metadata": {"a": "b"}, "fraud_details": {"user_report": "fraudulent"}}
    )
    assert changed.fraud_details is not None
    assert changed.fraud_details.user_report == "fraudulent"
    (event,) = sandbox.events(mark)
    assert event["type"] == "charge.updated"
    assert set(event["data"]["previous_attributes"]) == {"metadata", "fraud_details"}


def test_a_checkouts_intent_is_the_sessions_own(sandbox: Sandbox) -> None:
    """Facts 1.3: it can be neither confirmed nor canceled by itself."""
    session = sandbox.session("payment")
    sandbox.card(session.url, "4000000000000002")
    (intent,) = sandbox.api.payment_intents.list({"customer": session.customer}).data
    api = sandbox.api.payment_intents
    for call in (
        lambda: api.confirm(intent.id, {"payment_method": "pm_card_visa"}),
        lambda: api.cancel(intent.id),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call()
        assert caught.value.code == NO
    assert sandbox.card(session.url).status == 303


def test_confirming_an_invoices_intent_pays_the_invoice(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    (intent, *_) = sandbox.api.payment_intents.list({"customer": sub.customer}).data
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.payment_intents.cancel(intent.id)
    assert caught.value.code == NO
    assert (
        sandbox.api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status
        == "succeeded"
    )
    assert sandbox.api.invoices.retrieve(sub.latest_invoice).status == "paid"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_a_client_secret_must_be_the_intents_own(sandbox: Sandbox) -> None:
    intent = made(sandbox)
    api = sandbox.api.payment_intents
    assert api.retrieve(intent.id, {"client_secret": intent.client_secret}).id == intent.id
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.retrieve(intent.id, {"client_secret": "pi_1_secret_2"})
    assert caught.value.param == "client_secret"
