"""Who has what: the list of everybody, one person with the reasons, and asking Stripe now."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from billing import audit, bounces, facts, grants, labels, refresh, running, voice
from billing.access import moment, person
from billing.admin import bp, details, paging, search, timeline
from billing.admin.because import because
from billing.admin.comps import given
from billing.admin.standings import standings
from billing.errors import StripeError
from billing.extensions import db
from billing.models import StripeEvent, Subscription, User
from billing.standing import Standing
from billing.subscriptions import STATUSES
from billing.voice import Action, Voice
from billing.words import day

STATUS_CHOICES = [
    *((status, status) for status in STATUSES),
    (search.CANCELING, "set to end"),
    (search.NONE, "no subscription"),
]


@bp.get("/", strict_slashes=False)
def home() -> ResponseReturnValue:
    return redirect(url_for("admin.subscribers"), 303)


@bp.get("/subscribers")
def subscribers() -> ResponseReturnValue:
    """Everybody, newest first; an exact id of Stripe's leads straight to its person."""
    wanted = search.Wanted.of(request.args)
    if found := search.jump(db.session(), wanted.q):
        return redirect(url_for("admin.subscriber", user_id=found), 303)
    people = search.people(wanted, search.at_address(db.session(), wanted.q))
    page = paging.take(db.session(), people.rows, people.order, request.args)
    if page.beyond:
        return redirect(paging.address("admin.subscribers", wanted.filters(), {}) or "", 303)
    found_in_all = paging.count(db.session(), page, people.some)
    return render_template(
        "admin/subscribers.html",
        rows=_rows([(user, row) for user, row in page.rows]),
        count_text=paging.count_text(len(page.rows), found_in_all, "subscriber"),
        **wanted.filters(),
        statuses=paging.choices(STATUS_CHOICES, wanted.status),
        plan_choices=paging.choices(_plans(), wanted.plan),
        newer=paging.address("admin.subscribers", wanted.filters(), page.newer),
        older=paging.address("admin.subscribers", wanted.filters(), page.older),
    )


def _rows(people: list[tuple[User, Subscription | None]]) -> list[dict[str, Any]]:
    known = standings(db.session(), [(user.id, row) for user, row in people], running.config(), moment())
    return [_row(user, row, known[user.id]) for user, row in people]


def _row(user: User, row: Subscription | None, found: Standing) -> dict[str, Any]:
    said = _voice(found)
    today = next((at for at, mark in enumerate(said.line) if mark.current), len(said.line))
    coming = next((mark for mark in said.line[today + 1 :] if mark.when), None)
    return {
        "email": user.email,
        "tag": said.tag,
        "tone": said.tone,
        "glyph": said.glyph,
        "plan": labels.title(found.plan) if found.plan else None,
        "next_text": f"{coming.label}, {day(coming.when)}" if coming else None,
        "since": row.created if row else None,
        "href": url_for("admin.subscriber", user_id=user.id),
    }


@bp.get("/subscribers/<int:user_id>")
def subscriber(user_id: int) -> ResponseReturnValue:
    """One person: what they are told, why they have access or not, and everything that led there."""
    session = db.session()
    user, deletion, comp = details.whole(session, user_id)
    subscriptions = details.subscriptions(session, user)
    first = subscriptions[0] if subscriptions else None
    found = facts.standing_by(session, user.id, first, comp, running.config(), moment())
    money = details.money(session, user, subscriptions)
    mails = timeline.mails(session, user)
    return render_template(
        "admin/subscriber.html",
        person={"email": user.email, "admin": user.is_admin},
        s=_voice(found),
        why_sentence=because(user.email, found, first),
        trace=found.why,
        facts=[
            *details.account(user, deletion),
            *grants.lines(grants.held(session, user.id)),
        ],
        given=given(session, user, comp),
        subscription=details.subscription(subscriptions),
        timeline=timeline.timeline(session, user, money, mails),
        mails=mails,
        payments=details.entries(money),
        checked_at=found.facts.fetched_at,
        refresh=_refresh(user),
        mail_refused=user.mail_refused_at,
        try_mail=Action("Try again", url_for("admin.try_mail", user_id=user.id), "post"),
    )


def _refresh(user: User) -> Action | None:
    if user.stripe_customer_id is None:
        return None
    return Action("Ask Stripe now", url_for("admin.sync", user_id=user.id), "post")


@bp.post("/subscribers/<int:user_id>/mail")
def try_mail(user_id: int) -> ResponseReturnValue:
    """Write again to an address that refused mail, as the person may say on their billing page."""
    session, user = db.session(), details.person(user_id)
    if bounces.try_again(session, user.id, actor=f"admin:{person().id}"):
        session.commit()
        flash(f"Mail goes to {user.email} again, from the next one on.")
    return redirect(url_for("admin.subscriber", user_id=user_id), 303)


@bp.post("/subscribers/<int:user_id>/sync")
def sync(user_id: int) -> ResponseReturnValue:
    """Look at every subscription that Stripe has for the person, and say what came of it."""
    session, user = db.session(), details.person(user_id)
    back = redirect(url_for("admin.subscriber", user_id=user.id), 303)
    if user.stripe_customer_id is None:
        flash(f"{user.email} is not a customer at Stripe yet, so there is nothing to ask.")
        return back
    actor, customer = f"admin:{person().id}", user.stripe_customer_id
    audit.record(session, "subscriber.sync", actor=actor, user_id=user.id, subject=customer)
    since = session.execute(select(func.clock_timestamp())).scalar_one()
    # Outside the session: reading it later opens no transaction that would wait for Stripe.
    session.expunge(user)
    session.commit()
    try:
        asked = refresh.person(session, user, running.config(), actor)
    except StripeError as problem:
        flash(f"{problem}. Nothing was changed. Try again in a few minutes.")
        return back
    waiting = select(func.count()).where(
        StripeEvent.received_at >= since,
        StripeEvent.state == StripeEvent.PENDING,
        StripeEvent.source == actor,
        StripeEvent.customer_id == customer,
    )
    flash(_outcome(asked, session.execute(waiting).scalar_one()))
    return back


def _outcome(asked: int, waiting: int) -> str:
    noun = "subscription" if asked == 1 else "subscriptions"
    if waiting:
        return f"Stripe named {asked} {noun}; {waiting} could not be read yet and will be tried again."
    return f"Stripe named {asked} {noun}. This page shows what it said."


def _voice(found: Standing) -> Voice:
    config = running.config()
    product = Action(f"Go to {config.brand_name}", "/app")
    return voice.speak(found, product=product, contact=f"mailto:{config.support_email}")


def _plans() -> list[tuple[str, str]]:
    catalogue = running.catalogue()
    return [(plan.name, plan.title) for plan in catalogue.plans]
