"""Giving somebody a plan free of charge until a day, and taking it back: said first, done with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from wtforms import StringField, TextAreaField
from wtforms.validators import ValidationError

from billing import comps, facts, labels, running, voice
from billing.access import person
from billing.admin import bp, details, timeline
from billing.clock import database_now
from billing.errors import CompChanged
from billing.extensions import db
from billing.models import Comp, User
from billing.standing import Standing
from billing.words import day

LONGEST = timedelta(days=3660)
LONGEST_REASON = 500


class Wish(FlaskForm):
    """Which plan, until when: from the address, so that what it would do can be said first."""

    plan = StringField("Plan")
    until = StringField("Until the end of")

    def validate_plan(self, field: StringField) -> None:
        if running.catalogue().plan(field.data or "") is None:
            raise ValidationError("Choose one of the plans.")

    def validate_until(self, field: StringField) -> None:
        end, today = end_of(field.data), database_now(db.session())
        if end is None:
            raise ValidationError("Enter a day like 2027-03-01.")
        if not today < end < today + LONGEST:
            raise ValidationError("Choose a day from today on, and within ten years.")


class Why(FlaskForm):
    reason = TextAreaField("Reason", filters=[lambda value: (value or "").strip()])

    def validate_reason(self, field: TextAreaField) -> None:
        if not field.data:
            raise ValidationError("Say why; it is kept in the record of changes.")
        if len(field.data) > LONGEST_REASON:
            raise ValidationError(f"Say it in {LONGEST_REASON} characters at most.")


@dataclass(frozen=True)
class Page:
    """What the page of one person is made from: the forms, what is given now, and what stood in the way."""

    user: User
    wish: Wish
    give: Why
    back: Why
    problem: str | None = None


def end_of(text: str | None) -> datetime | None:
    """The last second of a day that is written like 2027-03-01, in UTC; None for anything else."""
    try:
        return datetime.combine(date.fromisoformat(text or ""), time(23, 59, 59), UTC)
    except ValueError:
        return None


def given(session: Session, user: User, row: Comp | None) -> dict[str, Any]:
    """What the person's page says of what they are given now, and where the way to it begins."""
    href = url_for("admin.comp", user_id=user.id)
    return {"href": href, "pairs": _pairs(session, row) if row else []}


@bp.get("/subscribers/<int:user_id>/comp")
def comp(user_id: int) -> ResponseReturnValue:
    """What is given now, and what giving a plan until a day would do. Changes nothing."""
    wish = Wish(request.args, meta={"csrf": False})
    asked = bool(request.args)
    status = 422 if asked and not wish.validate() else 200
    return _page(_of(user_id, wish), asked and status == 200, status)


@bp.post("/subscribers/<int:user_id>/comp")
def give_comp(user_id: int) -> ResponseReturnValue:
    """Give it, as it was said."""
    wish, why = Wish(), Why()
    if not wish.validate():
        return _page(_of(user_id, wish, give=why), False, 422)
    if not why.validate():
        return _page(_of(user_id, wish, give=why), True, 422)
    user, plan, end = details.person(user_id), str(wish.plan.data), end_of(wish.until.data)
    assert end is not None
    try:
        comps.give(db.session(), user.id, plan, end, reason=why.reason.data, admin=person().id, seen=_seen())
    except CompChanged as problem:
        return _changed(_of(user_id, wish, give=why), problem)
    db.session.commit()
    flash(f"{user.email} has {labels.title(plan)} until {day(end)}, free of charge.")
    return redirect(url_for("admin.subscriber", user_id=user_id), 303)


@bp.post("/subscribers/<int:user_id>/comp/end")
def end_comp(user_id: int) -> ResponseReturnValue:
    """Take it back, as it was said."""
    why, wish = Why(), Wish(MultiDict(), meta={"csrf": False})
    if not why.validate():
        return _page(_of(user_id, wish, back=why), False, 422)
    user = details.person(user_id)
    try:
        comps.take_back(db.session(), user.id, reason=why.reason.data, admin=person().id, seen=_seen())
    except CompChanged as problem:
        return _changed(_of(user_id, wish, back=why), problem)
    db.session.commit()
    flash(f"What was given to {user.email} was taken back.")
    return redirect(url_for("admin.subscriber", user_id=user_id), 303)


def _of(user_id: int, wish: Wish, *, give: Why | None = None, back: Why | None = None) -> Page:
    empty = MultiDict[str, str]()
    return Page(details.person(user_id), wish, give or Why(empty), back or Why(empty))


def _changed(page: Page, problem: CompChanged) -> ResponseReturnValue:
    db.session.rollback()
    told = f"{problem} Nothing was changed by you; this page shows what is so now."
    return _page(Page(page.user, page.wish, page.give, page.back, told), page.wish.plan.data is not None, 409)


def _seen() -> int:
    """The row that the form was about, 0 for none."""
    text = request.form.get("seen", "")
    return int(text) if text.isdecimal() and len(text) < 19 else -1


def _page(page: Page, asked: bool, status: int) -> ResponseReturnValue:
    session, user = db.session(), page.user
    found = facts.standing_of(session, user.id, running.config(), database_now(session))
    row = comps.open_one(session, user.id)
    holds = row is not None and found.code == "comp"
    shown = render_template(
        "admin/comp.html",
        person={"email": user.email, "href": url_for("admin.subscriber", user_id=user.id)},
        given=_pairs(session, row) if row and holds else [],
        seen=row.id if row else 0,
        plans=[(plan.name, plan.title) for plan in running.catalogue().plans],
        wish=page.wish,
        give=page.give,
        back=page.back,
        problem=page.problem,
        giving=_giving(user, page.wish, found) if asked else None,
        ending=_ending(user, found) if holds else None,
        action=url_for("admin.comp", user_id=user.id),
        end=url_for("admin.end_comp", user_id=user.id),
    )
    return shown, status


def _giving(user: User, wish: Wish, found: Standing) -> str:
    """What giving it will do, before it is done."""
    title, until = labels.title(wish.plan.data), day(end_of(wish.until.data))
    text = f"This will give {user.email} {title} until the end of {until} (UTC), free of charge. Stripe is not told."
    if found.code == "comp":
        text += f" It takes the place of {found.facts.comp_title} until {day(found.facts.comp_until)}."
    own = found.besides or found
    if own.code != "none" and own.code != "first_lapsed" and not own.code.startswith("ended"):
        text += (
            f" Their own subscription ({own.facts.status}) goes on beside it, and what it costs is charged."
        )
    return text


def _ending(user: User, found: Standing) -> str:
    own = found.besides or found
    access = "have access" if own.access else "have no access"
    return (
        f"This will take {found.facts.comp_title} back from {user.email} now. They will {access} then, and read: "
        f"“{voice.sentence(own)}”"
    )


def _pairs(session: Session, row: Comp) -> list[tuple[str, object]]:
    admin = timeline.emails(session, {row.given_by}).get(row.given_by)
    return [
        ("Plan", labels.title(row.plan)),
        ("Until the end of", day(row.until)),
        ("Reason", row.reason),
        ("Given by", admin),
        ("Given on", day(row.given_at)),
    ]
