"""May this person in, and what is so: one pure function that every page, mail and decorator reads.

``standing(facts, policy, now)`` is total: every combination of Stripe's values, known or not, gives an
answer. Access is granted only by what was applied from Stripe; the rules that were asked are returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

LIVE = ("trialing", "active")
OPEN_DISPUTES = frozenset(
    {
        "needs_response",
        "under_review",
        "warning_needs_response",
        "warning_under_review",
        "appeal_needs_response",
        "appeal_under_review",
    }
)


@dataclass(frozen=True)
class Facts:
    """What our rows say, with nothing of the database in it. Amounts are formatted; times aware UTC.

    ``seats``: the plan is sold by the seat, and ``quantity`` of them are there.
    ``change``: another plan is coming, ``scheduled`` for ``change_at``, or ``pending`` until its payment is made.
    ``status`` None: no subscription ever. ``confirming``: a Session is paid and its event not yet applied.
    ``fetched_at``: when Stripe was last asked; ``clock_time``: Stripe's time then, on a test clock.
    """

    status: str | None = None
    plan: str | None = None
    plan_title: str = "your plan"
    price: str | None = None
    interval: str | None = None
    quantity: int = 1
    seats: bool = False
    status_reason: str | None = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    created: datetime | None = None
    cancellation_reason: str | None = None
    pause_behavior: str | None = None
    pause_resumes_at: datetime | None = None
    card: str | None = None
    change: str | None = None
    change_to: str | None = None
    change_price: str | None = None
    change_quantity: int | None = None
    change_at: datetime | None = None
    first_failed_at: datetime | None = None
    owed: str | None = None
    owed_invoice: str | None = None
    owed_number: str | None = None
    needs_action: bool = False
    decline_text: str | None = None
    retry_text: str | None = None
    next_attempt: datetime | None = None
    last_paid: str | None = None
    last_paid_at: datetime | None = None
    disputed: str | None = None
    fetched_at: datetime | None = None
    unreachable: bool = False


@dataclass(frozen=True)
class Policy:
    """What the operator decides. Days are whole days."""

    grace_days: int = 14
    hold_while_disputed: bool = False
    access_while_paused: bool = False
    fail_open: timedelta = timedelta(hours=72)


@dataclass(frozen=True)
class Rule:
    """One line of the reasoning: what was asked, what was found, and whether it decided."""

    rule: str
    value: str
    result: str
    deciding: bool = False


@dataclass(frozen=True)
class Standing:
    """The answer: a stable ``code``, the yes or no, since when or until when, and the rules asked."""

    code: str
    access: bool
    facts: Facts
    now: datetime
    grace_end: datetime | None = None
    why: tuple[Rule, ...] = field(default=())


def standing(facts: Facts, policy: Policy, now: datetime) -> Standing:
    """The first row of the table that is true (``docs/standing.md``); every other fact is only shown."""
    grace_end = facts.first_failed_at + timedelta(days=policy.grace_days) if facts.first_failed_at else None
    code = _code(facts, policy, now, grace_end)
    access, rule = _access(code, facts, policy, now, grace_end)
    why = (*_trace(facts, policy, grace_end), rule)
    if access and _too_old(facts, policy, now):
        access = False
        rule = Rule(
            "Stripe was asked lately enough",
            f"last {facts.fetched_at:%Y-%m-%d %H:%M} UTC, limit {policy.fail_open}",
            "no access",
            True,
        )
        why = (*(Rule(one.rule, one.value, one.result) for one in why), rule)
    return Standing(code, access, facts, now, grace_end, why)


def _code(facts: Facts, policy: Policy, now: datetime, grace_end: datetime | None) -> str:
    status = facts.status
    if status is None:
        return "none"
    if status in ("incomplete", "incomplete_expired"):
        return _first_payment(facts)
    if status == "canceled":
        ends = {"payment_failed": "ended_unpaid", "payment_disputed": "ended_disputed"}
        return ends.get(facts.cancellation_reason or "", "ended")
    if facts.plan is None or status not in (*LIVE, "past_due", "unpaid", "paused"):
        return "unknown"
    if facts.disputed and policy.hold_while_disputed:
        return "disputed_hold"
    if status == "unpaid":
        return "unpaid"
    if status == "paused":
        return _paused(facts)
    return _running(facts, now, grace_end)


def _first_payment(facts: Facts) -> str:
    if facts.status == "incomplete_expired":
        return "first_lapsed"
    if facts.needs_action:
        return "first_action"
    return "first_failed" if facts.decline_text else "first_confirming"


def _paused(facts: Facts) -> str:
    reasons = {
        "trial_end_without_payment_method": "paused_trial",
        "first_payment_failure": "paused_payment",
        "final_payment_failure": "paused_payment",
        "pause_requested": "paused_asked",
    }
    return reasons.get(facts.status_reason or "", "paused_other")


def _running(facts: Facts, now: datetime, grace_end: datetime | None) -> str:
    if facts.needs_action:
        return "action_required"
    if facts.status == "past_due":
        return "past_due" if grace_end is None or now < grace_end else "past_due_hold"
    if facts.status == "trialing":
        if facts.ends_at:
            return "trial_ending_off"
        return "trialing" if facts.card else "trialing_no_card"
    if facts.ends_at:
        return "canceling"
    if facts.pause_behavior:
        return "collection_paused"
    if facts.disputed:
        return "disputed"
    return "changing" if facts.change == "scheduled" else "active"


# Which codes let somebody in. ``grace``: until the grace period ends. Everything not named here: no.
ACCESS = {
    "past_due": "yes",
    "trial_ending_off": "yes",
    "trialing_no_card": "yes",
    "trialing": "yes",
    "canceling": "yes",
    "collection_paused": "yes",
    "disputed": "yes",
    "changing": "yes",
    "active": "yes",
    "action_required": "grace",
}


def _access(
    code: str, facts: Facts, policy: Policy, now: datetime, grace_end: datetime | None
) -> tuple[bool, Rule]:
    kind = ACCESS.get(code, "no")
    allowed = kind == "yes" or (kind == "grace" and (grace_end is None or now < grace_end))
    if code.startswith("paused_asked"):
        allowed = policy.access_while_paused
    value = f"status {facts.status or 'none'}, standing {code}"
    return allowed, Rule("what the standing gives", value, "access" if allowed else "no access", True)


def _trace(facts: Facts, policy: Policy, grace_end: datetime | None) -> tuple[Rule, ...]:
    rules = [
        Rule("there is a subscription", facts.status or "none", "yes" if facts.status else "no"),
        Rule("its price is in our catalogue", facts.plan or "none", "yes" if facts.plan else "no"),
    ]
    if facts.first_failed_at and grace_end:
        rules.append(
            Rule(
                "payment failed, grace counted from the first failure",
                f"{facts.first_failed_at:%Y-%m-%d} + {policy.grace_days} days",
                f"until {grace_end:%Y-%m-%d}",
            )
        )
    if facts.disputed:
        result = "access is held" if policy.hold_while_disputed else "access stays"
        rules.append(Rule("a payment is disputed", facts.disputed, result))
    if facts.pause_behavior:
        rules.append(Rule("payment collection is paused", facts.pause_behavior, "status stays active"))
    if facts.fetched_at:
        rules.append(Rule("Stripe was last asked", f"{facts.fetched_at:%Y-%m-%d %H:%M} UTC", "read"))
    return tuple(rules)


def _too_old(facts: Facts, policy: Policy, now: datetime) -> bool:
    """Stripe could not be reached for so long that our row is no ground to stand on."""
    return facts.unreachable and facts.fetched_at is not None and now - facts.fetched_at > policy.fail_open
