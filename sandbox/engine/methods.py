"""Payment methods: cards typed in, attached to a customer, made the default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from sandbox import cards, clock
from sandbox.errors import card_error, doc_url, missing, request_error
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import card_method
from sandbox.store import public

Json = dict[str, Any]


class Problem(NamedTuple):
    """Why a typed card can't be read: Stripe's code, the form's field, words for the person."""

    code: str
    field: str
    message: str


def problem(number: str, exp_month: int, exp_year: int, cvc: str) -> Problem | None:
    """What is wrong with a typed card, or None."""
    digits = number.replace(" ", "").replace("-", "")
    if not cards.luhn(digits):
        return Problem("incorrect_number", "number", "Your card number is incorrect.")
    if not 1 <= exp_month <= 12:
        return Problem("invalid_expiry_month", "exp", "There is no such month of expiry.")
    today = datetime.now(UTC)
    if (exp_year, exp_month) < (today.year, today.month) or exp_year > today.year + 50:
        return Problem("invalid_expiry_year", "exp", "Your card's date of expiry is in the past.")
    lengths = (4,) if cards.known(digits).brand == "amex" else (3,)
    if not (cvc.isascii() and cvc.isdigit()) or len(cvc) not in lengths:
        return Problem("incorrect_cvc", "cvc", f"The security code has {lengths[0]} digits.")
    return None


def some_cvc(number: str) -> str:
    """A security code of the right length, for a card that is given without one."""
    return "1234" if cards.known(number.replace(" ", "")).brand == "amex" else "123"


def create(
    number: str, billing: Json, created: int, exp: tuple[int, int] | None = None, cvc_given: bool = True
) -> Json:
    """A stored card of nobody. `exp` is (month, year); by default December in four years."""
    card = cards.known(number.replace(" ", "").replace("-", ""))
    month, year = exp or (12, datetime.now(UTC).year + 4)
    shape = {
        "number": card.number,
        "brand": card.brand,
        "checks": _checks(card, billing.get("address") or {}, cvc_given),
        "funding": card.funding,
        "country": card.country,
        "exp_month": month,
        "exp_year": year,
        "three_d_secure": card.supports_three_d_secure,
    }
    method = card_method.payment_method(created, shape, billing)
    method["_set_up"] = card.already_set_up
    method["_risk"] = card.risk
    return db().put(method)


def _checks(card: cards.TestCard, address: Json, cvc_given: bool) -> Json:
    """What the bank says of security code and address. A card that fails a check fails it unasked too: its
    alias carries no address."""
    return {
        "address_line1_check": card.line1_check or ("pass" if address.get("line1") else None),
        "address_postal_code_check": card.zip_check or ("pass" if address.get("postal_code") else None),
        "cvc_check": card.cvc_check if cvc_given else None,
    }


def find(id_: str, param: str = "payment_method") -> Json:
    """A stored payment method by id; a `pm_card_*` or `tok_*` alias makes a fresh one, as at Stripe."""
    method = db().find("payment_method", id_)
    if method is not None:
        return method
    card = cards.alias(id_)
    if card is None:
        raise missing("PaymentMethod", id_, param, 400)
    return create(card.number, {}, clock.wall())


def expired(method: Json, now: int) -> bool:
    """Whether a saved card's last month has passed; its bank renews it first where the account has that."""
    today = datetime.fromtimestamp(now, UTC)
    card = method["card"]
    if (card["exp_year"], card["exp_month"]) >= (today.year, today.month):
        return False
    if house().settings()["card_updater"] == "off":
        return True

    def renew(obj: Json) -> None:
        obj["card"]["exp_year"] = today.year + 4

    change(method, "payment_method.automatically_updated", renew)
    return False


def attach(method: Json, customer: Json) -> Json:
    """Bind a card to a customer, if the bank has nothing against it."""
    if method["customer"] not in (None, customer["id"]):
        raise request_error(
            "The payment method you provided has already been attached to a customer.", param="payment_method"
        )
    check(method)
    return bind(method, customer["id"])


def check(method: Json) -> None:
    """Ask the bank without charging; 402 for the cards that it refuses at once."""
    card = cards.known(method["_number"]) if method["type"] == "card" else None
    if card is not None and card.decline is not None and not card.attaches:
        raise card_error(refusal(card.decline, None, None))


def bind(method: Json, customer_id: str) -> Json:
    """Attach without asking the bank: the card just worked."""
    if method["customer"] == customer_id:
        return method
    method["customer"] = customer_id
    db().put(method)
    emit("payment_method.attached", method)
    return method


def detach(method: Json) -> Json:
    """Unbind a card; nothing charges it again."""
    owner = method["customer"]
    method["customer"] = None
    db().put(method | {"_detached": True})
    emit("payment_method.detached", method, {"customer": owner})
    return method


def make_default(customer: Json, method_id: str) -> None:
    """Set the customer's default and replace the own default of each living subscription that has one."""

    def edit(obj: Json) -> None:
        obj["invoice_settings"]["default_payment_method"] = method_id

    change(customer, "customer.updated", edit)
    for sub in db().all("subscription", customer=customer["id"]):
        if sub["default_payment_method"] and sub["status"] not in ("canceled", "incomplete_expired"):
            change(sub, "customer.subscription.updated", default_payment_method=method_id)


def of(subscription: Json | None, customer: Json) -> Json | None:
    """What Stripe charges: the subscription's default payment method, its default source, the customer's
    default payment method, its default source."""
    own = subscription or {}
    for id_ in (
        own.get("default_payment_method"),
        own.get("default_source"),
        customer["invoice_settings"]["default_payment_method"],
        customer["default_source"],
    ):
        method = db().find("payment_method", id_)
        if method is not None and method["customer"] == customer["id"]:
            return method
    return None


def refusal(decline: cards.Decline, charge: Json | None, method: Json | None) -> Json:
    """A decline as `last_payment_error` and the body of a 402 say it."""
    return {
        "advice_code": decline.advice_code,
        "charge": charge["id"] if charge else None,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": doc_url(decline.code),
        "message": decline.message,
        "network_decline_code": decline.network_decline_code,
        "payment_method": public(method) if method else None,
        "type": "card_error",
    }
