"""Words of Stripe's that we don't know: told to the log once, and what was so before them is kept."""

from __future__ import annotations

import logging
from collections.abc import Set
from datetime import datetime
from typing import Any

from billing.models import Subscription
from billing.standing import KNOWN

log = logging.getLogger(__name__)

# Stripe's words of each field that decides something here (the Subscription object of the API reference).
WORDS: dict[str, frozenset[str]] = {
    "status": frozenset(KNOWN),
    "status_reason": frozenset(
        {
            "system",
            "pause_requested",
            "first_payment_failure",
            "final_payment_failure",
            "trial_end_without_payment_method",
        }
    ),
    "cancellation_reason": frozenset(
        {"cancellation_requested", "payment_failed", "payment_disputed", "canceled_by_retention_policy"}
    ),
    "trial_end_behavior": frozenset({"cancel", "create_invoice", "pause"}),
    "collection_method": frozenset({"charge_automatically", "send_invoice"}),
    "pause_collection": frozenset({"keep_as_draft", "mark_uncollectible", "void"}),
}


def tell(row: Subscription, changed: Set[str]) -> None:
    """Warn of each of the fields that changed to a word that we don't know: so once, not at every look."""
    for name in sorted(WORDS.keys() & changed):
        value = getattr(row, name)
        word = value.get("behavior") if isinstance(value, dict) else value
        if word is not None and word not in WORDS[name]:
            log.warning("unknown word", extra={"field": name, "value": word, "subject": row.stripe_id})


def last_known(row: Subscription, status: str, plan: str | None, now: datetime) -> dict[str, Any] | None:
    """The status and plan that we knew last, where these are none; from then on the same. None where these are known.

    ``row`` is as it was before.
    """
    if plan is not None and status in KNOWN:
        return None
    if row.status in KNOWN and row.plan is not None:
        return {"status": row.status, "plan": row.plan, "at": now.isoformat()}
    return row.known
