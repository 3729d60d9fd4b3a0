"""Why somebody can't buy what they asked for: a page each, with what is so and where to go on.

None of them charged anything. To somebody who only looked they are a plain page; a form is answered 409.
"""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from billing import checkout
from billing.access import my_standing
from billing.language import _
from billing.money import currency_name
from billing.plans import Plan, Product
from billing.voice import Action

UNPAID = ("first_confirming", "first_action", "first_failed")


def stopped(guard: checkout.Guard) -> ResponseReturnValue:
    """The page of a ``checkout.Guard``, but for a form that was sent twice."""
    return confirming(guard.session_id or "") if guard.code == "confirming" else already()


def already() -> ResponseReturnValue:
    """They have a plan; or one whose first payment is not made, which is no plan yet."""
    standing = my_standing()
    billing = Action(_("Go to billing"), "/billing")
    if standing.code in UNPAID or standing.facts.never_paid:
        body = _("Billing shows what comes next. Nothing was charged now.")
        return page(_("Your last order isn’t paid yet."), body, billing)
    return page(
        _("You already have {plan}.", plan=standing.facts.plan_title),
        _("You can change or cancel it in Billing. Nothing was charged now."),
        billing,
    )


def confirming(session_id: str) -> ResponseReturnValue:
    return page(
        _("Your last payment is still being confirmed."),
        _("You don’t need to pay again."),
        Action(_("See the payment"), f"/checkout/return?session_id={session_id}"),
    )


def purchase_under_way(address: str) -> ResponseReturnValue:
    """``address``: the page of the purchase whose end is not known."""
    return page(
        _("Your last payment is still being confirmed."),
        _("Nothing else was charged. See what became of it first."),
        Action(_("See the payment"), address),
    )


def owned(product: Product) -> ResponseReturnValue:
    return page(
        _("You already have {item}.", item=product.title),
        _("It’s yours for life. Nothing was charged now."),
        Action(_("Go to billing"), "/billing"),
    )


def not_sold() -> ResponseReturnValue:
    return page(
        _("This price is no longer sold."), _("Nothing was charged. The plans show what is."), _plans()
    )


def not_on_sale_yet() -> ResponseReturnValue:
    return page(
        _("This price is not on sale yet."), _("Nothing was charged. Choose another one, or come back later."), _plans()
    )  # fmt: skip


def refused() -> ResponseReturnValue:
    return page(_("This can’t be bought right now."), _("Nothing was charged."), _plans())


def other_currency(locked: str, plan: Plan, interval: str) -> ResponseReturnValue:
    """Stripe bills a customer in one currency for good: the same plan in that one, where it has a price."""
    h1 = _("Your account is billed in {currency}.", currency=currency_name(locked))
    if plan.price(interval, locked) is None:
        body = _("{plan} isn’t sold in that currency. Nothing was charged.", plan=plan.title)
        return page(h1, body, _plans())
    return page(
        h1,
        _(
            "Stripe keeps one currency for each customer, so the other one can’t be used. Nothing was charged."
        ),
        Action(
            _("See {plan} in {currency}", plan=plan.title, currency=currency_name(locked)),
            f"/subscribe/{plan.name}?interval={interval}&currency={locked}",
        ),
    )


def too_many(minutes: int, back: str) -> ResponseReturnValue:
    answer = render_template("errors/429.html", minutes=minutes, back=back)
    return answer, 429, {"Retry-After": str(minutes * 60)}


def unreachable(back: str) -> ResponseReturnValue:
    return render_template("errors/stripe_unreachable.html", again=back), 503


def page(h1: str, body: str, action: Action) -> ResponseReturnValue:
    status = 200 if request.method in ("GET", "HEAD") else 409
    return render_template("subscribe/guard.html", h1=h1, body=body, action=action), status


def _plans() -> Action:
    return Action(_("Choose a plan"), "/plans")
