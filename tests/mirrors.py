"""Stripe's objects beside our rows: read from the sandbox's memory and from our tables, by no code of the product."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Protocol

from flask import Flask


class Scene(Protocol):
    """What the oracles look at.

    ``mails``: how often each message left, by its id. ``acked``: events that were answered 200. ``since``: the
    newest entry of the audit when it began. ``owed``: keys of mails that were owed before it and are forgotten.
    """

    acked: set[str]
    since: int
    owed: set[str]

    @property
    def app(self) -> Flask: ...

    @property
    def mails(self) -> Counter[str]: ...

    def rows(self, sql: str, *args: Any) -> list[Any]:
        """Of our database."""

    def at_stripe(self, kind: str, **where: Any) -> list[dict[str, Any]]:
        """Objects of our customers, oldest first."""

    def requests(self) -> list[dict[str, Any]]:
        """What Stripe was asked with a key of ours, oldest first."""

    def time_of(self, customer: str) -> float:
        """Stripe's time for that customer, in Unix seconds."""

    def at_most(self, customer: str, heard: float) -> float:
        """That time when we heard of it at ``heard``, or later: a test clock may have been anywhere until now."""

    def fails(self, what: str) -> None: ...


def rows_equal_what_stripe_holds(scene: Scene) -> None:
    users = customers(scene)
    for name, look in MIRRORS.items():
        there, here = look(scene, users)
        for key in sorted(there.keys() | here.keys()):
            if there.get(key) != here.get(key):
                scene.fails(f"{name} {key}: Stripe has {there.get(key)}, we have {here.get(key)}")


def customers(scene: Scene) -> dict[str, int]:
    """Whose each customer is, or was, before it was deleted at Stripe and another one made."""
    now = scene.rows("select stripe_customer_id, id from users where stripe_customer_id is not null")
    made = "select stripe_object_id, user_id from stripe_writes where operation = 'customer.create' and state = 'done'"
    return {**dict(scene.rows(made)), **dict(now)}


def _moment(value: datetime | None) -> int | None:
    return round(value.timestamp()) if value else None


def _subscriptions(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    there = {}
    for one in scene.at_stripe("subscription"):
        if one["customer"] in users:
            item = one["items"]["data"][0]
            there[one["id"]] = (
                users[one["customer"]],
                one["status"],
                item["price"]["id"],
                item["quantity"],
                item["current_period_end"],
                one["cancel_at"],
                one["cancel_at_period_end"],
                one["ended_at"],
                one["latest_invoice"],
            )
    rows = scene.rows(
        "select stripe_id, user_id, status, price_id, quantity, current_period_end, cancel_at, cancel_at_period_end,"
        " ended_at, latest_invoice from subscriptions"
    )
    here = {
        row[0]: (*row[1:5], _moment(row[5]), _moment(row[6]), row[7], _moment(row[8]), row[9]) for row in rows
    }
    return there, here


def refunded(scene: Scene) -> Counter[str]:
    """What went back of each payment, or is on its way."""
    found: Counter[str] = Counter()
    for one in scene.at_stripe("refund"):
        if one["status"] in ("succeeded", "pending", "requires_action"):
            found[one["payment_intent"]] += one["amount"]
    return found


def _invoices(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    paid_by = {
        one["invoice"]: one["payment"]["payment_intent"]
        for one in scene.at_stripe("invoice_payment")
        if one["status"] == "paid"
    }
    back = refunded(scene)
    there = {
        one["id"]: (
            users[one["customer"]],
            one["status"],
            one["attempt_count"],
            one["amount_paid"],
            one["amount_remaining"],
            one["next_payment_attempt"],
            back[paid_by.get(one["id"], "")],
        )
        for one in scene.at_stripe("invoice")
        if one["customer"] in users and one["status"] != "draft"
    }
    rows = scene.rows(
        "select stripe_id, user_id, status, attempt_count, amount_paid, amount_remaining, next_payment_attempt,"
        " amount_refunded from invoices where status <> 'draft'"
    )
    return there, {row[0]: (*row[1:6], _moment(row[6]), row[7]) for row in rows}


def _payments(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    back = refunded(scene)
    there = {
        one["id"]: (users[one["customer"]], one["status"], one["amount"], back[one["id"]])
        for one in scene.at_stripe("payment_intent")
        if one["customer"] in users
        and "plan" in one["metadata"]
        and (one["status"] in ("succeeded", "processing", "canceled") or one["last_payment_error"])
    }
    rows = scene.rows("select payment_intent, user_id, status, amount, amount_refunded from payments")
    here = {row[0]: tuple(row[1:]) for row in rows}
    # Somebody whose card was declined is at their bank's page with another one: what comes of that is told.
    for one in scene.at_stripe("payment_intent"):
        mine = here.get(one["id"])
        if (
            one["status"] == "requires_action"
            and mine
            and mine[1] in ("requires_payment_method", one["status"])
        ):
            there.pop(one["id"], None)
            del here[one["id"]]
    return there, here


def _sessions(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    there = {
        one["id"]: (users[one["customer"]], one["status"], one["payment_status"])
        for one in scene.at_stripe("checkout.session")
        if one["customer"] in users
        and "checkout" in (one["metadata"] or {})  # opened by us, for a row of ours
    }
    rows = scene.rows(
        "select stripe_id, user_id, status, payment_status from checkout_sessions where stripe_id is not null"
    )
    # While it is open nobody needs to know that it is unpaid.
    here = {row[0]: tuple(row[1:]) for row in rows}
    for key, row in here.items():
        if row[1] in ("open", "expired") and row[2] is None and key in there:
            here[key] = (*row[:2], there[key][2])
    return there, here


def _refunds(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    there = {
        one["id"]: (one["status"], one["amount"])
        for one in scene.at_stripe("refund")
        if one["customer"] in users
    }
    return there, {
        row[0]: tuple(row[1:]) for row in scene.rows("select stripe_id, status, amount from refunds")
    }


def _disputes(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    charges = {one["id"]: one for one in scene.at_stripe("charge")}
    there = {
        one["id"]: (one["status"], one["amount"])
        for one in scene.at_stripe("dispute")
        if charges[one["charge"]]["customer"] in users
    }
    return there, {
        row[0]: tuple(row[1:]) for row in scene.rows("select stripe_id, status, amount from disputes")
    }


def _warnings(scene: Scene, users: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    there = {one["id"]: one["actionable"] for one in scene.at_stripe("radar.early_fraud_warning")}
    return there, dict(scene.rows("select stripe_id, actionable from fraud_warnings"))


MIRRORS = {
    "subscription": _subscriptions,
    "invoice": _invoices,
    "payment": _payments,
    "session": _sessions,
    "refund": _refunds,
    "dispute": _disputes,
    "warning": _warnings,
}
