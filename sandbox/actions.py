"""What a person does on the control panel; checkout_actions, portal_actions and invoice_actions have the rest.

Every function is one transaction; every view is a plain dict of Stripe's own objects and a few words.
"""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import customers, debits, portal, time
from sandbox.house import SETTINGS, TROUBLE, db, house
from sandbox.outcomes import Card, NotFound, Outcome
from sandbox.running import deliverer

__all__ = ["Card", "NotFound", "Outcome"]

Json = dict[str, Any]


def last_message(kind: str, id_: str) -> str:
    """Words kept for this page, shown once: kind checkout, invoice, portal, clock, endpoint, trouble or state."""
    with db().transaction():
        return customers.recall(kind, id_)


def remember(kind: str, id_: str, message: str) -> None:
    """Keep words for `last_message`."""
    with db().transaction():
        customers.remember(kind, id_, message)


def people() -> list[Json]:
    """Every customer, newest first: customer, email, name, clock_now, subscriptions."""
    return [
        {
            "customer": each["id"],
            "email": each["email"],
            "name": each["name"],
            "clock_now": clock.now(each["id"]) if each["test_clock"] else None,
            "subscriptions": [
                {"id": sub["id"], "status": sub["status"]}
                for sub in db().all("subscription", customer=each["id"])
            ],
        }
        for each in reversed(db().all("customer"))
    ]


def moments(customer_id: str) -> tuple[int, list[tuple[int, str]]]:
    """The customer's time and what comes next: (UTC seconds, [(UTC seconds, words)])."""
    if db().find("customer", customer_id) is None:
        raise NotFound(customer_id)
    return clock.now(customer_id), time.moments(customer_id)


def advance(customer_id: str, to: int) -> int:
    """Move one customer's time to `to` (UTC seconds); the time it is then. Words are kept when it can't."""
    if db().find("customer", customer_id) is None:
        raise NotFound(customer_id)
    try:
        return time.advance(customer_id, to)
    except ValueError as problem:
        with db().transaction():
            customers.remember("clock", customer_id, str(problem))
        return clock.now(customer_id)


def use_card(customer_id: str, number: str) -> None:
    """Replace the card that renewals are charged to; ValueError when it is no card number."""
    with db().transaction():
        portal.replace_card(customer_id, number)


def settle_debits(customer_id: str) -> int:
    """The bank answers this person's debits now; how many there were."""
    waiting = [
        each["id"] for each in db().all("charge", customer=customer_id) if each.get("_settles_at") is not None
    ]
    for charge in waiting:
        debits.settle(charge)
    return len(waiting)


def deliveries(limit: int) -> list[Json]:
    """The newest deliveries first: event, type, customer, created, status, attempts, error, endpoint."""
    rows = db().rows("SELECT * FROM deliveries ORDER BY id DESC LIMIT ?", (limit,))
    return [_delivery(dict(row)) for row in rows]


def deliveries_of(event_id: str) -> list[Json]:
    rows = db().rows("SELECT * FROM deliveries WHERE event=? ORDER BY id", (event_id,))
    return [_delivery(dict(row)) for row in rows]


def _delivery(row: Json) -> Json:
    event = db().get("event", row["event"])
    about = event["data"]["object"]
    return {
        "event": row["event"],
        "type": row["type"],
        "endpoint": row["endpoint"],
        "customer": about["id"] if about["object"] == "customer" else about.get("customer"),
        "created": event["created"],
        "status": row["state"],
        "http_status": row["status"],
        "attempts": row["attempts"],
        "next_at": row["next_at"] if row["state"] == "pending" else None,
        "error": row["error"],
    }


def flush() -> None:
    """Deliver everything that is owed now, held or not; returns when each was tried."""
    deliverer().flush()


def settings() -> Json:
    return house().settings()


def set_settings(**changes: Any) -> None:
    """Keep new settings; ValueError for an unknown name or value."""
    house().change("settings", SETTINGS, changes)


def trouble() -> Json:
    return house().trouble()


def set_trouble(**changes: Any) -> None:
    """Switch faults on or off; ValueError for an unknown name or value.

    Another `api` trouble meets every method and any number of requests unless `api_method` and `times` say so.
    """
    narrow = {"api_method": "", "times": None} if "api" in changes else {}
    house().change("trouble", TROUBLE, narrow | changes)
