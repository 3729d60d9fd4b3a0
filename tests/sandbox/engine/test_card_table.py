"""Every test card of facts 5, by its number and each alias: at attach, at a payment with a person, without one."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import stripe

from sandbox import cards
from tests.sandbox.engine.driver import Sandbox

OK, ASKS, NEEDS = "ok", "3ds", "authentication_required"
GENERIC, POOR = "card_declined/generic_decline", "card_declined/insufficient_funds"


class Row(NamedTuple):
    """What comes of a card: ok, 3ds, or `code` and `code/decline_code` of the refusal."""

    number: str
    aliases: str = ""
    attach: str = OK
    present: str = OK
    absent: str = OK


def refused(number: str, aliases: str, code: str) -> Row:
    return Row(number, aliases, code, code, code)


def later(number: str, aliases: str, code: str) -> Row:
    return Row(number, aliases, OK, code, code)


def asking(number: str, aliases: str) -> Row:
    return Row(number, aliases, OK, ASKS, f"{NEEDS}/{NEEDS}")


TABLE = (
    Row("4242424242424242", "visa"),
    Row("4000056655665556", "visa_debit"),
    Row("5555555555554444", "mastercard"),
    Row("2223003122003222"),
    Row("5200828282828210", "mastercard_debit"),
    Row("5105105105105100", "mastercard_prepaid"),
    Row("378282246310005", "amex amex_threeDSecureNotSupported"),
    Row("371449635398431"),
    Row("6011111111111117", "discover"),
    Row("3056930009020004", "diners"),
    Row("3566002020360505", "jcb"),
    Row("6200000000000005", "unionpay"),
    Row("6205500000000000004"),
    asking("4000002500003155", "authenticationRequiredOnSetup"),
    asking("4000002760003184", "authenticationRequired"),
    Row("4000003800000446", "authenticationRequiredSetupForOffSession", OK, ASKS, OK),
    asking("4000000000003220", "threeDSecure2Required"),
    asking("4000008400001629", "threeDSecureRequiredChargeDeclined"),
    later("4000008400001280", "threeDSecureRequiredProcessingError", GENERIC),
    asking("4000000000003063", "threeDSecureRequired"),
    Row("4000000000003055", "threeDSecureOptional"),
    Row("4000000032200000"),
    refused("4000000000000002", "visa_chargeDeclined chargeDeclined", GENERIC),
    refused("4000000000009995", "visa_chargeDeclinedInsufficientFunds", POOR),
    refused("4000000000009987", "visa_chargeDeclinedLostCard", "card_declined/lost_card"),
    refused("4000000000009979", "visa_chargeDeclinedStolenCard", "card_declined/stolen_card"),
    refused("4000000000000069", "chargeDeclinedExpiredCard", "expired_card"),
    refused("4000000000000127", "chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    refused("4000000000000119", "chargeDeclinedProcessingError", "processing_error"),
    refused(
        "4000000000006975", "visa_chargeDeclinedVelocityLimitExceeded", "card_declined/card_velocity_exceeded"
    ),
    later("4000000000000341", "chargeCustomerFail", GENERIC),
    later("4100000000000019", "radarBlock", "card_declined/fraudulent"),
    later("4000000000004954", "riskLevelHighest", "card_declined/highest_risk_level"),
    Row("4000000000009235", "riskLevelElevated"),
    Row("4000000000000101", "cvcCheckFail"),
    Row("4000000000000036", "avsZipFail"),
    Row("4000000000000259", "createDispute"),
    Row("4000000000002685", "createDisputeProductNotReceived"),
    Row("4000000000001976", "createDisputeInquiry"),
    Row("4000000000005423", "createIssuerFraudRecord"),
    Row("4000000404000079", "createMultipleDisputes"),
    Row("4000000404000038", "createCe3EligibleDispute"),
    Row("4000008400000779", "createComplianceDispute"),
    Row("4000000000007726", "pendingRefund"),
    Row("4000000000005126", "refundFail"),
)
NAMED = [
    (row, name)
    for row in TABLE
    for name in (
        row.number,
        *(f"{kind}_{each}" for each in row.aliases.split() for kind in ("pm_card", "tok")),
    )
]


def method(sandbox: Sandbox, name: str) -> str:
    """A payment method that nothing was done with yet."""
    if name.startswith("pm_card"):
        return name
    cvc = "1234" if name.startswith("3") and len(name) == 15 else "123"
    typed: Any = {"number": name, "exp_month": 12, "exp_year": 2034, "cvc": cvc}
    card: Any = {"token": name} if name.startswith("tok") else typed
    return sandbox.api.payment_methods.create({"type": "card", "card": card}).id


def outcome(what: Any) -> str:
    """ok, 3ds, or the code of the refusal."""
    try:
        done = what()
    except stripe.CardError as refusal:
        error: Any = refusal.error
        decline = getattr(error, "decline_code", None)
        return f"{refusal.code}/{decline}" if decline else str(refusal.code)
    return ASKS if getattr(done, "status", "") == "requires_action" else OK


@pytest.mark.parametrize(("row", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_card_does_what_its_row_says(sandbox: Sandbox, row: Row, name: str) -> None:
    api = sandbox.api
    customer = api.customers.create().id
    money: Any = {"amount": 2000, "currency": "usd", "confirm": True, "return_url": "http://127.0.0.1:9/back"}
    saved = method(sandbox, name)
    if row.attach == OK:
        saved = api.payment_methods.attach(saved, {"customer": customer}).id
        money["customer"] = customer
    else:
        assert outcome(lambda: api.payment_methods.attach(saved, {"customer": customer})) == row.attach
    assert outcome(lambda: api.payment_intents.create({**money, "payment_method": saved})) == row.present
    if row.attach != OK:
        saved = method(sandbox, name)
    absent = {**money, "payment_method": saved, "off_session": True}
    assert outcome(lambda: api.payment_intents.create(absent)) == row.absent


def test_every_card_of_the_sandbox_with_an_alias_is_in_the_table() -> None:
    # Older pages alone know these (facts 5 marks them): no test depends on them.
    unsure = {"avsFail", "avsLine1Fail", "avsUnchecked", "bypassPending"}
    unsure |= {"authenticationRequiredChargeDeclinedInsufficientFunds"}
    unsure |= {alias for alias in cards.BY_ALIAS if alias.startswith("chargeDeclined")}
    assert set(cards.BY_ALIAS) - unsure <= {alias for row in TABLE for alias in row.aliases.split()}


@pytest.mark.parametrize(
    ("card", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
        ({"exp_year": 2020}, "invalid_expiry_year", "exp_year"),
        ({"cvc": "99"}, "incorrect_cvc", "cvc"),
    ],
)
def test_what_is_no_card_is_refused_before_any_bank_is_asked(
    sandbox: Sandbox, card: Any, code: str, param: str
) -> None:
    typed = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123", **card}
    with pytest.raises(stripe.CardError) as caught:
        sandbox.api.payment_methods.create({"type": "card", "card": typed})
    assert (caught.value.code, caught.value.param) == (code, param)


def pay(sandbox: Sandbox, token: str, **more: Any) -> Any:
    """The charge of a payment with that card."""
    money: Any = {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": token, **more}
    intent = sandbox.api.payment_intents.create({**money, "expand": ["latest_charge"]})
    return intent.latest_charge


@pytest.mark.parametrize(
    ("token", "cvc", "line1", "postcode"),
    [
        ("pm_card_visa", "pass", None, None),
        ("pm_card_cvcCheckFail", "fail", None, None),
        ("pm_card_avsZipFail", "pass", "pass", "fail"),
    ],
)
def test_checks_are_on_the_card_and_on_the_charge(
    sandbox: Sandbox, token: str, cvc: str, line1: str | None, postcode: str | None
) -> None:
    checks = pay(sandbox, token).payment_method_details.card.checks
    assert (checks.cvc_check, checks.address_line1_check, checks.address_postal_code_check) == (
        cvc, line1, postcode,
    )  # fmt: skip


def test_an_elevated_risk_is_said_and_the_payment_goes_through(sandbox: Sandbox) -> None:
    charge = pay(sandbox, "pm_card_riskLevelElevated")
    assert (charge.status, charge.outcome.risk_level, charge.outcome.type) == (
        "succeeded", "elevated", "authorized",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("token", "reason"),
    [("pm_card_radarBlock", "fraudulent"), ("pm_card_riskLevelHighest", "highest_risk_level")],
)
def test_radar_blocks_before_the_network_is_asked(sandbox: Sandbox, token: str, reason: str) -> None:
    with pytest.raises(stripe.CardError) as caught:
        pay(sandbox, token)
    charge = sandbox.api.charges.retrieve(str(caught.value.error.charge))  # type: ignore[union-attr]
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.outcome.network_status) == ("blocked", "not_sent_to_network")
    assert (charge.outcome.risk_level, charge.outcome.reason) == ("highest", reason)


def test_a_card_without_friction_is_authenticated_without_asking(sandbox: Sandbox) -> None:
    typed: Any = {"number": "4000000032200000", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    saved = sandbox.api.payment_methods.create({"type": "card", "card": typed}).id
    done = pay(sandbox, saved).payment_method_details.card.three_d_secure
    assert (done.authentication_flow, done.result) == ("frictionless", "authenticated")


@pytest.mark.parametrize(
    ("token", "wanted", "status"),
    [
        ("pm_card_threeDSecureOptional", "any", "requires_action"),
        ("pm_card_threeDSecureOptional", "challenge", "requires_action"),
        ("pm_card_threeDSecureOptional", "automatic", "succeeded"),
        ("pm_card_visa", "any", "succeeded"),
        ("pm_card_amex_threeDSecureNotSupported", "any", "succeeded"),
    ],
)
def test_3d_secure_on_request_needs_a_card_that_has_it(
    sandbox: Sandbox, token: str, wanted: Any, status: str
) -> None:
    options: Any = {"card": {"request_three_d_secure": wanted}}
    money: Any = {"amount": 2000, "currency": "usd", "confirm": True, "payment_method": token}
    assert sandbox.api.payment_intents.create({**money, "payment_method_options": options}).status == status


def test_a_saved_cards_month_can_pass(sandbox: Sandbox) -> None:
    """Declined off session, unless the bank renews it first; a person's payment is not looked at."""
    clock = sandbox.api.test_helpers.test_clocks.create({"frozen_time": 2_051_222_400})  # 1 January 2035
    customer = sandbox.api.customers.create({"test_clock": clock.id}).id
    typed: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    saved = sandbox.api.payment_methods.create({"type": "card", "card": typed}).id
    sandbox.api.payment_methods.attach(saved, {"customer": customer})
    with pytest.raises(stripe.CardError) as caught:
        pay(sandbox, saved, customer=customer, off_session=True)
    assert caught.value.code == "expired_card"
    sandbox.control("settings", card_updater="on")
    mark = sandbox.mark()
    assert pay(sandbox, saved, customer=customer, off_session=True).paid
    sandbox.control("settings", card_updater="off")
    renewed = sandbox.events(mark)[1]
    assert renewed["type"] == "payment_method.automatically_updated"
    assert renewed["data"]["previous_attributes"] == {"card": {"exp_year": 2034}}
    assert renewed["data"]["object"]["card"]["exp_year"] == 2039
