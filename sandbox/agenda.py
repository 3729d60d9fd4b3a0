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
DUE_NOTICE = 3 * DAY  # ours: at Stripe the account chooses
EXPIRING_NOTICE = 7 * DAY
INQUIRY_LIFE = 120 * DAY  # an inquiry that never became a dispute is closed then

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
    "will_be_due": "Sent invoice will be due",
    "overdue": "Sent invoice is overdue",
    "coupon_expire": "Coupon can no longer be redeemed",
    "code_expire": "Promotion code expires",
    "discount_end": "Discount ends",
    "collect_again": "Paused collection goes on",
    "pending_expire": "Pending update expires",
    "phase": "Schedule's next phase",
    "expiring": "Notice that the schedule ends",
    "collect_debit": "Bank debit settles",
    "expire_hold": "Authorisation expires",
    "dispute_due": "Evidence is due",
    "dispute_cancels": "Disputed subscription ends",
}
BY_WALL = frozenset({"collect_debit"})  # due by the wall clock even for customers on a test clock


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
    if sub["pending_update"] is not None:
        yield "pending_expire", sub["pending_update"]["expires_at"]
    if status not in ("trialing", "active", "past_due", "unpaid"):
        return
    if (sub["pause_collection"] or {}).get("resumes_at"):
        yield "collect_again", sub["pause_collection"]["resumes_at"]
    end = period_end(sub)
    if sub["cancel_at"] is not None and sub["cancel_at"] <= end:
        yield "end", sub["cancel_at"]
    elif status == "trialing":
        yield "trial_end", sub["trial_end"]
        if sub.get("_trial_notice_sent") != sub["trial_end"]:
            yield "trial_will_end", sub["trial_end"] - TRIAL_NOTICE
    else:
        yield "renew", end
        yield from _upcoming(sub, end)


def _upcoming(sub: Json, end: int) -> Iterator[tuple[str, int]]:
    """While collection is paused nothing is announced (facts 3.12)."""
    start = sub["items"]["data"][0]["current_period_start"]
    told = sub["status"] != "active" or sub["pause_collection"] or sub.get("_upcoming_sent") == end
    if not told and end - start > UPCOMING_NOTICE:
        yield "upcoming", end - UPCOMING_NOTICE


def _schedule(schedule: Json) -> Iterator[tuple[str, int]]:
    phases = schedule["phases"]
    if schedule["status"] == "not_started":
        yield "phase", phases[0]["start_date"]
    if schedule["status"] == "active":
        yield "phase", schedule["current_phase"]["end_date"]
    if schedule["status"] in ("not_started", "active"):
        end = phases[-1]["end_date"]
        if schedule["_expiring_sent"] != end and end - EXPIRING_NOTICE > phases[0]["start_date"]:
            yield "expiring", end - EXPIRING_NOTICE


def _invoice(invoice: Json) -> Iterator[tuple[str, int]]:
    if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
        yield "finalize", invoice["automatically_finalizes_at"]
    if invoice["status"] != "open":
        return
    again = invoice["next_payment_attempt"] or invoice.get("_asks_again_at")
    if again:
        yield "retry", again
    if invoice["due_date"]:
        if not invoice["_notice_sent"] and invoice["due_date"] - DUE_NOTICE > invoice["effective_at"]:
            yield "will_be_due", invoice["due_date"] - DUE_NOTICE
        if not invoice["_overdue"]:
            yield "overdue", invoice["due_date"]


def _session(session: Json) -> Iterator[tuple[str, int]]:
    if session["status"] == "open":
        yield "expire", session["expires_at"]


def _refund(refund: Json) -> Iterator[tuple[str, int]]:
    if refund.get("_settles_at"):
        yield "settle", refund["_settles_at"]


def _test_clock(test_clock: Json) -> Iterator[tuple[str, int]]:
    if not test_clock.get("_panel"):
        yield "delete_clock", test_clock["deletes_after"]


def _coupon(coupon: Json) -> Iterator[tuple[str, int]]:
    if coupon["valid"] and coupon["redeem_by"]:
        yield "coupon_expire", coupon["redeem_by"]


def _promotion_code(code: Json) -> Iterator[tuple[str, int]]:
    if code["active"] and code["expires_at"]:
        yield "code_expire", code["expires_at"]


def _discount(discount: Json) -> Iterator[tuple[str, int]]:
    if discount["end"] and not discount["_spent"]:
        yield "discount_end", discount["end"]


def _charge(charge: Json) -> Iterator[tuple[str, int]]:
    if charge.get("_settles_at") is not None:
        yield "collect_debit", charge["_settles_at"]
    if charge["status"] == "succeeded" and not charge["captured"] and not charge["refunded"]:
        yield "expire_hold", charge["payment_method_details"]["card"]["capture_before"]


def _dispute(dispute: Json) -> Iterator[tuple[str, int]]:
    if dispute.get("_cancels_at") is not None:
        yield "dispute_cancels", dispute["_cancels_at"]
    if dispute["status"] == "needs_response":
        yield "dispute_due", dispute["evidence_details"]["due_by"]
    if dispute["status"] == "warning_needs_response":
        yield "dispute_due", dispute["created"] + INQUIRY_LIFE


MOMENTS: dict[str, Callable[[Json], Iterator[tuple[str, int]]]] = {
    "subscription": _subscription,
    "subscription_schedule": _schedule,
    "invoice": _invoice,
    "checkout.session": _session,
    "refund": _refund,
    "test_helpers.test_clock": _test_clock,
    "coupon": _coupon,
    "promotion_code": _promotion_code,
    "discount": _discount,
    "charge": _charge,
    "dispute": _dispute,
}
