"""What else is true of a standing, line by line: whatever its sentence and its body don't already say."""

from __future__ import annotations

from billing.language import _
from billing.sentences.parts import per
from billing.standing import Facts, Standing
from billing.words import day

Line = tuple[str, str | None]


def details(s: Standing) -> list[tuple[str, str]]:
    """Label and value of each; what is not known, or was said above, is left out."""
    facts = s.facts
    lines: list[Line] = [
        (_("Plan"), facts.plan_title if facts.status else None),
        (_("Seats"), str(facts.quantity) if facts.seats else None),
        (_("Price"), per(facts.price, facts.interval) if facts.price and facts.interval else None),
        (_("Payment method"), facts.card),
        (_("Owed"), _owed(facts)),
        (_("Next try"), _next_try(s)),
        (_("Set to end"), _set_to_end(s)),
        (_("Change of plan"), _change(s)),
        (_("Payments"), _payments(s)),
        (_("Dispute"), _dispute(s)),
        (_("Bank"), _bank(s)),
    ]
    return [(label, value) for label, value in lines if value]


def _owed(facts: Facts) -> str | None:
    if facts.owed and facts.owed_number:
        return _("{amount}, invoice {number}", amount=facts.owed, number=facts.owed_number)
    return facts.owed


def _next_try(s: Standing) -> str | None:
    said = s.code in ("past_due", "past_due_hold")
    tried = s.facts.status in ("active", "past_due", "trialing") and s.facts.will_retry
    return day(s.facts.next_attempt) if s.facts.owed and tried and not said else None


def _set_to_end(s: Standing) -> str | None:
    over = s.code in ("canceling", "trial_ending_off") or s.facts.ended_at is not None
    return None if over else day(s.facts.ends_at)


def _change(s: Standing) -> str | None:
    facts = s.facts
    if facts.change is None or s.code == "changing":
        return None
    if facts.change == "pending":
        return (
            _("To {plan}, once its payment is confirmed", plan=facts.change_to)
            if facts.change_to
            else _("Waits for its payment")
        )
    if facts.change_to and facts.change_at:
        return _("To {plan} on {date}", plan=facts.change_to, date=day(facts.change_at))
    return day(facts.change_at)


def _payments(s: Standing) -> str | None:
    facts = s.facts
    if facts.pause_behavior is None or s.code == "collection_paused":
        return None
    if facts.pause_resumes_at:
        return _("Paused until {date}", date=day(facts.pause_resumes_at))
    return _("Paused")


def _dispute(s: Standing) -> str | None:
    amount, paid = s.facts.disputed, day(s.facts.disputed_paid_at)
    if amount is None or s.code in ("disputed", "disputed_hold"):
        return None
    if paid is None:
        return _("The {amount} payment is disputed", amount=amount)
    return _("The {amount} payment of {date} is disputed", amount=amount, date=paid)


def _bank(s: Standing) -> str | None:
    if s.facts.needs_action and s.code not in ("action_required", "first_action"):
        return _("Wants you to confirm a payment")
    return None
