"""The plain course of a plan: running, changing, paused as asked, ending, ended; and what we can’t tell."""

from __future__ import annotations

from billing.language import _, _n
from billing.sentences.parts import join, keep, plan_of
from billing.standing import Standing
from billing.words import day


def paused_asked(s: Standing) -> tuple[str, str]:
    return _("{plan} is paused, as you asked.", plan=plan_of(s)), join(
        _("You won’t be charged while it’s paused."),
        _resumes(s),
        _("You have access meanwhile.") if s.access else None,
    )


def _resumes(s: Standing) -> str:
    date, price = day(s.facts.resumes_at), s.facts.price
    if date is None:
        return _("It stays paused until you resume it.")
    return (
        _("It resumes on {date} at {price}.", date=date, price=price)
        if price
        else _("It resumes on {date}.", date=date)
    )


def canceling(s: Standing) -> tuple[str, str]:
    end, plan = day(s.facts.ends_at), plan_of(s)
    first = (
        _("{plan} is set to end on {date}.", plan=plan, date=end)
        if end
        else _("{plan} is set to end.", plan=plan)
    )
    return first, _("You have full access until then and won’t be charged again.")


def collection_paused(s: Standing) -> tuple[str, str]:
    first = _("Payments are paused.")
    if not s.access:
        return first, join(
            _("Your access is paused with them, and returns when payments restart."), _payments_restart(s)
        )
    if s.facts.pause_behavior == "keep_as_draft":
        return first, _("You have access. Invoices are being held and will be due when payments restart.")
    if s.facts.pause_behavior not in ("void", "mark_uncollectible"):  # what becomes of invoices we can't tell
        return first, join(_("You have access."), _payments_restart(s))
    date, price = day(s.facts.pause_resumes_at), s.facts.price
    if date is None:
        return first, _("You have access and won’t be charged.")
    if price is None:
        return first, _(
            "You have access and won’t be charged until {date}, when payments restart.", date=date
        )
    text = _(
        "You have access and won’t be charged until {date}, when payments restart at {price}.",
        date=date,
        price=price,
    )
    return first, text


def _payments_restart(s: Standing) -> str | None:
    date = day(s.facts.pause_resumes_at)
    return _("Payments restart on {date}.", date=date) if date else None


def active(s: Standing) -> tuple[str, str]:
    due, price, plan = day(s.facts.current_period_end), s.facts.price, plan_of(s)
    if due and price:
        first = _("You’re on {plan}. Next payment: {amount} on {date}.", plan=plan, amount=price, date=due)
    elif due:
        first = _("You’re on {plan}. Next payment on {date}.", plan=plan, date=due)
    else:
        first = _("You’re on {plan}.", plan=plan)
    if s.facts.by_invoice:
        return first, _("We’ll send you an invoice.")
    return first, _("We’ll charge {card}.", card=s.facts.card) if s.facts.card else ""


def changing(s: Standing) -> tuple[str, str]:
    facts, plan, date, to = s.facts, plan_of(s), day(s.facts.change_at), s.facts.change_to
    if facts.change_quantity and date:
        first = _n(
            "You’re on {plan}. On {date} you’ll have {count} seat.",
            "You’re on {plan}. On {date} you’ll have {count} seats.",
            facts.change_quantity,
            plan=plan,
            date=date,
        )
    elif date and to:
        first = _("You’re on {plan}. On {date} you’ll move to {other}.", plan=plan, date=date, other=to)
    elif to:
        first = _("You’re on {plan}. Soon you’ll move to {other}.", plan=plan, other=to)
    else:
        first = _("You’re on {plan}. Your plan is set to change.", plan=plan)
    if not facts.change_price or not date:
        return first, ""
    if facts.card:
        values = {"amount": facts.change_price, "date": date, "card": facts.card}
        return first, _("Next payment: {amount} on {date}, {card}.", **values)
    return first, _("Next payment: {amount} on {date}.", amount=facts.change_price, date=date)


def ended(s: Standing) -> tuple[str, str]:
    date = day(s.facts.ended_at)
    if s.facts.plan is None:
        first = _("Your plan ended on {date}.", date=date) if date else _("Your plan has ended.")
    elif date:
        first = _("Your {plan} plan ended on {date}.", plan=plan_of(s), date=date)
    else:
        first = _("Your {plan} plan has ended.", plan=plan_of(s))
    return first, join(_("You won’t be charged again."), _("Your invoices stay here."), keep(s))


def ended_unpaid(s: Standing) -> tuple[str, str]:
    date, plan = day(s.facts.ended_at), plan_of(s)
    if s.facts.plan is None or date is None:
        first = _("Your plan has ended because we couldn’t take payment.")
    else:
        first = _("Your {plan} plan ended on {date} because we couldn’t take payment.", plan=plan, date=date)
    return first, join(_("You won’t be charged again."), _still_open(s))


def _still_open(s: Standing) -> str:
    owed, number = s.facts.owed, s.facts.owed_number
    if owed is None:
        return _("Nothing is owed.")
    if number is None:
        return _("An invoice for {amount} is still open.", amount=owed)
    return _("Invoice {number} for {amount} is still open.", number=number, amount=owed)


def ended_disputed(s: Standing) -> tuple[str, str]:
    date = day(s.facts.ended_at)
    if s.facts.plan is None or date is None:
        first = _("Your plan has ended after a payment was disputed.")
    else:
        first = _(
            "Your {plan} plan ended on {date} after a payment was disputed.", plan=plan_of(s), date=date
        )
    return first, _("You won’t be charged again. If this was a mistake, write to us.")


def unknown(s: Standing) -> tuple[str, str]:
    return (
        _("We’re checking your plan with Stripe."),
        _("You don’t need to do anything. If this stays for more than an hour, write to us."),
    )
