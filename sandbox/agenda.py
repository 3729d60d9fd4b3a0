"""What becomes due, and when: pure functions from an object to its moments (UTC seconds).

The store rewrites an object's moments whenever the object is written, so nothing here can go stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

HOUR, DAY = 3600, 86400
INCOMPLETE_LIFE = 23 * HOUR
TRIAL_NOTICE = 3 * DAY
UPCOMING_NOTICE = 3 * DAY

LABELS = {
    "trial_will_end": "Trial ends in three days",
    "trial_end": "Trial ends",
    "renew": "Renewal",
    "end": "Subscription ends",
    "incomplete_expire": "Unfinished subscription expires",
    "upcoming": "Notice of the next invoice",
    "finalize": "Draft is finalised and charged",
    "retry": "Payment is tried again",
    "expire": "Checkout page expires",
    "settle": "Refund settles",
    "delete_clock": "Test clock is deleted",
}


def moments(obj: Json) -> list[tuple[str, int]]:
    """The (kind, at) pairs of an object as it stands."""
    rule = MOMENTS.get(obj["object"])
    return list(rule(obj)) if rule else []


def period_end(subscription: Json) -> int:
    """The end of the current period, which the first item carries."""
    end: int = subscription["items"]["data"][0]["current_period_end"]
    return end


def _subscription(sub: Json) -> Iterator[tuple[str, int]]:
    status = sub["status"]
    if status == "incomplete":
        yield "incomplete_expire", sub["created"] + INCOMPLETE_LIFE
    if status not in ("trialing", "active", "past_due", "unpaid"):
        return
    end = period_end(sub)
    if sub["cancel_at"] is not None and sub["cancel_at"] <= end:
        yield "end", sub["cancel_at"]
        return
    if status == "trialing":
        yield "trial_end", sub["trial_end"]
        if not sub.get("_trial_notice_sent"):
            yield "trial_will_end", sub["trial_end"] - TRIAL_NOTICE
        return
    yield "renew", end
    start = sub["items"]["data"][0]["current_period_start"]
    if status == "active" and sub.get("_upcoming_sent") != end and end - start > UPCOMING_NOTICE:
        yield "upcoming", end - UPCOMING_NOTICE


def _invoice(invoice: Json) -> Iterator[tuple[str, int]]:
    if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
        yield "finalize", invoice["automatically_finalizes_at"]
    if invoice["status"] == "open" and invoice["next_payment_attempt"]:
        yield "retry", invoice["next_payment_attempt"]


def _session(session: Json) -> Iterator[tuple[str, int]]:
    if session["status"] == "open":
        yield "expire", session["expires_at"]


def _refund(refund: Json) -> Iterator[tuple[str, int]]:
    if refund.get("_settles_at"):
        yield "settle", refund["_settles_at"]


def _test_clock(test_clock: Json) -> Iterator[tuple[str, int]]:
    if not test_clock.get("_panel"):
        yield "delete_clock", test_clock["deletes_after"]


MOMENTS: dict[str, Callable[[Json], Iterator[tuple[str, int]]]] = {
    "subscription": _subscription,
    "invoice": _invoice,
    "checkout.session": _session,
    "refund": _refund,
    "test_helpers.test_clock": _test_clock,
}
