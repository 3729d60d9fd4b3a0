"""Rare branches that a run must have come through: one that none of its histories hit fails the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.weather import SITES

if TYPE_CHECKING:
    from tests.simulation.world import World

# Of each probe, the number of rows that prove it.
ROWS = {
    "mail of unknown fate": "select count(*) from notices where state = 'unknown'",
    "mail no longer true": "select count(*) from notices where state = 'obsolete'",
    "write found after its answer was lost": "select count(*) from audit where kind = 'write.found'",
    "write with another key": "select count(*) from stripe_writes where idempotency_key like '%%#%%'",
    "write declined": "select count(*) from stripe_writes where state = 'declined'",
    "write refused": "select count(*) from stripe_writes where state = 'failed'",
    "event found by the reconciler": "select count(*) from stripe_events where source = 'events_api'",
    "row healed by the reconciler": "select count(*) from audit where actor = 'reconciler' and before is not null",
    "pass of the reconciler that failed": "select count(*) from sync_runs where problem is not null",
    "event ignored": "select count(*) from stripe_events where state = 'ignored'",
    "event tried again": "select count(*) from stripe_events where attempts > 1",
    "checkout superseded": "select count(*) from checkout_sessions where superseded_at is not null",
    "lease taken over": "select count(*) from sim.taken_over",
    "lease of a customer taken over": "select count(*) from sim.taken_over where name like 'cus%%'",
    "session expired": "select count(*) from checkout_sessions where status = 'expired'",
    "plan ended": "select count(*) from subscriptions where status = 'canceled'",
    "plan ended unpaid": "select count(*) from subscriptions where cancellation_reason = 'payment_failed'",
    "plan late": "select count(*) from audit where kind = 'subscription.status' and after->>'status' = 'past_due'",
    "renewal": "select count(*) from invoices where billing_reason = 'subscription_cycle' and status = 'paid'",
    "dunning": "select count(*) from notices where kind like 'dun%%'",
    "recovered": "select count(*) from notices where kind = 'recovered'",
    "dispute": "select count(*) from disputes",
    "dispute during dunning": "select count(*) from disputes d where exists"
    " (select from notices n where n.user_id = d.user_id and n.kind like 'dun%%')",
    "fraud warning": "select count(*) from fraud_warnings",
    "refund failed": "select count(*) from refunds where status = 'failed'",
    "credits taken back": "select count(*) from grants where kind = 'taken_back'",
    "customer made anew": "select count(*) from stripe_writes"
    " where name like 'customer:%%:after:%%' and state = 'done'",
    "bought with the saved card": "select count(*) from stripe_writes where operation = 'payment_intent.create'"
    " and state = 'done'",
    "paid with another card": "select count(*) from stripe_writes where operation = 'invoice.pay' and state = 'done'",
    "confirmation asked for": "select count(*) from notices where kind = 'action_required'",
    "plan paused": "select count(*) from stripe_writes where operation = 'subscription.pause' and state = 'done'",
    "two plans at once": "select count(*) from audit where kind like 'subscription.second%%'",
}
OTHERS = (
    "another clock leads",
    "stale fence",
    "nothing was lost",
    "duplicate event",
    "late event after the end",
    "event parked",
    "delivery answered 503",
    "whole refund",
    "partial refund",
    "second subscription",
    "refund by an admin",
    "another card by the portal",
    "cancel by the portal",
    "plan changed by the portal",
    "bank asked: pass",
    "bank asked: fail",
    "account made",
    "account kept",
    "account deleted",
    "customer deleted at Stripe",
)


def names() -> list[str]:
    return [*ROWS, *OTHERS, *(f"fault: {site}" for site in SITES)]


def look(world: World) -> None:
    for name, sql in ROWS.items():
        world.hits[name] += world.rows(sql)[0][0]
    for site, times in world.weather.struck.items():
        world.hits[f"fault: {site}"] += times
