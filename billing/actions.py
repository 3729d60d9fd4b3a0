"""What a person can do from each standing: the one button, and the links beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from billing.language import _, later
from billing.standing import Standing


@dataclass(frozen=True)
class Action:
    """A button or link. ``method`` post: a form with a CSRF token and the fields."""

    label: str
    href: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


CHOOSE = Action(later("Choose a plan"), "/plans")
CHECK = Action(later("Check again"), "/billing/check", "post")
UPDATE_CARD = Action(later("Update card"), "/billing/card", "post")
ADD_CARD = Action(later("Add a card"), "/billing/card", "post")
ADD_AND_RESUME = Action(later("Add a card and resume"), "/billing/card", "post")
CHANGE = Action(later("Change plan"), "/plans")
SEATS = Action(later("Change seats"), "/billing/seats")
PAUSE = Action(later("Pause plan"), "/billing/pause")
CANCEL = Action(later("Cancel plan"), "/billing/cancel")
PORTAL = Action(later("Manage on Stripe"), "/billing/portal/home", "post")

# What can't be said of a standing in another way than by its code.
_PRIMARY = {
    "none": CHOOSE,
    "first_lapsed": CHOOSE,
    "ended": CHOOSE,
    "ended_unpaid": CHOOSE,
    "first_confirming": CHECK,
    "unknown": CHECK,
    "past_due": UPDATE_CARD,
    "trialing_no_card": ADD_CARD,
    "paused_trial": ADD_AND_RESUME,
}
_CONTACT = ("disputed", "disputed_hold", "ended_disputed", "paused_other")
_KEEP = {"changing": "/billing/stay", "canceling": "/billing/resume", "trial_ending_off": "/billing/resume"}
_PAY = ("unpaid", "past_due_hold", "paused_payment")

# Which links stand beside it. To leave, or to take another card, is offered wherever something may still be charged.
_CHANGING = ("active", "trialing", "trialing_no_card", "disputed")
_CARD = ("past_due_hold", "trialing", "canceling", "collection_paused", "disputed", "changing", "active")
_LEAVING = (
    "disputed_hold", "unpaid", "paused_trial", "paused_payment", "paused_asked", "paused_other",
    "action_required", "past_due", "past_due_hold", "trialing_no_card", "trialing", "collection_paused",
    "disputed", "changing", "active",
)  # fmt: skip


def primary(s: Standing, product: Action, contact: Action) -> Action:
    """The one button. ``product``: where the thing that was bought is; ``contact``: how to reach us."""
    if s.code in _PAY or (s.code == "past_due" and s.facts.by_invoice):
        return _at_the_invoice(s, _pay(s))
    if s.code in _PRIMARY:
        return said(_PRIMARY[s.code])
    if s.code in _CONTACT:
        return contact
    if s.code in _KEEP:
        return Action(_("Keep {plan}", plan=s.facts.plan_title), _KEEP[s.code], "post")
    if s.code in ("first_action", "action_required"):
        return _at_the_invoice(s, _("Confirm payment"))
    if s.code == "first_failed":
        return _at_the_invoice(s, _("Try another card"))
    if s.code == "paused_asked":
        return Action(_("Resume {plan}", plan=s.facts.plan_title), "/billing/unpause", "post")
    if s.access:
        return product
    return said(CHECK) if s.stale else contact


def _pay(s: Standing) -> str:
    return _("Pay {amount} now", amount=s.facts.owed) if s.facts.owed else _("Pay now")


def links(s: Standing) -> tuple[Action, ...]:
    """What else can be done, as plain links."""
    if s.besides is not None:  # the plan of their own goes on beside what an admin gave
        return _of_their_own(s.besides)
    found: list[Action] = []
    if s.code in _CHANGING and not s.facts.by_invoice:
        found.append(CHANGE)
        if s.facts.seats:
            found.append(SEATS)
    if s.code in _CARD and not s.facts.by_invoice:
        found.append(UPDATE_CARD)
    by_card = s.code == "past_due" and not s.facts.by_invoice
    if s.facts.owed_invoice and (by_card or s.code == "ended_unpaid"):
        found.append(_at_the_invoice(s, later("Pay this invoice now")))
    if s.code == "active" and s.may_pause:
        found.append(PAUSE)
    if s.code in _LEAVING:
        found.append(CANCEL)
    if s.facts.status and not s.code.startswith("first_"):
        found.append(PORTAL)
    return tuple(said(link) for link in found)


def _of_their_own(s: Standing) -> tuple[Action, ...]:
    """Their own button as a link, where it is about their plan, and their own links."""
    home = Action("", "/billing")
    own = primary(s, home, home)
    needed = [own] if own.href not in (home.href, CHOOSE.href) else []
    return (*needed, *(link for link in links(s) if link.href != own.href))


def _at_the_invoice(s: Standing, label: str) -> Action:
    """On Stripe's page of the invoice; in the list of invoices where it is not known which."""
    if s.facts.owed_invoice is None:
        return Action(label, "/invoices")
    return Action(label, f"/invoices/{s.facts.owed_invoice}/open", "post")


def said(action: Action) -> Action:
    """The action in the language that is spoken."""
    return replace(action, label=_(action.label))
