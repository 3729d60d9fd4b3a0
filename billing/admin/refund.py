"""Giving money back: what was paid and what went back of it, then said first, done with a reason, asked for once."""

from __future__ import annotations

import json
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import StringField, TextAreaField
from wtforms.validators import ValidationError

from billing import audit, refresh, refunding, registry, running, tags, turns, writes
from billing.access import person
from billing.admin import bp, details, links
from billing.errors import StripeError, StripeRefused, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.models import Refund, StripeWrite
from billing.money import format_money, parse_money, plain_money
from billing.orders import once, once_token
from billing.refunding import Refundable

REASONS = {
    "requested_by_customer": "The person asked for it",
    "duplicate": "They paid twice",
    "fraudulent": "It was fraud (Stripe blocks the card)",
}
LONGEST_NOTE = 500
DISPUTED = (
    "This payment is disputed, so nothing of it is paid back here: the bank may take the same money too."
)
NOTHING_LEFT = "Everything that was paid has gone back already, or was asked for."
CHANGED = "What went back of this payment changed while this page was open. Nothing was asked for by you."
AWAY = "Stripe could not be asked what is left of this payment. Nothing was asked for. Try again in a few minutes."
REFUSED = {"charge_disputed": DISPUTED, "charge_already_refunded": NOTHING_LEFT}


class Wish(FlaskForm):
    """How much, and why Stripe is to be told: from the address, so that what it would do can be said first."""

    amount = StringField("Amount")
    reason = StringField("Reason for Stripe")
    thing: Refundable

    @property
    def minor(self) -> int:
        """The amount in minor units; 0 where it is none of this currency."""
        return parse_money(self.amount.data or "", self.thing.currency) or 0

    def validate_amount(self, _: StringField) -> None:
        if not self.minor:
            raise ValidationError(
                f"Enter an amount like {plain_money(self.thing.paid, self.thing.currency)}."
            )
        if self.minor > self.thing.remaining:
            most = format_money(self.thing.remaining, self.thing.currency)
            raise ValidationError(f"Enter {most} at most: more is not left of this payment.")

    def validate_reason(self, field: StringField) -> None:
        if field.data not in REASONS:
            raise ValidationError("Choose one of the reasons.")


class Why(FlaskForm):
    note = TextAreaField("Note", filters=[lambda value: (value or "").strip()])

    def validate_note(self, field: TextAreaField) -> None:
        if not field.data:
            raise ValidationError("Say why; it is kept in the record of changes.")
        if len(field.data) > LONGEST_NOTE:
            raise ValidationError(f"Say it in {LONGEST_NOTE} characters at most.")


@bp.get("/payments/<payment_intent>/refund")
def refund(payment_intent: str) -> ResponseReturnValue:
    """What was paid, refunded, pending and left, and what giving an amount back would do. Changes nothing."""
    thing = _thing(payment_intent)
    asked = bool(request.args) and not _obstacle(thing)
    wish = _wish(thing, request.args if asked else None)
    wrong = asked and not wish.validate()
    return _page(thing, wish, confirm=asked and not wrong, status=422 if wrong else 200)


@bp.post("/payments/<payment_intent>/refund")
def give_refund(payment_intent: str) -> ResponseReturnValue:
    """Ask Stripe for it, as it was said, once; the result comes by event."""
    thing, token, why = _thing(payment_intent), once(request.form), Why()
    wish = _wish(thing, request.form)
    if token is None or not wish.minor or wish.reason.data not in REASONS:
        wish.validate()
        return _page(thing, wish, why=why, status=422)
    if not why.validate():
        return _page(thing, wish, confirm=True, why=why, status=422)
    session, name = db.session(), f"refund:{payment_intent}:{token}"
    with turns.one_at_a_time(session, payment_intent) as ours:
        known = select(StripeWrite.id).where(StripeWrite.name == name)
        if not ours or session.execute(known).scalar() is not None:
            return redirect(url_for("admin.refund", payment_intent=payment_intent), 303)
        return _ask(thing, wish, why, name)


def _ask(before: Refundable, wish: Wish, why: Why, name: str) -> ResponseReturnValue:
    """With a fresh look at Stripe, since somebody may have refunded it in the dashboard; nobody else asks meanwhile."""
    session, intent = db.session(), before.payment_intent
    user, actor = details.person(before.user_id), f"admin:{person().id}"
    if not refresh.payment(session, intent, user.stripe_customer_id, running.config(), actor):
        return _page(before, wish, confirm=True, why=why, status=503, problem=AWAY)
    wish.thing = thing = _thing(intent)
    if _obstacle(thing):
        return _page(thing, wish, status=409)
    if thing.seen != request.form.get("seen"):
        return _page(thing, wish, confirm=wish.validate(), why=why, status=409, problem=CHANGED)
    if not wish.validate():
        return _page(thing, wish, why=why, status=422)
    asked = refunding.request(name, intent, thing.user_id, str(wish.reason.data), wish.minor)
    said = format_money(wish.minor, thing.currency)
    audit.record(
        session,
        "refund.asked",
        actor=actor,
        user_id=thing.user_id,
        subject=intent,
        after={
            "value": f"{said}: {why.note.data}",
            "amount": wish.minor,
            "currency": thing.currency,
            "reason": wish.reason.data,
        },
    )
    registry.record(session, asked)
    session.commit()
    try:
        writes.perform(session, asked)
    except StripeRefused as problem:
        session.rollback()
        told = REFUSED.get(
            problem.code or "", f"Stripe refused it ({problem.code}). Nothing went back by this."
        )
        return _page(_thing(intent), wish, status=409, problem=told)
    except (StripeError, WriteUnknown, WriteConflict):  # kept; the completer goes on with it
        flash(
            f"Stripe did not answer yet. The refund of {said} is kept and goes on by itself; don’t ask again."
        )
    else:
        flash(f"Stripe was asked to give {said} back. This page shows what becomes of it.")
    return redirect(url_for("admin.refund", payment_intent=intent), 303)


def _thing(payment_intent: str) -> Refundable:
    if not payment_intent.isprintable():
        abort(404)
    return refunding.of_payment(db.session(), payment_intent) or abort(404)


def _wish(thing: Refundable, given: Any) -> Wish:
    wish = Wish(given, meta={"csrf": given is request.form})
    wish.thing = thing
    if given is None:
        wish.amount.data = plain_money(thing.remaining, thing.currency)
    return wish


def _obstacle(thing: Refundable) -> str | None:
    """Why nothing can go back."""
    if thing.dispute is not None:
        return DISPUTED
    return NOTHING_LEFT if thing.remaining == 0 else None


def _page(
    thing: Refundable,
    wish: Wish,
    *,
    confirm: bool = False,
    why: Why | None = None,
    status: int = 200,
    problem: str | None = None,
) -> ResponseReturnValue:
    user, obstacle = details.person(thing.user_id), _obstacle(thing)
    dispute = thing.dispute
    page = render_template(
        "admin/refund.html",
        person={"email": user.email, "href": url_for("admin.subscriber", user_id=user.id)},
        facts=_facts(thing),
        refunds=_entries(thing),
        problem=problem or obstacle,
        dispute=url_for("admin.dispute", dispute_id=dispute.stripe_id) if dispute else None,
        wish=None if obstacle else wish,
        reasons=list(REASONS.items()),
        why=why or Why(formdata=None),
        saying=_saying(thing, wish, user.email) if confirm and not obstacle else None,
        seen=thing.seen,
        once=once_token(),
        action=url_for("admin.refund", payment_intent=thing.payment_intent),
    )
    return page, status


def _facts(thing: Refundable) -> details.Pairs:
    amounts = [
        ("Paid", thing.paid),
        ("Refunded", thing.refunded),
        ("Of these, pending", thing.pending),
        ("Asked for, not confirmed", thing.asked),
        ("Left", thing.remaining),
    ]
    rows: details.Pairs = [(label, format_money(amount, thing.currency)) for label, amount in amounts]
    return [("Payment", links.stripe_object("payments", thing.payment_intent)), *rows]


def _saying(thing: Refundable, wish: Wish, email: str) -> str:
    """What it will do, before it is done."""
    back, paid = format_money(wish.minor, thing.currency), format_money(thing.paid, thing.currency)
    return (
        f"This will give {back} of {paid} back to {email}, to what they paid with. It can’t be taken back. "
        "They get a mail once Stripe says that it succeeded. A refund alone ends no plan."
    )


def _entries(thing: Refundable) -> list[dict[str, Any]]:
    """Each refund, and each that was asked for and came to no refund, newest first."""
    session = db.session()
    found = select(Refund).where(Refund.payment_intent == thing.payment_intent)
    rows = list(session.execute(found).scalars())
    known = {row.stripe_id for row in rows}
    entries = [_entry(row.created, row.stripe_id, row.amount, tags.refund(row)) for row in rows]
    for write in refunding.writes_of(session, thing.user_id, thing.payment_intent):
        if write.stripe_object_id not in known:
            text = "Asked for" + (f", and refused: {write.error}" if write.error else "")
            amount = json.loads(write.params).get("amount")
            entries.append(_entry(write.created_at, text, amount, tags.write(write)))
    for entry in entries:
        entry["currency"] = thing.currency
    return sorted(entries, key=lambda entry: entry["date"], reverse=True)


def _entry(date: Any, text: str, amount: int | None, tag: tags.Tag) -> dict[str, Any]:
    return {
        "date": date,
        "text": text,
        "amount": amount,
        "href": None,
        "tag": tag[0],
        "tone": tag[1],
        "glyph": tag[2],
    }
