"""What became of a one-off purchase, in the words of its own page: by our rows alone, which applied events wrote."""

from __future__ import annotations

from billing.became import State
from billing.language import _
from billing.models import Payment, StripeWrite
from billing.money import format_money
from billing.sentences.beginnings import WORKING_DAYS
from billing.voice import Action
from billing.words import day


def of_write(write: StripeWrite, address: str) -> State:
    """Of a purchase with the saved card of which no event has been applied yet. ``address``: its page."""
    again = Action(_("Check again"), address)
    if write.state == "done":
        return State(
            "confirming", _("We’re confirming your payment."),
            _("This usually takes a few seconds. You don’t need to pay again."), _("Confirming"), "◌", "wait", again,
        )  # fmt: skip
    return State(
        "unknown", _("We don’t know yet whether your payment went through."),
        _("Stripe hasn’t answered us. Don’t pay again: we keep asking, and this page says what we hear."),
        _("Confirming"), "◌", "wait", again,
    )  # fmt: skip


def of_payment(payment: Payment, item: str, *, lost: bool) -> State:
    """Of a purchase that Stripe has told us of. ``lost``: its payer's bank took the money back."""
    amount = format_money(payment.amount, payment.currency)
    if payment.status == "succeeded":
        return _lost(amount) if lost else _paid(payment, item, amount)
    if payment.status == "processing":
        slow = _(
            "Bank payments can take up to {days} working days. {item} is yours once it arrives, and we’ll email you.",
            days=WORKING_DAYS,
            item=item,
        )
        return State(
            "processing", _("Your bank payment is on its way."), slow, _("Processing"), "◌", "wait",
            Action(_("Go to billing"), "/billing"),
        )  # fmt: skip
    if payment.status == "requires_action":
        return State(
            "action", _("Your bank wants you to confirm this payment."),
            _("You haven’t been charged. {amount} is taken once you confirm.", amount=amount),
            _("Confirm payment"), "▲", "look",
            Action(_("Confirm payment"), f"/orders/{payment.payment_intent}/confirm", "post"),
        )  # fmt: skip
    if payment.status in ("requires_payment_method", "canceled"):
        return State(
            "failed", _("This payment didn’t go through."), _("Nothing was taken. Choose another way to pay."),
            _("Not paid"), "▲", "look", Action(_("Buy {item}", item=item), f"/buy/{payment.product}"), final=True,
        )  # fmt: skip
    return State(
        "confirming", _("We’re confirming your payment."), _("You don’t need to pay again."),
        _("Confirming"), "◌", "wait", Action(_("Check again"), f"/orders/{payment.payment_intent}"),
    )  # fmt: skip


def _lost(amount: str) -> State:
    return State(
        "lost", _("Your bank took this payment back."),
        _("{amount} went back to you after a dispute, and what it bought was taken back.", amount=amount),
        _("Taken back"), "■", "stop", Action(_("See the shop"), "/shop"), final=True,
    )  # fmt: skip


def _paid(payment: Payment, item: str, amount: str) -> State:
    billing, back = Action(_("Go to billing"), "/billing"), payment.amount_refunded
    if back >= payment.amount:
        return State(
            "refunded", _("{amount} went back to you.", amount=amount),
            _("Your purchase of {item} was refunded in full, and taken back.", item=item),
            _("Refunded"), "↺", "rest", billing, final=True,
        )  # fmt: skip
    if back:
        part = format_money(back, payment.currency)
        return State(
            "partly_refunded", _("{part} of {amount} went back to you.", part=part, amount=amount),
            _("Your purchase of {item} was refunded in part.", item=item),
            _("Partly refunded"), "↺", "rest", billing, final=True,
        )  # fmt: skip
    return State(
        "bought", _("You bought {item}.", item=item),
        _("{amount}, paid on {day}.", amount=amount, day=day(payment.created)), _("Paid"), "●", "good", billing,
        final=True,
    )  # fmt: skip
