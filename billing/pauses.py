"""A plan that rests: Stripe's ``pause`` for as long as the person chose, and ``resume`` when that is over.

Stripe's pause has no end of its own (``POST /v1/subscriptions/:id/pause``), so what was agreed is kept at Stripe in the
subscription's metadata, written before the pause and read from there like everything else. Collection that is paused
(``pause_collection``) is another thing: the plan would run on unpaid.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import invoices, ladder
from billing.clock import from_stripe
from billing.models import Invoice, Subscription
from billing.payloads import Object, first_item
from billing.write_request import WriteRequest

NOTE = "dunlin_pause"
# What was agreed belongs to the pause that began within this time of it, and to no other one.
TOGETHER = timedelta(hours=1)


def agreed_end(found: Object) -> datetime | None:
    """Until when the present pause was asked for; None where nothing was agreed for this very pause."""
    note = str((found.get("metadata") or {}).get(NOTE) or "")
    asked, _, until = note.partition("-")
    paused = (found.get("status_details") or {}).get("paused") or {}
    began = paused.get("transitioned_at")
    if found["status"] != "paused" or not (
        asked.isdecimal() and until.isdecimal() and isinstance(began, int)
    ):
        return None
    return from_stripe(int(until)) if abs(began - int(asked)) <= TOGETHER.total_seconds() else None


def obstacle(found: Object) -> str | None:
    """The code of why Stripe's subscription can't be paused now (``pausing.WHY_NOT`` has the words)."""
    if found["status"] == "trialing":
        return "trial"
    if found["status"] == "paused":
        return "paused"
    if found["status"] != "active":
        return "unpaid"
    if found.get("cancel_at") or found.get("cancel_at_period_end"):
        return "ending"
    if found.get("schedule") or found.get("pending_update"):
        return "changing"
    if found.get("pause_collection"):
        return "collection"
    flexible = (found.get("billing_mode") or {}).get("type") == "flexible"
    one = len((found.get("items") or {}).get("data") or []) == 1
    priced = (first_item(found).get("price") or {}).get("unit_amount") is not None
    automatic = found.get("collection_method") == "charge_automatically"
    return None if flexible and one and priced and automatic else "measure"


def obstacle_of_row(row: Subscription) -> str | None:
    """The same as far as our row can tell; Stripe's own object is asked before anything is done."""
    seen: Object = {
        "status": row.status,
        "cancel_at": row.ends_at,
        "schedule": row.schedule,
        "pending_update": row.coming,
        "pause_collection": row.pause_collection,
        "billing_mode": {"type": "flexible"},
        "items": {"data": [{"price": {"unit_amount": row.amount}}]},
        "collection_method": row.collection_method,
    }
    return obstacle(seen)


def note_request(stripe_id: str, asked: int, until: int, once: str, user_id: int) -> WriteRequest:
    """The write that keeps what was agreed, before anything is paused. Times are Stripe's, in Unix seconds."""
    params: dict[str, Any] = {"metadata": {NOTE: f"{asked}-{until}"}}
    return WriteRequest("subscription.update", f"pause-note:{stripe_id}:{once}", params, stripe_id, user_id)


def pause_request(stripe_id: str, once: str, user_id: int) -> WriteRequest:
    """The write that pauses: what is left of the time that was paid for is credited, and comes off what is due when the
    plan goes on."""
    params = {"type": "subscription", "bill_for": {"unused_time_from": {"type": "now"}}}
    return WriteRequest("subscription.pause", f"pause:{stripe_id}:{once}", params, stripe_id, user_id)


def resume_request(row: Subscription, mark: str) -> WriteRequest:
    """The write that lets the plan go on from now, once its first payment is made; until then it stays paused."""
    params = {"payment_behavior": "resume_on_payment_success", "billing_cycle_anchor": {"type": "now"}}
    name = f"resume:{row.stripe_id}:{mark}"
    return WriteRequest("subscription.resume", name, params, row.stripe_id, row.user_id)


def end_request(row: Subscription) -> WriteRequest:
    """The write that ends what is paused now: the plan itself, or only its payments."""
    if row.status == "paused":
        return resume_request(row, f"asked:{row.fetch_no}")
    name = f"collect:{row.stripe_id}:{row.fetch_no}"
    return WriteRequest("subscription.update", name, {"pause_collection": ""}, row.stripe_id, row.user_id)


def end_of_unpaid(session: Session, row: Subscription) -> tuple[WriteRequest, ...]:
    """Where Stripe paused the plan for an unpaid invoice and that is paid: it goes on, if Stripe doesn't see to it.

    The period that was paid for goes on (anchor unchanged, nothing prorated): nobody pays twice for having been late.
    """
    if row.status != "paused" or row.status_reason not in ladder.UNPAID:
        return ()
    latest = select(Invoice).where(Invoice.stripe_id == row.latest_invoice)
    paid = session.execute(latest).scalar()
    if paid is None or paid.status != "paid":
        return ()
    if invoices.open_failed(session, row.stripe_id) is not None:
        return ()
    params = {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "none"}
    name = f"resume-paid:{row.stripe_id}:{paid.stripe_id}"
    return (WriteRequest("subscription.resume", name, params, row.stripe_id, row.user_id),)


def due(session: Session) -> list[WriteRequest]:
    """The resumption of every plan whose pause is over, by Stripe's clock where it is on a test clock, else by the
    database's."""
    present = func.coalesce(Subscription.clock_time, func.now())
    over = select(Subscription).where(
        Subscription.status == "paused",
        Subscription.status_reason == "pause_requested",
        Subscription.resumes_at <= present,
    )
    rows = session.execute(over.order_by(Subscription.id)).scalars()
    return [resume_request(row, f"{row.resumes_at:%Y%m%dT%H%M%SZ}") for row in rows]
