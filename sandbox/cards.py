"""The test cards: what each number does at setup, at a payment, afterwards and at a refund."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]

# When the bank asks for 3D Secure; `unless_set_up` spares off-session charges of a card set up before,
# `on_request` asks only where the payment demands it, `frictionless` authenticates without asking.
ThreeDSecure = Literal["never", "on_request", "frictionless", "unless_set_up", "always"]
Check = Literal["pass", "fail", "unavailable", "unchecked"]


@dataclass(frozen=True)
class Decline:
    """Stripe's words for a refusal: error code, decline code, message, and what else its outcome says."""

    code: str
    decline_code: str | None
    message: str
    network_decline_code: str | None = None
    advice_code: str | None = None
    blocked: bool = False
    risk: str = "normal"

    def as_json(self) -> Json:
        return dict(vars(self))


@dataclass(frozen=True)
class TestCard:
    __test__ = False  # not a test case, whatever pytest thinks of the name

    number: str
    aliases: tuple[str, ...] = ()
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    decline: Decline | None = None
    attaches: bool = True
    three_d_secure: ThreeDSecure = "never"
    already_set_up: bool = False
    supports_three_d_secure: bool = True
    after: str | None = None  # dispute:<reason> | disputes | ce3 | compliance | inquiry | fraud_warning
    refund: Literal["succeeds", "pending", "fails"] = "succeeds"
    risk: Literal["normal", "elevated"] = "normal"
    cvc_check: Check = "pass"
    line1_check: Check | None = None
    zip_check: Check | None = None
    available_at_once: bool = False

    @property
    def asks_at_setup(self) -> bool:
        """Whether saving it for later needs 3D Secure."""
        return self.three_d_secure in ("unless_set_up", "always") and not self.already_set_up


def _issuer(decline_code: str, message: str = "Your card was declined.", **more: Any) -> Decline:
    return Decline("card_declined", decline_code, message, **more)


GENERIC = _issuer("generic_decline", network_decline_code="01", advice_code="try_again_later")
INSUFFICIENT = _issuer(
    "insufficient_funds", "Your card has insufficient funds.",
    network_decline_code="51", advice_code="try_again_later",
)  # fmt: skip
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required", "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)  # fmt: skip
EXPIRED = Decline("expired_card", None, "Your card has expired.", "54")
NOT_A_TEST_CARD = _issuer(
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid"
    " test cards, visit: https://stripe.com/docs/testing.",
)
# Stripe keeps the schedule going after these but charges only a new payment method.
_HARD = (
    "incorrect_number lost_card pickup_card stolen_card revocation_of_authorization"
    " revocation_of_all_authorizations authentication_required highest_risk_level transaction_not_allowed"
)
HARD = frozenset(_HARD.split())


def _declining(number: str, decline: Decline, *aliases: str) -> TestCard:
    """A card that the bank refuses at once, so that it can't even be attached."""
    return TestCard(number, aliases, decline=decline, attaches=False)


def _words(number: str, code: str, message: str, network: str, alias: str) -> TestCard:
    """A card whose refusal has a code of its own instead of card_declined."""
    return _declining(number, Decline(code, None, message, network), alias)


PROCESSING = "An error occurred while processing your card. Try again in a little bit."

TABLE: tuple[TestCard, ...] = (
    TestCard("4242424242424242", ("visa",)),
    TestCard("4000056655665556", ("visa_debit",), funding="debit"),
    TestCard("5555555555554444", ("mastercard",), brand="mastercard"),
    TestCard("2223003122003222", brand="mastercard"),
    TestCard("5200828282828210", ("mastercard_debit",), brand="mastercard", funding="debit"),
    TestCard("5105105105105100", ("mastercard_prepaid",), brand="mastercard", funding="prepaid"),
    TestCard(
        "378282246310005", ("amex", "amex_threeDSecureNotSupported"),
        brand="amex", supports_three_d_secure=False,
    ),
    TestCard("371449635398431", brand="amex"),
    TestCard("6011111111111117", ("discover",), brand="discover"),
    TestCard("6011000990139424", brand="discover"),
    TestCard("3056930009020004", ("diners",), brand="diners"),
    TestCard("36227206271667", brand="diners"),
    TestCard("3566002020360505", ("jcb",), brand="jcb", country="JP"),
    TestCard("6200000000000005", ("unionpay",), brand="unionpay", country="CN"),
    TestCard("6205500000000000004", brand="unionpay", country="CN"),
    TestCard("4000002500003155", ("authenticationRequiredOnSetup",), three_d_secure="unless_set_up"),
    TestCard("4000002760003184", ("authenticationRequired",), three_d_secure="always", country="DE"),
    TestCard(
        "4000003800000446", ("authenticationRequiredSetupForOffSession",),
        three_d_secure="unless_set_up", already_set_up=True,
    ),
    TestCard("4000000000003220", ("threeDSecure2Required",), three_d_secure="unless_set_up"),
    TestCard("4000000000003063", ("threeDSecureRequired",), three_d_secure="unless_set_up"),
    TestCard("4000000000003055", ("threeDSecureOptional",), three_d_secure="on_request"),
    TestCard("4000000032200000", three_d_secure="frictionless"),
    TestCard(
        "4000008260003178", ("authenticationRequiredChargeDeclinedInsufficientFunds",),
        three_d_secure="always", decline=INSUFFICIENT,
    ),
    TestCard(
        "4000008400001629", ("threeDSecureRequiredChargeDeclined",),
        three_d_secure="always", decline=GENERIC,
    ),
    TestCard("4000008400001280", ("threeDSecureRequiredProcessingError",), decline=GENERIC),
    _declining("4000000000000002", GENERIC, "visa_chargeDeclined", "chargeDeclined"),
    _declining(
        "4000000000009995", INSUFFICIENT,
        "visa_chargeDeclinedInsufficientFunds", "chargeDeclinedInsufficientFunds",
    ),
    _declining(
        "4000000000009987", _issuer("lost_card", network_decline_code="41"),
        "visa_chargeDeclinedLostCard", "chargeDeclinedLostCard",
    ),
    _declining(
        "4000000000009979", _issuer("stolen_card", network_decline_code="43"),
        "visa_chargeDeclinedStolenCard", "chargeDeclinedStolenCard",
    ),
    _declining(
        "4000000000006975", _issuer("card_velocity_exceeded", network_decline_code="65"),
        "visa_chargeDeclinedVelocityLimitExceeded",
    ),
    _declining("4000000000000069", EXPIRED, "chargeDeclinedExpiredCard"),
    _words(
        "4000000000000127", "incorrect_cvc", "Your card's security code is incorrect.", "N7",
        "chargeDeclinedIncorrectCvc",
    ),
    _words("4000000000000119", "processing_error", PROCESSING, "96", "chargeDeclinedProcessingError"),
    TestCard("4000000000000341", ("chargeCustomerFail",), decline=GENERIC),
    TestCard(
        "4100000000000019", ("radarBlock",), decline=_issuer("fraudulent", blocked=True, risk="highest"),
    ),
    TestCard(
        "4000000000004954", ("riskLevelHighest",),
        decline=_issuer("highest_risk_level", blocked=True, risk="highest"),
    ),
    TestCard("4000000000009235", ("riskLevelElevated",), risk="elevated"),
    TestCard("4000000000000101", ("cvcCheckFail",), cvc_check="fail"),
    TestCard("4000000000000036", ("avsZipFail",), line1_check="pass", zip_check="fail"),
    TestCard("4000000000000010", ("avsFail",), line1_check="fail", zip_check="fail"),
    TestCard("4000000000000028", ("avsLine1Fail",), line1_check="fail", zip_check="pass"),
    TestCard("4000000000000044", ("avsUnchecked",), line1_check="unavailable", zip_check="unavailable"),
    TestCard("4000000000000259", ("createDispute",), after="dispute:fraudulent", three_d_secure="on_request"),
    TestCard("4000000000002685", ("createDisputeProductNotReceived",), after="dispute:product_not_received"),
    TestCard("4000000000001976", ("createDisputeInquiry",), after="inquiry"),
    TestCard("4000000000005423", ("createIssuerFraudRecord",), after="fraud_warning"),
    TestCard("4000000404000079", ("createMultipleDisputes",), after="disputes"),
    TestCard("4000000404000038", ("createCe3EligibleDispute",), after="ce3"),
    TestCard("4000008400000779", ("createComplianceDispute",), after="compliance"),
    TestCard("4000000000007726", ("pendingRefund",), refund="pending"),
    TestCard("4000000000005126", ("refundFail",), refund="fails"),
    TestCard("4000000000000077", ("bypassPending",), available_at_once=True),
    TestCard("4000000000003089"),
    TestCard("4000000000000093"),
)  # fmt: skip

BY_NUMBER = {card.number: card for card in TABLE}
BY_ALIAS = {alias: card for card in TABLE for alias in card.aliases}


def known(number: str) -> TestCard:
    """The card of that number; any other valid number is one that test mode declines."""
    return BY_NUMBER.get(number) or TestCard(number, decline=NOT_A_TEST_CARD, attaches=False)


def alias(token: str) -> TestCard | None:
    """The card behind `pm_card_visa` or `tok_visa`, or None."""
    for prefix in ("pm_card_", "tok_"):
        if token.startswith(prefix):
            return BY_ALIAS.get(token.removeprefix(prefix))
    return None


def luhn(number: str) -> bool:
    """Whether the digits carry a correct check digit."""
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        return False
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
