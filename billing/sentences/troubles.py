"""When money is missing or contested: unpaid, past due, paused for it, disputed."""

from __future__ import annotations

from billing.language import _
from billing.sentences.parts import join, keep, per, plan_of
from billing.standing import Standing
from billing.words import day


def disputed_hold(s: Standing) -> tuple[str, str]:
    way_out = _("If that’s a mistake, tell your bank or write to us; we can sort it out together.")
    return _("Your plan is on hold while a payment is disputed."), join(_dispute(s), way_out)


def disputed(s: Standing) -> tuple[str, str]:
    way_out = _("If that’s a mistake, tell your bank or write to us.")
    access = _("Your access continues while the bank decides.")
    return _("A payment is being disputed."), join(_dispute(s), way_out, access if s.access else None)


def _dispute(s: Standing) -> str:
    amount, paid = s.facts.disputed, day(s.facts.disputed_paid_at)
    if amount is None:
        return _("Your bank told us that a payment was disputed.")
    if paid is None:
        return _("Your bank told us the {amount} payment was disputed.", amount=amount)
    return _("Your bank told us the {amount} payment of {date} was disputed.", amount=amount, date=paid)


def unpaid(s: Standing) -> tuple[str, str]:
    owed = s.facts.owed
    first = (
        _("Your plan is on hold because {amount} is unpaid.", amount=owed)
        if owed
        else _("Your plan is on hold because a payment is missing.")
    )
    back = _("Pay the invoice and your access returns as soon as the payment is confirmed.")
    tried = None if s.facts.by_invoice else _("We’ve stopped trying your card.")
    return first, join(tried, back, keep(s))


def paused_trial(s: Standing) -> tuple[str, str]:
    facts, plan = s.facts, plan_of(s)
    not_charged = _("You haven’t been charged.")
    resumes = (
        _("Add a card and {plan} resumes at {price}.", plan=plan, price=per(facts.price, facts.interval))
        if facts.price and facts.interval
        else _("Add a card and {plan} resumes.", plan=plan)
    )
    return _("Your trial has ended and {plan} is paused.", plan=plan), join(not_charged, resumes)


def paused_payment(s: Standing) -> tuple[str, str]:
    owed, plan = s.facts.owed, plan_of(s)
    first = (
        _("{plan} is paused because we couldn’t take {amount}.", plan=plan, amount=owed)
        if owed
        else _("{plan} is paused because we couldn’t take a payment.", plan=plan)
    )
    return first, _("No new charges while it’s paused. Pay the invoice and {plan} resumes.", plan=plan)


def paused_other(s: Standing) -> tuple[str, str]:
    return _("{plan} is paused.", plan=plan_of(s)), _("You won’t be charged while it’s paused.")


def action_required(s: Standing) -> tuple[str, str]:
    owed, due = s.facts.owed, day(s.facts.due_at)
    first = (
        _("Your bank wants you to confirm your {amount} payment.", amount=owed)
        if owed
        else _("Your bank wants you to confirm your payment.")
    )
    until = (
        _("We can’t take the payment due on {date} until you do. It takes a minute.", date=due)
        if due
        else _("We can’t take the payment until you do. It takes a minute.")
    )
    return first, join(until, _access_in_grace(s))


def _access_in_grace(s: Standing) -> str | None:
    if not s.access:
        return _("Your access returns as soon as the payment goes through.")
    return _("You have access until {date}.", date=day(s.grace_end)) if s.grace_end else None


def past_due(s: Standing) -> tuple[str, str]:
    facts = s.facts
    if facts.by_invoice:
        return _("Your last invoice hasn’t been paid."), join(*_by_invoice(s), _full_access(s))
    due = _was_due(facts.owed, day(facts.due_at or facts.first_failed_at))
    first = _("We couldn’t take your last payment.")
    return first, join(due, facts.decline_text, facts.retry_text, _full_access(s))


def _by_invoice(s: Standing) -> tuple[str | None, ...]:
    """No card was tried: what is owed, and by when, or since when."""
    facts = s.facts
    if facts.due_at is not None and facts.due_at > s.now:
        return _was_due(facts.owed, None), facts.retry_text
    return (_was_due(facts.owed, day(facts.due_at or facts.first_failed_at)),)


def _was_due(amount: str | None, due: str | None) -> str:
    if due is None:
        return _("{amount} is due.", amount=amount) if amount else _("A payment is due.")
    if amount is None:
        return _("A payment was due on {date}.", date=due)
    return _("{amount} was due on {date}.", amount=amount, date=due)


def _full_access(s: Standing) -> str | None:
    if not s.access:
        return None
    end = day(s.grace_end)
    return _("You keep full access until {date}.", date=end) if end else _("You keep full access.")


def past_due_hold(s: Standing) -> tuple[str, str]:
    owed = s.facts.owed
    first = (
        _("Your access is on hold until {amount} is paid.", amount=owed)
        if owed
        else _("Your access is on hold until your last payment is made.")
    )
    back = _("Access returns as soon as the payment goes through.")
    said = _by_invoice(s) if s.facts.by_invoice else (s.facts.decline_text, s.facts.retry_text)
    return first, join(*said, back)
