"""Step 3 of 5: bring our subscription row to exactly what Stripe holds.

``fetch`` asks Stripe with no transaction open; ``write`` puts what was fetched onto our row, in the one
transaction that also marks the events as applied. Whoever calls them holds the lease, took it *before*
the fetch, and proves at the write that it still holds it: so no slow worker overwrites a newer state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing import (
    audit,
    breaks,
    cards,
    deletions,
    invoices,
    means,
    novelties,
    pauses,
    plan_change,
    plan_news,
    prices,
    second,
    stripe_reads,
)
from billing.clock import from_stripe
from billing.models import Subscription, User
from billing.models.subscriptions import FINAL
from billing.payloads import Object, first_item, ref
from billing.people import owner
from billing.standing import KNOWN
from billing.syncing import Cause, Outcome
from billing.write_request import WriteRequest

STATUSES = KNOWN
# Made once (``people.OF_CUSTOMER``).
TO_WRITE = select(Subscription).where(Subscription.stripe_id == bindparam("id")).with_for_update()

# From → to, as *seen from here*: several steps at Stripe may lie between two fetches, so this is what can
# be reached, not single steps. Nothing returns to incomplete, only incomplete expires, and nothing leaves
# a final state. (Stripe: the status field of the Subscription object.)
_LIVE = frozenset({"trialing", "active", "past_due", "canceled", "unpaid", "paused"})
TRANSITIONS: dict[str | None, frozenset[str]] = {
    None: frozenset(STATUSES),
    "incomplete": _LIVE | {"incomplete_expired"},
    "trialing": _LIVE - {"trialing"},
    "active": _LIVE - {"active"},
    "past_due": _LIVE - {"past_due"},
    "unpaid": _LIVE - {"unpaid"},
    "paused": _LIVE - {"paused"},
    "incomplete_expired": frozenset(),
    "canceled": frozenset(),
}


@dataclass(frozen=True)
class Fetched:
    """Stripe's answers: the subscription, the invoices to write with it, and its test clock's time."""

    subscription: Object
    invoices: list[Object]
    clock_time: datetime | None


def fetch(stripe_id: str, hints: list[str]) -> Fetched:
    """Ask Stripe for the subscription with its latest invoice, and for the invoices that ``hints`` name.

    One request brings both, unless the invoice must be looked at more closely (``invoices.is_whole``).
    """
    found = stripe_reads.get_subscription(stripe_id, stripe_reads.LATEST_INVOICE)
    latest = found.get("latest_invoice")
    seen = {latest["id"]: latest} if isinstance(latest, dict) and invoices.is_whole(latest) else {}
    wanted = [*(hint for hint in hints if hint.startswith("in_")), ref(latest)]
    bills = [seen.get(one) or stripe_reads.get_invoice(one) for one in dict.fromkeys(wanted) if one]
    clock = ref(found.get("test_clock"))
    clock_time = from_stripe(stripe_reads.get_test_clock(clock)["frozen_time"]) if clock else None
    return Fetched(found, bills, clock_time)


def write(session: Session, fetched: Fetched, cause: Cause) -> Outcome:
    """Bring the row, its invoices and what follows from them to Stripe's state. Never commits."""
    found = fetched.subscription
    user = owner(session, found, cause.installation)
    if user is None:
        return Outcome(None, "not ours: no customer of this installation")
    row = session.execute(TO_WRITE, {"id": found["id"]}).scalar()
    if row is not None and row.final and found["status"] != row.status:
        _alert(session, user, found, row.status, cause, "subscription.left_final_state")
        return Outcome(user.id, "a final status never changes")
    before = audit.picture(row) if row else {}
    if row is None:
        row = Subscription(stripe_id=found["id"])
    row.user_id = user.id
    if not _legal(before.get("status"), found["status"]):
        _alert(session, user, found, before.get("status"), cause, "subscription.unexpected_transition")
    _copy(session, row, fetched, cause)
    session.add(row)  # only now: a query before would flush a row without its values
    for one in fetched.invoices:
        invoices.apply(session, user, one, row, cause)
    _anchor_first_failure(session, row, cause)
    session.flush()
    told = _note_changes(session, user, row, before, cause)
    follows = (*cards.follow(session, row, before, cause), *pauses.end_of_unpaid(session, row))
    return Outcome(user.id, writes=(*told, *follows))


def completed(found: Object) -> Object:
    """A listed subscription with what may be missing of it: its customer's card, and its test clock."""
    own = found.get("default_payment_method") or found.get("default_source")
    if isinstance(found.get("customer"), str) and not own:
        found = stripe_reads.get_subscription(found["id"])
    clock = ref(found.get("test_clock"))
    return {**found, "test_clock": stripe_reads.get_test_clock(clock)} if clock else found


def as_written(session: Session, row: Subscription, found: Object, cause: Cause) -> None:
    """Bring a row that is in no session to what ``write`` would make of it; ``found`` with its test clock."""
    clock = found.get("test_clock")
    time = from_stripe(clock["frozen_time"]) if isinstance(clock, dict) else None
    _copy(session, row, Fetched(found, [], time), cause)
    _anchor_first_failure(session, row, cause)


def _copy(session: Session, row: Subscription, fetched: Fetched, cause: Cause) -> None:
    found, item = fetched.subscription, first_item(fetched.subscription)
    price = item.get("price") or {}
    plan = _plan_of(session, price)
    row.known = novelties.last_known(row, found["status"], plan, fetched.clock_time or cause.now)
    row.status = found["status"]
    row.status_reason = _pause_reason(found)
    row.price_id = price.get("id", "")
    row.plan = plan
    row.amount, row.currency = price.get("unit_amount"), found["currency"]
    row.interval = (price.get("recurring") or {}).get("interval")
    row.quantity = item.get("quantity") or 1
    row.created = _moment(found, "created") or cause.now
    # Since basil the period is the item's; before, it was the subscription's.
    row.current_period_start = _moment(item, "current_period_start") or _moment(found, "current_period_start")
    row.current_period_end = _moment(item, "current_period_end") or _moment(found, "current_period_end")
    row.trial_end, row.cancel_at = _moment(found, "trial_end"), _moment(found, "cancel_at")
    row.trial_end_behavior = _without_card(found)
    row.cancel_at_period_end = bool(found.get("cancel_at_period_end"))
    row.canceled_at, row.ended_at = _moment(found, "canceled_at"), _moment(found, "ended_at")
    row.cancellation_reason = (found.get("cancellation_details") or {}).get("reason")
    row.pause_collection = found.get("pause_collection")
    row.schedule, row.collection_method = ref(found.get("schedule")), found["collection_method"]
    row.coming = plan_change.coming(session, found)
    row.card_brand, row.card_last4 = means.charged(found)
    row.card_expires_at = means.expires_at(found)
    row.discounts = lasting(found)
    row.payment_methods = cards.methods(found) or row.payment_methods
    row.resumes_at = pauses.agreed_end(found)
    row.latest_invoice, row.livemode = ref(found.get("latest_invoice")), bool(found["livemode"])
    row.test_clock = ref(found.get("test_clock"))
    times = [time for time in (row.clock_time, fetched.clock_time) if time]
    # The clock's own event may have moved it since our fetch; whoever heals goes by Stripe alone.
    row.clock_time = fetched.clock_time if cause.actor == "reconciler" else max(times, default=None)
    row.fetched_at = cause.now
    row.fetch_no, row.cause_event_id = cause.fence, cause.event_id


def _without_card(found: Object) -> str | None:
    """What becomes of a trial that ends without a card: create_invoice, cancel or pause. Only a trial has it."""
    if found["status"] != "trialing":
        return None
    ending = (found.get("trial_settings") or {}).get("end_behavior") or {}
    return ending.get("missing_payment_method")


def lasting(found: Object) -> list[dict[str, Any]] | None:
    """What the subscription's discounts take off its coming periods; None where they take nothing. A coupon that is for
    one bill was taken off that one (Stripe: ``duration`` of a Coupon)."""
    kept = []
    for one in found.get("discounts") or []:
        source = one.get("source") if isinstance(one, dict) else None
        coupon = (source or {}).get("coupon")
        if isinstance(coupon, dict) and coupon.get("duration") != "once":
            kept.append(
                {
                    "percent_off": coupon.get("percent_off"),
                    "amount_off": coupon.get("amount_off"),
                    "end": one.get("end"),
                }
            )
    return kept or None


def _plan_of(session: Session, price: Object) -> str | None:
    """Our catalogue's name for a price, by its id or, for one that our rows don't know, by what the price remembers."""
    known = prices.known(session, price.get("id"))
    return known.item if known else (price.get("metadata") or {}).get("plan")


def _pause_reason(found: Object) -> str | None:
    details = found.get("status_details") or {}
    asked = (details.get("paused") or {}).get("subscription") or {}
    return asked.get("type")


def _moment(thing: Object, name: str) -> datetime | None:
    value = thing.get(name)
    return from_stripe(value) if isinstance(value, int) else None


def _anchor_first_failure(session: Session, row: Subscription, cause: Cause) -> None:
    """Grace is counted from the first failure of what is unpaid now; a later try never moves it."""
    if row.status not in ("past_due", "unpaid", "paused"):
        row.first_failed_at = None
    elif row.status != "paused":
        owed = invoices.open_failed(session, row.stripe_id)
        failed = owed.first_failed_at if owed else row.first_failed_at
        row.first_failed_at = failed or row.clock_time or cause.now


def _legal(before: str | None, after: str) -> bool:
    return before == after or after in TRANSITIONS.get(before, frozenset())


def _note_changes(
    session: Session, user: User, row: Subscription, before: dict[str, Any], cause: Cause
) -> tuple[WriteRequest, ...]:
    """Write down what changed, and owe the notices that follow from it; what Stripe is to be told in turn."""
    plan_news.subscription_written(session, user, row, before, cause)
    breaks.written(session, user, row, before, cause)
    changed = audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)
    novelties.tell(row, changed)
    if "status" in changed and row.status not in FINAL and user.deleted_at is not None:
        deletions.alert_of_living(session, user, row.stripe_id, cause)
    elif "status" in changed and row.status not in FINAL:
        return tuple(second.resolve(session, user, row, cause))
    return ()


def _alert(session: Session, user: User, found: Object, before: str | None, cause: Cause, kind: str) -> None:
    audit.record(
        session,
        kind,
        actor=cause.actor,
        user_id=user.id,
        subject=found["id"],
        cause=cause.event_id,
        before={"value": before},
        after={"value": found["status"]},
        alert=True,
    )
