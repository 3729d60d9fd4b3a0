"""What a copy of somebody's data is made of: every table is a file in it or is named with the reason why not.

Amounts stay as they are kept, in minor units, with the same amount as people read it beside them. Times are UTC. A copy
holds one person's rows: each query asks for their number. It never asks Stripe.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from billing import models
from billing.errors import ExportTooLarge
from billing.extensions import Base, table_of
from billing.language import _, later
from billing.money import format_money

Row = dict[str, Any]

# Of all files together, before they are packed: kept in the database for a day, and sent by a web process.
MOST_BYTES = 32 * 1024 * 1024
# A spreadsheet takes a cell that begins so for a formula and runs it (OWASP, CSV Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
AMOUNTS = frozenset(
    {
        "amount", "total", "amount_due", "amount_paid", "amount_remaining", "amount_refunded", "amount_total",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A table in the copy, as ``<file>.json`` and ``<file>.csv``: the person's rows of it, and what they are."""

    file: str
    model: type[Base]
    what: str

    @property
    def table(self) -> Table:
        return table_of(self.model)


PARTS = (
    Part(
        "account", models.User, later("Your account: email, language, time zone, and your number at Stripe.")
    ),
    Part("sessions", models.LoginSession, later("The browsers in which you are signed in.")),
    Part(
        "codes_and_links",
        models.AuthToken,
        later("Codes and links that were mailed to you lately; not what they were."),
    ),
    Part("subscriptions", models.Subscription, later("Your plans, as Stripe last described them to us.")),
    Part("checkouts", models.CheckoutSession, later("Payment pages that you opened.")),
    Part(
        "invoices",
        models.Invoice,
        later("Your invoices, with what was paid, what is due and what was refunded."),
    ),
    Part("payments", models.Payment, later("One-off purchases, with what was refunded.")),
    Part("refunds", models.Refund, later("Each time that money went back to you.")),
    Part("disputes", models.Dispute, later("Payments that were contested at a bank.")),
    Part("fraud_warnings", models.FraudWarning, later("Payments that a bank took for fraud.")),
    Part(
        "credits_and_features",
        models.Grant,
        later("What you got for one-off purchases, and what was taken back."),
    ),
    Part("withdrawals", models.Withdrawal, later("Contracts that you withdrew from, and what you declared.")),
    Part("gifts", models.Comp, later("Plans that were given to you free of charge.")),
    Part(
        "mails",
        models.Notice,
        later("Mails that we wrote to you: which, when, to which address, and their facts."),
    ),
    Part("asked_of_stripe", models.StripeWrite, later("What we asked Stripe to do for you.")),
    Part(
        "told_by_stripe",
        models.StripeEvent,
        later("What Stripe told us happened to your plan and your payments."),
    ),
    Part("changes", models.AuditEntry, later("Our record of what changed, when, and who changed it.")),
    Part("copies", models.DataExport, later("Copies of your data that you asked for.")),
    Part("deletions", models.Deletion, later("Each time that you asked for your account to be deleted.")),
)

# What is not in a copy: whole tables, and columns of those above. Tests want each table here or there.
LEFT_OUT = {
    "installation": "about this installation, nobody's person",
    "leases": "which process works on what at this moment",
    "plan_prices": "the catalogue",
    "past_prices": "the catalogue",
    "rate_hits": "counters under hashes, nobody's any more, erased after a day",
    "sync_runs": "the reconciler's passes, about no one person",
    "users.password_hash": "a secret",
    "login_sessions.token_hash": "a secret",
    "auth_tokens.secret_hash": "a secret",
    "auth_tokens.password_hash": "a secret, maybe a stranger's who tried to sign up with this address",
    "auth_tokens.referral_code": "maybe a stranger's who tried to sign up with this address",
    "notices.secret": "a secret",
    "checkout_sessions.once": "a secret of a form",
    "checkout_sessions.url": "whoever has it can open the payment page",
    "stripe_writes.idempotency_key": "a key to Stripe's kept answer",
    "stripe_events.payload": "holds keys to payments; what it says is in the other files",
    "comps.given_by": "another person",
    "comps.ended_by": "another person",
    "data_exports.content": "the copy itself",
}


def gather(session: Session, user_id: int) -> dict[str, list[Row]]:
    """The person's rows of every part, by its file's name. One transaction, so that they belong together."""
    return {part.file: list(_rows(session, part, user_id)) for part in PARTS}


def pack(found: dict[str, list[Row]], made_at: datetime, brand: str) -> bytes:
    """The zip, in the language that is spoken: a README, and each part as JSON and as CSV.

    Raises ExportTooLarge.
    """
    files = {"README.txt": _readme(found, made_at, brand)}
    for name, rows in found.items():
        files[f"{name}.json"] = json.dumps(rows, ensure_ascii=False, indent=2, default=_plain)
        files[f"{name}.csv"] = _csv(rows, _columns(_part(name)))
    packed = {
        name: text.encode("utf-8-sig" if name.endswith(".csv") else "utf-8") for name, text in files.items()
    }
    if sum(map(len, packed.values())) > MOST_BYTES:
        raise ExportTooLarge(f"more than {MOST_BYTES} bytes")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in packed.items():
            archive.writestr(name, data)
    return zipped.getvalue()


def _part(file: str) -> Part:
    return next(part for part in PARTS if part.file == file)


def _kept(part: Part) -> list[str]:
    table = part.table
    return [one.name for one in table.columns if f"{table.name}.{one.name}" not in LEFT_OUT]


def _columns(part: Part) -> list[str]:
    """The columns of its file: those of the table, and after each amount the same as people read it."""
    return [
        name
        for column in _kept(part)
        for name in (
            (column, f"{column}_text") if _is_money(column, part.table.columns.keys()) else (column,)
        )
    ]


def _rows(session: Session, part: Part, user_id: int) -> Iterator[Row]:
    table = part.table
    whose = table.c.id if part.model is models.User else table.c.user_id
    shown = [
        # which admin it was is about another person
        func.split_part(table.c[name], ":", 1).label(name)
        if (table.name, name) == ("audit", "actor")
        else table.c[name]
        for name in _kept(part)
    ]
    found = select(*shown).where(whose == user_id).order_by(*table.primary_key.columns)
    for row in session.execute(found).mappings():
        yield {name: value for column in row for name, value in _said(row, column)}


def _is_money(column: str, beside: Collection[str]) -> bool:
    """Credits are an amount too, and of no currency."""
    return column in AMOUNTS and "currency" in beside


def _said(row: Any, column: str) -> Iterator[tuple[str, Any]]:
    yield column, row[column]
    if _is_money(column, row):
        amount, currency = row[column], row["currency"]
        yield f"{column}_text", None if amount is None or not currency else format_money(amount, currency)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"no such value is exported: {type(value).__name__}")


def _csv(rows: list[Row], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """As a spreadsheet shows it and never runs it: a text that would be a formula begins with an apostrophe."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, datetime):
        value = _plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _readme(found: dict[str, list[Row]], made_at: datetime, brand: str) -> str:
    lines = [
        _("This is all that {brand} billing has about you, as it was at one moment: {moment}.", brand=brand,
          moment=f"{made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"),
        "",
        _("Each file is there twice: .json for programs, .csv for spreadsheets. Both say the same, in UTF-8."),
        _("Amounts are whole numbers of the smallest unit of their currency, such as cents. Beside each, the column "
          "that ends in _text has it as people read it."),
        _("Times are in UTC. In .csv a text that a spreadsheet would take for a formula begins with an apostrophe."),
        "",
        *(f"{part.file} ({len(found[part.file])}): {_(part.what)}" for part in PARTS),
        "",
        _("Not in here: the password, codes and keys, of which we keep nothing that could be read; your card, which "
          "Stripe has and we never had; and who of our staff did something."),
        "",
    ]  # fmt: skip
    return "\n".join(lines)
