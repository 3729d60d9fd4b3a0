"""Before a plan is paid for: no plan, the first payment, the trial."""

from __future__ import annotations

from billing.language import _
from billing.line import FIRST_PAYMENT
from billing.sentences.parts import join, plan_of
from billing.standing import Standing
from billing.words import day, moment_text

WORKING_DAYS = 14  # a bank debit’s: Stripe says so of SEPA and of ACH


def none(s: Standing) -> tuple[str, str]:
    return (
        _("You don’t have a plan yet."),
        _("Choose a plan to get started. You can cancel at any time from this page."),
    )


def first_confirming(s: Standing) -> tuple[str, str]:
    if not s.facts.processing:
        usual = _("This usually takes a few seconds. You don’t need to pay again.")
        return _("We’re confirming your payment."), usual
    slow = _("Bank payments can take up to {days} working days. We’ll email you.", days=WORKING_DAYS)
    access = (
        _("You have access meanwhile.") if s.access else _("Your access begins when the payment arrives.")
    )
    return _("Your bank payment is on its way."), join(slow, access)


def first_action(s: Standing) -> tuple[str, str]:
    first, facts = _("Your bank wants you to confirm this payment."), s.facts
    if facts.created is None:
        return first, _("Until you do, nothing is charged.")
    by = moment_text(facts.created + FIRST_PAYMENT)
    if facts.owed is None:
        return first, _("Confirm it before {moment} or this order lapses and you pay nothing.", moment=by)
    text = _(
        "Confirm {amount} before {moment} or this order lapses and you pay nothing.",
        amount=facts.owed,
        moment=by,
    )
    return first, text


def first_failed(s: Standing) -> tuple[str, str]:
    by = s.facts.created and moment_text(s.facts.created + FIRST_PAYMENT)
    again = _("You can try again until {moment}.", moment=by) if by else None
    return _("Your payment didn’t go through."), join(
        s.facts.decline_text, _("Nothing has been charged."), again
    )


def first_lapsed(s: Standing) -> tuple[str, str]:
    return (
        _("Your order wasn’t completed, so it has lapsed."),
        _("You were not charged. You can start again whenever you like."),
    )


def trial_ending_off(s: Standing) -> tuple[str, str]:
    end = day(s.facts.ends_at)
    first = (
        _("Your trial ends on {date} and won’t become a paid plan.", date=end)
        if end
        else _("Your trial won’t become a paid plan.")
    )
    return first, _("You have full access until then and won’t be charged.")


# What becomes of a trial that ends without a card (Subscription.trial_settings.end_behavior.missing_payment_method).
def _without_card(s: Standing) -> str | None:
    plan, behavior = plan_of(s), s.facts.trial_end_behavior
    if behavior == "pause":
        return _("Without a card, {plan} pauses that day.", plan=plan)
    if behavior == "cancel":
        return _("Without a card, {plan} ends that day.", plan=plan)
    if behavior == "create_invoice":
        return _("Without a card, {plan} sends you an invoice that day.", plan=plan)
    return None


def trialing_no_card(s: Standing) -> tuple[str, str]:
    end, plan = day(s.facts.trial_end), plan_of(s)
    first = (
        _("Your {plan} trial ends on {date}. Add a card to keep going.", plan=plan, date=end)
        if end
        else _("Your {plan} trial ends soon. Add a card to keep going.", plan=plan)
    )
    return first, join(_without_card(s), _("You won’t be charged before then."))


def trialing(s: Standing) -> tuple[str, str]:
    end, plan = day(s.facts.trial_end), plan_of(s)
    first = (
        _("Your {plan} trial runs until {date}.", plan=plan, date=end)
        if end
        else _("Your {plan} trial is running.", plan=plan)
    )
    return first, join(_first_charge(s), _("Cancel before then and you pay nothing."))


def _first_charge(s: Standing) -> str:
    price, card = s.facts.price, s.facts.card
    if s.facts.by_invoice:
        return _("We’ll send you the first invoice that day.")
    if price and card:
        return _("Your first payment will be {amount} that day, from {card}.", amount=price, card=card)
    if price:
        return _("Your first payment will be {amount} that day.", amount=price)
    return _("Your first payment will be that day.")
