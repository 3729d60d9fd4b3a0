"""One person's story, newest first: what Stripe told, what changed and by whom, which mails left."""

from __future__ import annotations

from typing import Any

from flask import render_template, url_for
from jinja2 import TemplateError
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, defer

from billing import running, tags
from billing.admin import story
from billing.admin.details import Money
from billing.models import AuditEntry, Notice, StripeEvent, User
from billing.money import format_money

LENGTH = 100
Entry = dict[str, Any]


def mails(session: Session, user: User) -> list[Entry]:
    """The newest mails that were owed to the person, with what became of each."""
    found = (
        select(Notice).where(Notice.user_id == user.id).order_by(Notice.created_at.desc(), Notice.id.desc())
    )
    return [_mail(row, user) for row in session.execute(found.limit(LENGTH + 1)).scalars()]


def timeline(session: Session, user: User, money: Money, letters: list[Entry]) -> list[Entry]:
    """Events, changes (those of money too, told when they were applied) and mails in one list."""
    entries = [*_events(session, user), *_changes(session, user, money), *map(_as_moment, letters)]
    entries.sort(key=lambda entry: entry["at"], reverse=True)
    if len(entries) > LENGTH:
        last = entries[LENGTH - 1]["at"]
        cut = {"at": last, "kind": "", "text": "What came before is not shown here.", "href": None}
        return [*entries[:LENGTH], cut]
    return entries


def _events(session: Session, user: User) -> list[Entry]:
    """The person's events. One that waits or failed is not bound to a user yet, only to a customer."""
    mine = StripeEvent.user_id == user.id
    if user.stripe_customer_id:
        open_ = StripeEvent.state.in_((StripeEvent.PENDING, StripeEvent.PARKED))
        mine = or_(mine, and_(open_, StripeEvent.customer_id == user.stripe_customer_id))
    found = select(StripeEvent).where(mine).options(defer(StripeEvent.payload))
    rows = session.execute(found.order_by(StripeEvent.received_at.desc()).limit(LENGTH + 1)).scalars()
    return [
        {
            "at": row.received_at,
            "kind": "event",
            "text": row.type,
            "detail": row.reason,
            "href": url_for("admin.event", event_id=row.event_id),
            **_tag(tags.event(row)),
        }
        for row in rows
    ]


def _changes(session: Session, user: User, money: Money) -> list[Entry]:
    found = select(AuditEntry).where(AuditEntry.user_id == user.id)
    newest = found.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(LENGTH + 1)
    entries = list(session.execute(newest).scalars())
    admins = emails(session, story.admin_ids(entries))
    names, currencies = _names(money)
    return [
        {
            "at": entry.at,
            "kind": story.kind(entry),
            "text": story.text(entry, names, currencies),
            "detail": _detail(entry, names, admins),
            "href": _cause(entry),
            **(_tag(("Look at this", "look", "▲")) if entry.alert else {}),
        }
        for entry in entries
    ]


def emails(session: Session, ids: set[int]) -> dict[int, str]:
    """Addresses by user id; nobody is asked for where no id is given."""
    if not ids:
        return {}
    found = session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return {row.id: row.email for row in found}


def _names(money: Money) -> tuple[dict[str, str], dict[str, str]]:
    """What to call each object of money, and its currency, by Stripe's id."""
    rows = [(one.stripe_id, one.number or one.stripe_id, one.total, one.currency) for one in money.invoices]
    rows += [(one.payment_intent, one.product, one.amount, one.currency) for one in money.payments]
    rows += [(one.stripe_id, one.reason, one.amount, one.currency) for one in money.disputes]
    names = {id_: f"{name}, {format_money(amount, currency)}" for id_, name, amount, currency in rows}
    return names, {id_: currency for id_, _, _, currency in rows}


def _detail(entry: AuditEntry, names: dict[str, str], admins: dict[int, str]) -> str:
    subject = entry.subject if entry.subject and entry.subject not in names else None
    return ", ".join(part for part in (subject, story.actor(entry, admins)) if part)


def _cause(entry: AuditEntry) -> str | None:
    event = entry.subject if entry.kind == "event.run_again" else entry.cause_event_id
    return url_for("admin.event", event_id=event) if event else None


def _mail(row: Notice, user: User) -> Entry:
    to = f"to {row.to}" if row.to.lower() != user.email.lower() else None
    return {
        "at": row.sent_at or row.created_at,
        "subject": subject(row),
        "detail": ", ".join(part for part in (to, row.reason) if part) or None,
        **_tag(tags.mail(row)),
    }


def subject(row: Notice) -> str:
    """The mail's subject line, without the code or link that it may hold; its kind where that fails."""
    config = running.config()
    known = {**row.facts, "brand": config.brand_name, "to": row.to, "secret": "[hidden]"}
    try:
        return render_template(f"mail/{row.kind}/subject.txt", **known).strip()
    except TemplateError:
        return row.kind


def _as_moment(letter: Entry) -> Entry:
    shared = {name: letter[name] for name in ("at", "detail", "tag", "tone", "glyph")}
    return {**shared, "kind": "mail", "text": letter["subject"], "href": None}


def _tag(tag: tags.Tag) -> Entry:
    return dict(zip(("tag", "tone", "glyph"), tag, strict=True))
