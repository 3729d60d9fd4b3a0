"""Subscriptions: making one, and each way in which one changes or ends."""

from __future__ import annotations

from typing import Any

from sandbox import clock, periods
from sandbox.agenda import TRIAL_NOTICE, period_end
from sandbox.engine import schedules
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import subscription as shapes

Json = dict[str, Any]

UPDATED, DELETED = "customer.subscription.updated", "customer.subscription.deleted"
ENDED = frozenset({"canceled", "incomplete_expired"})


def create(customer: Json, lines: list[tuple[Json, int]], now: int, given: Json) -> Json:
    """A subscription that starts now, in its trial or paid. No event: the caller emits it when complete."""
    return db().put(unsaved(customer, lines, now, given))


def unsaved(customer: Json, lines: list[tuple[Json, int]], now: int, given: Json) -> Json:
    """The same for a preview. `given` may also hold `anchor`, the end of a first period that is not whole."""
    trial_end = given.get("trial_end")
    first = lines[0][0]
    given = given | {
        "start": now,
        "end": trial_end or _first_end(first, now, given),
        "currency": given.get("currency") or first["currency"],
    }
    return shapes.subscription(now, customer, lines, given)


def _first_end(price: Json, now: int, given: Json) -> int:
    end = given.get("anchor") or periods.boundary(now, price["recurring"], 1)
    return min(end, given.get("cancel_at") or end)


def roll(sub: Json) -> tuple[int, int]:
    """Move every item on to its next period (in place, unsaved); the new (start, end).

    A scheduled end inside the next period makes that one shorter.
    """
    start = period_end(sub)
    recurring = sub["items"]["data"][0]["price"]["recurring"]
    end = periods.following(sub["billing_cycle_anchor"], recurring, start)
    if sub["cancel_at"] is not None and start < sub["cancel_at"] < end:
        end = sub["cancel_at"]
    sub.update(with_period(sub, start, end))
    return start, end


def with_period(sub: Json, start: int, end: int) -> Json:
    """The `items` of a subscription, each with that current period."""
    period = {"current_period_start": start, "current_period_end": end}
    data = [item | period for item in sub["items"]["data"]]
    return {"items": sub["items"] | {"data": data}}


def recurring(sub: Json) -> tuple[str, int]:
    """The interval of a subscription, which all of its items share, and its count."""
    every = sub["items"]["data"][0]["price"]["recurring"]
    return every["interval"], every["interval_count"]


def notice_of_trial(sub: Json) -> None:
    """A trial that ends within three days is told of at once (facts 3.4)."""
    if sub["status"] == "trialing" and sub["trial_end"] - clock.now(sub["customer"]) <= TRIAL_NOTICE:
        db().put(sub | {"_trial_notice_sent": sub["trial_end"]})
        sub["_trial_notice_sent"] = sub["trial_end"]
        emit("customer.subscription.trial_will_end", sub)


def schedule_end(sub: Json, feedback: str | None = None, comment: str | None = None) -> Json:
    """Cancel at the end of the paid period."""
    fields = ending(sub, period_end(sub)) | {"cancel_at_period_end": True}
    fields["cancellation_details"] |= words(feedback, comment)
    return change(sub, UPDATED, **fields)


def undo_end(sub: Json) -> Json:
    """Take a scheduled cancellation back."""
    return change(sub, UPDATED, **going_on(sub))


def ending(sub: Json, at: int) -> Json:
    """The fields of a subscription that somebody, just now, asked to end at `at`."""
    return {
        "cancel_at": at,
        "canceled_at": clock.now(sub["customer"]),
        "cancellation_details": sub["cancellation_details"] | {"reason": "cancellation_requested"},
    }


def going_on(sub: Json) -> Json:
    """The fields of a subscription with no end scheduled."""
    return {
        "cancel_at_period_end": False,
        "cancel_at": None,
        "canceled_at": None,
        "cancellation_details": dict.fromkeys(sub["cancellation_details"]),
    }


def cancel_now(sub: Json, feedback: str | None = None, comment: str | None = None) -> Json:
    """End at once, on request."""
    now = clock.now(sub["customer"])
    details = sub["cancellation_details"] | {"reason": "cancellation_requested"} | words(feedback, comment)
    sub.update(
        status="canceled",
        cancel_at=None,
        cancel_at_period_end=False,
        canceled_at=sub["canceled_at"] or now,
        ended_at=now,
        cancellation_details=details,
    )
    return _ended(sub)


def end_scheduled(sub: Json) -> Json:
    """The moment that was scheduled has come; `cancel_at_period_end` stays as it was asked."""
    now = clock.now(sub["customer"])
    sub.update(status="canceled", ended_at=now, canceled_at=sub["canceled_at"] or now)
    return _ended(sub)


def end_for(sub: Json, reason: str | None) -> Json:
    """Stripe ends it: reason payment_failed after the last retry, or None at a trial's end."""
    now = clock.now(sub["customer"])
    details = sub["cancellation_details"] | {"reason": reason}
    sub.update(status="canceled", ended_at=now, canceled_at=now, cancellation_details=details)
    return _ended(sub)


def _ended(sub: Json) -> Json:
    db().put(sub)
    emit(DELETED, sub)
    stop_collecting(sub["id"])
    schedules.over(sub)
    return sub


def stop_collecting(subscription_id: str) -> None:
    """Unpaid invoices stay as they are, but Stripe no longer works on them."""
    for invoice in db().all("invoice", parent__subscription_details__subscription=subscription_id):
        if invoice["status"] in ("draft", "open"):
            change(
                invoice,
                "invoice.updated",
                auto_advance=False,
                next_payment_attempt=None,
                automatically_finalizes_at=None,
                _asks_again_at=None,
            )


def words(feedback: str | None, comment: str | None) -> Json:
    """What was said of a cancellation, as far as anything was."""
    given = {"feedback": feedback, "comment": comment}
    return {key: value for key, value in given.items() if value}
