"""How a plan ends when a person wants to leave, and what Stripe is asked for it (decision 0019).

What is paid for runs to its end: an active plan ends with its period, a trial with the trial. A plan whose payment is
owed, was never made, or that is paused ends at once: it is not charged for any more, and nobody has to pay to leave.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from billing.language import later
from billing.models import Subscription
from billing.models.subscriptions import FINAL
from billing.payloads import Object, ref
from billing.write_request import WriteRequest

How = Literal["period_end", "now"]
COMMENT_LENGTH = 1000

# Stripe's ``cancellation_details.feedback`` (docs.stripe.com/api/subscriptions/cancel), each in our words.
FEEDBACK = {
    "too_expensive": later("It costs too much"),
    "unused": later("I don’t use it enough"),
    "missing_features": later("It lacks something I need"),
    "switched_service": later("I’m moving to something else"),
    "too_complex": later("It’s too hard to use"),
    "low_quality": later("It doesn’t work well enough"),
    "customer_service": later("I’m not happy with the help I got"),
    "other": later("Another reason"),
}


def how(status: str, *, ends: bool) -> How | None:
    """When leaving takes effect; None where there is nothing to leave: it is over, or set to end already."""
    if status in FINAL or ends:
        return None
    return "period_end" if status in ("active", "trialing") else "now"


def of_row(row: Subscription) -> How | None:
    """The same as our row has it."""
    return how(row.status, ends=row.ends_at is not None)


def at_stripe(found: Object) -> How | None:
    """The same of Stripe's own object."""
    return how(found["status"], ends=bool(found.get("cancel_at") or found.get("cancel_at_period_end")))


def requests(found: Object, once: str, details: dict[str, str], user_id: int) -> list[WriteRequest]:
    """The writes that end the plan, in their order.

    Stripe lets nobody end a subscription whose schedule decides over it, so that goes first. If it breaks off between
    the two, no change is coming any more and the plan goes on, which is what the page then says; the end, kept beside
    it, is finished by the completer.
    """
    stripe_id, schedule = found["id"], ref(found.get("schedule"))
    params: dict[str, Any] = {"cancellation_details": details} if details else {}
    if at_stripe(found) == "now":
        name = _name(stripe_id, once, params)
        return [WriteRequest("subscription.cancel", name, params, stripe_id, user_id)]
    params |= {"cancel_at_period_end": True}
    end = WriteRequest("subscription.update", _name(stripe_id, once, params), params, stripe_id, user_id)
    return [release_request(schedule, user_id), end] if schedule else [end]


def release_request(schedule: str, user_id: int) -> WriteRequest:
    """The write that takes a subscription off its schedule; the same as a change that is taken back makes."""
    name = f"leave-schedule:{schedule}"
    return WriteRequest("subscription_schedule.release", name, target=schedule, user_id=user_id)


def _name(stripe_id: str, once: str, params: dict[str, Any]) -> str:
    """One write for each form and what was said in it: with another reason it is another wish, not a misused key."""
    said = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:8]
    return f"cancel:{stripe_id}:{once}:{said}"


def void_request(found: Object, user_id: int) -> WriteRequest | None:
    """The write that gives up the first invoice of an order that was never paid: nothing is owed for it."""
    latest = ref(found.get("latest_invoice"))
    if found["status"] != "incomplete" or latest is None:
        return None
    return WriteRequest("invoice.void", f"cancel-void:{latest}", target=latest, user_id=user_id)


def keep_request(row: Subscription) -> WriteRequest:
    """The write that takes back the way of ending that is set now; with both set, the other goes at the next look."""
    if row.cancel_at_period_end:
        params: dict[str, Any] = {"cancel_at_period_end": False}
    else:
        params = {"cancel_at": ""}
    name = f"keep:{row.stripe_id}:{row.fetch_no}"
    return WriteRequest("subscription.update", name, params, row.stripe_id, row.user_id)
