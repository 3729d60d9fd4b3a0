"""What became of a Checkout Session, in the words of the page that people come back to.

Decided by our rows alone, which applied events wrote: never by the redirect, never by an answer of the API.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from billing import sentences, voice
from billing.language import _
from billing.models import CheckoutSession, Invoice, Payment
from billing.money import format_money
from billing.sentences.beginnings import WORKING_DAYS
from billing.standing import Standing
from billing.voice import Action
from billing.words import day, moment_text

LONG = timedelta(seconds=60)
# A SEPA debit may be refused this late, and no other delayed method takes longer (Stripe: SEPA Direct Debit, timing).


@dataclass(frozen=True)
class State:
    """What the page says. ``final``: nothing more is to come. ``details``: (label, value)."""

    code: str
    h1: str
    body: str
    tag: str
    glyph: str
    tone: str
    action: Action | None = None
    reference: str | None = None
    final: bool = False
    details: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What our rows say beside the Session's own. ``asked_since``: news of it, or a question about it, waits for so
    long. ``standing``: the buyer's, where the row of the subscription is there; ``paid``: what was paid first."""

    now: datetime
    email: str
    asked_since: datetime | None = None
    standing: Standing | None = None
    bill: Invoice | None = None
    payment: Payment | None = None


def state(row: CheckoutSession, known: Known, *, product: Action, contact: str, item: str) -> State:
    """The words for this Session now. ``item``: the name of what was ordered."""
    found = _state(row, known, product, contact, item)
    return replace(found, reference=reference(row))


def reference(row: CheckoutSession) -> str:
    """What somebody tells us on the telephone: the end of Stripe's id."""
    return (row.stripe_id or "")[-8:].upper()


def _state(row: CheckoutSession, known: Known, product: Action, contact: str, item: str) -> State:
    if row.status == "expired" or (row.status == "open" and row.superseded_at is not None):
        return _expired()
    if row.mode == "subscription" and known.standing is not None:
        return _subscribed(row, known, known.standing, product, contact)
    if known.payment is not None and known.payment.fulfilled_at is not None:
        return _bought(known.payment, known.email, item)
    if row.async_failed or (row.status == "complete" and _came_back(known.payment)):
        return _failed(_choose(row))
    if row.status == "complete" and row.payment_status == "unpaid":
        slow = _(
            "Bank payments can take up to {days} working days. We’ll email you when it arrives.",
            days=WORKING_DAYS,
        )
        return _on_its_way(slow)
    if row.status == "open" and known.asked_since is None and row.fetched_at is not None:
        return _open(row)
    return _confirming(row, known)


def _came_back(payment: Payment | None) -> bool:
    """Whether the bank refused the debit of a purchase, be it that the event which says so is late or lost."""
    return payment is not None and payment.status in ("requires_payment_method", "canceled")


def _subscribed(
    row: CheckoutSession, known: Known, standing: Standing, product: Action, contact: str
) -> State:
    if standing.facts.processing:
        return _on_its_way(sentences.of(standing)[1])
    billing = Action(_("Go to billing"), "/billing")
    if standing.facts.never_paid:
        return _failed(billing)
    said = voice.speak(standing, product=product, contact=contact)
    action = product if standing.access else billing
    return State(
        said.code, said.sentence, said.body, said.tag, said.glyph, said.tone, action,
        final=True, details=_details(known, standing),
    )  # fmt: skip


def _details(known: Known, standing: Standing) -> list[tuple[str, str]]:
    """Amount, date, what comes next, and where the receipt goes; whether that arrived is not ours to say."""
    found: list[tuple[str, str]] = []
    bill, facts = known.bill, standing.facts
    if bill is not None and bill.amount_paid and bill.paid_at:
        amount = format_money(bill.amount_paid, bill.currency)
        found.append((_("Paid"), _("{amount} on {day}", amount=amount, day=day(bill.paid_at))))
    due = facts.trial_end if standing.code == "trialing" else facts.current_period_end
    if standing.code in ("active", "trialing") and due and facts.price:
        found.append((_("Next payment"), _("{amount} on {day}", amount=facts.price, day=day(due))))
    if bill is not None and bill.amount_paid:
        found.append((_("Receipt"), _("by email to {address}", address=known.email)))
    return found


def _bought(payment: Payment, email: str, item: str) -> State:
    amount = format_money(payment.amount, payment.currency)
    return State(
        "bought", _("You bought {item}.", item=item),
        _("{amount}, paid on {day}.", amount=amount, day=day(payment.created)),
        _("Paid"), "●", "good", Action(_("See your order"), f"/orders/{payment.payment_intent}"),
        final=True, details=[(_("Receipt"), _("by email to {address}", address=email))],
    )  # fmt: skip


def _open(row: CheckoutSession) -> State:
    until = moment_text(row.expires_at) if row.expires_at else ""
    return State(
        "open", _("You haven’t finished paying."),
        _("You have not been charged. Your choice is kept until {moment}.", moment=until),
        _("Not finished"), "○", "rest", Action(_("Continue to payment"), row.url or "/plans"),
    )  # fmt: skip


def _confirming(row: CheckoutSession, known: Known) -> State:
    again = Action(_("Check again"), f"/checkout/return?session_id={row.stripe_id}")
    since = row.completed_at or known.asked_since or row.created_at
    if known.now - since > LONG:
        return _still_waiting(row, known.email, again)
    return State(
        "confirming", _("We’re confirming your payment."),
        _("This usually takes a few seconds. You don’t need to pay again."), _("Confirming"), "◌", "wait", again,
    )  # fmt: skip


def _still_waiting(row: CheckoutSession, email: str, again: Action) -> State:
    h1, billing = _("We’re still waiting for confirmation."), Action(_("Go to billing"), "/billing")
    if row.status != "complete":  # that Stripe has the order is not known
        body = _("Stripe hasn’t answered us yet. If you paid, you don’t need to pay again: we keep asking.")
        return State("waiting", h1, body, _("Confirming"), "◌", "wait", again)
    if row.payment_status == "no_payment_required":  # so no receipt will be mailed
        body = _(
            "Stripe has your order {reference}; our records haven’t caught up. Billing shows it the moment it’s done. "
            "You don’t need to pay again.",
            reference=reference(row),
        )
        return State("waiting", h1, body, _("Confirming"), "◌", "wait", billing)
    body = _(
        "Stripe has your order {reference}; our records haven’t caught up. We’ll email {address} the moment it’s "
        "done. You don’t need to pay again.",
        reference=reference(row),
        address=email,
    )
    return State("waiting", h1, body, _("Confirming"), "◌", "wait", billing)


def _on_its_way(body: str) -> State:
    return State(
        "processing", _("Your bank payment is on its way."), body, _("Processing"), "◌", "wait",
        Action(_("Go to billing"), "/billing"),
    )  # fmt: skip


def _failed(action: Action) -> State:
    return State(
        "failed", _("Your bank payment didn’t go through."), _("Nothing was taken. Choose another way to pay."),
        _("Not paid"), "▲", "look", action, final=True,
    )  # fmt: skip


def _expired() -> State:
    return State(
        "expired", _("This payment page has expired."), _("You have not been charged."),
        _("Expired"), "○", "rest", Action(_("Choose a plan"), "/plans"), final=True,
    )  # fmt: skip


def _choose(row: CheckoutSession) -> Action:
    return (
        Action(_("See the shop"), "/shop") if row.mode == "payment" else Action(_("Choose a plan"), "/plans")
    )
