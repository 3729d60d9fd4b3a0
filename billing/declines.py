"""What to say of a failed payment: why, in words fit for the person, and whether Stripe will try again."""

from __future__ import annotations

from billing.language import _, later
from billing.models import Invoice
from billing.words import day

_TEXTS = {
    later("The card has expired."): ("expired_card",),
    later("There wasn’t enough money on the card."): ("insufficient_funds",),
    later("Some card details didn’t match."): (
        "incorrect_number",
        "incorrect_cvc",
        "incorrect_zip",
        "invalid_cvc",
        "invalid_number",
        "invalid_expiry_month",
        "invalid_expiry_year",
    ),
    later("This card can’t be used for this payment."): (
        "card_not_supported",
        "currency_not_supported",
        "transaction_not_allowed",
    ),
    later("The card reached a spending limit."): (
        "card_velocity_exceeded",
        "withdrawal_count_limit_exceeded",
    ),
    later("Your bank had a temporary problem."): (
        "processing_error",
        "issuer_not_available",
        "try_again_later",
        "reenter_transaction",
    ),
    later("Your bank wants you to confirm it’s you."): (
        "authentication_required",
        "payment_intent_authentication_failure",
    ),
}
TEXT_BY_CODE = {code: text for text, codes in _TEXTS.items() for code in codes}

# Lost, stolen and fraud codes fall here on purpose: Stripe asks that they be shown as a generic decline.
GENERIC = later("Your bank declined the payment and didn’t say why.")

# After these Stripe counts on but tries no more until there is a new payment method
# (docs.stripe.com/billing/revenue-recovery/smart-retries); an expired card is added by our choice.
HARD = frozenset(
    {
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "stolen_card",
        "revocation_of_authorization",
        "revocation_of_all_authorizations",
        "authentication_required",
        "highest_risk_level",
        "transaction_not_allowed",
        "expired_card",
    }
)


def reason(code: str | None) -> str:
    """One sentence for the person; an unknown code gives the generic one."""
    return _(TEXT_BY_CODE.get(code or "", GENERIC))


def will_retry(code: str | None, next_attempt: object) -> bool:
    """Whether Stripe will really try this card again."""
    return next_attempt is not None and code not in HARD


def retry_text(invoice: Invoice) -> str:
    """What comes next of itself; never promises a try that Stripe will not make. An invoice that is sent is awaited."""
    if invoice.due_date is not None:
        return _("Pay by {date}.", date=day(invoice.due_date))
    if will_retry(invoice.decline_code, invoice.next_payment_attempt):
        return _("We’ll try again on {date}.", date=day(invoice.next_payment_attempt))
    return _("We can’t try this card again. Add another card and we’ll take the payment straight away.")
