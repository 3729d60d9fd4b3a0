"""One person's story, newest first: what Stripe told, what changed and by whom, which mails left."""

from __future__ import annotations

from typing import Any

from flask import render_template, url_for
from jinja2 import TemplateError
from sqlalchemy import ColumnElement, and_, or_, select
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
    return mails_where(session, user, Notice.user_id == user.id)


def timeline(session: Session, user: User, money: Money, letters: list[Entry]) -> list[Entry]:
    """Events, changes (those of money too, told when they were applied) and mails in one list."""
    events = events_where(session, _mine(user))
    return newest(
        [*events, *changes_where(session, AuditEntry.user_id == user.id, money), *as_moments(letters)]
    )


def _mine(user: User) -> ColumnElement[bool]:
    """The person's events. One that waits or failed is not bound to a user yet, only to a customer."""
    mine = StripeEvent.user_id == user.id
    if user.stripe_customer_id:
        open_ = StripeEvent.state.in_((StripeEvent.PENDING, StripeEvent.PARKED))
        mine = or_(mine, and_(open_, StripeEvent.customer_id == user.stripe_customer_id))
    return mine


def newest(entries: list[Entry]) -> list[Entry]:
    """Newest first, as many as a page holds, and a word where there are more."""
    entries.sort(key=lambda entry: entry["at"], reverse=True)
    if len(entries) > LENGTH:
        last = entries[LENGTH - 1]["at"]
        cut = {"at": last, "kind": "", "text": "What came before is not shown here.", "href": None}
        return [*entries[:LENGTH], cut]
    return entries


def events_where(session: Session, condition: ColumnElement[bool]) -> list[Entry]:
    """Stripe's events and our own looks at Stripe."""
    found = select(StripeEvent).where(condition).options(defer(StripeEvent.payload))
    rows = session.execute(found.order_by(StripeEvent.received_at.desc()).limit(LENGTH + 1)).scalars()
    return [
        {
            "at": row.received_at,
            "kind": "event",
            "text": row.type,
            "detail": ", ".join(part for part in (_source(row), row.reason) if part) or None,
            "href": url_for("admin.event", event_id=row.event_id),
            **as_tag(tags.event(row)),
        }
        for row in rows
    ]


def _source(row: StripeEvent) -> str | None:
    """How it was learned of, where Stripe did not tell it by itself."""
    return None if row.source == "webhook" else f"learned from {row.source.replace('_', ' ')}"


def changes_where(
    session: Session, condition: ColumnElement[bool], money: Money, *, in_full: bool = False
) -> list[Entry]:
    """Entries of the audit, in words; with every field that changed ``in_full``."""
    found = select(AuditEntry).where(condition)
    newest_first = found.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(LENGTH + 1)
    entries = list(session.execute(newest_first).scalars())
    admins = emails(session, story.admin_ids(entries))
    names, currencies = _names(money)
    return [
        {
            "at": entry.at,
            "kind": story.kind(entry),
            "text": story.text(entry, names, currencies, in_full=in_full),
            "detail": _detail(entry, names, admins),
            "href": _cause(entry),
            **(as_tag(("Look at this", "look", "▲")) if entry.alert else {}),
        }
        for entry in entries
    ]


def mails_where(session: Session, user: User, condition: ColumnElement[bool]) -> list[Entry]:
    """Mails that were owed to the person, newest first."""
    found = select(Notice).where(condition).order_by(Notice.created_at.desc(), Notice.id.desc())
    return [_mail(row, user) for row in session.execute(found.limit(LENGTH + 1)).scalars()]


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
    rows += [(one.stripe_id, one.payment_intent or "", one.amount, one.currency) for one in money.refunds]
    rows += [(one.stripe_id, one.fraud_type, one.amount, one.currency) for one in money.warnings]
    names = {id_: f"{name}, {format_money(amount, currency)}" for id_, name, amount, currency in rows}
    currencies = {one.stripe_id: one.currency for one in money.subscriptions}
    return names, {**currencies, **{id_: currency for id_, _, _, currency in rows}}


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
        **as_tag(tags.mail(row)),
    }


def subject(row: Notice) -> str:
    """The mail's subject line, without the code or link that it may hold; its kind where that fails."""
    config = running.config()
    known = {**row.facts, "brand": config.brand_name, "to": row.to, "secret": "[hidden]"}
    try:
        return render_template(f"mail/{row.kind}/subject.txt", **known).strip()
    except TemplateError:
        return row.kind


def as_moments(letters: list[Entry]) -> list[Entry]:
    """Mails as entries of a timeline."""
    shared = ("at", "detail", "tag", "tone", "glyph")
    return [
        {**{name: letter[name] for name in shared}, "kind": "mail", "text": letter["subject"], "href": None}
        for letter in letters
    ]


def as_tag(tag: tags.Tag) -> Entry:
    return dict(zip(("tag", "tone", "glyph"), tag, strict=True))
