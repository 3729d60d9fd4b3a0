"""May this person in, and what is so: one pure function that every page, mail and decorator reads.

``standing(facts, policy, now)`` is total: every combination of Stripe's values, known or not, gives an
answer. Access is granted only by what was applied from Stripe, or by what an admin gave; the rules that
were asked are returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from billing import reasons
from billing.premises import Facts, Policy, Rule

__all__ = ["ACCESS", "LIVE", "OPEN_DISPUTES", "Facts", "Policy", "Rule", "Standing", "standing"]

LIVE = ("trialing", "active")
KNOWN = ("incomplete", "incomplete_expired", *LIVE, "past_due", "canceled", "unpaid", "paused")
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
class Standing:
    """The answer: a stable ``code``, the yes or no, since when or until when, and the rules asked.

    ``keep_until``: until when we keep the data of somebody without access, as far as it can be told. ``stale``: it
    would give access, and Stripe could not be asked for too long.
    ``may_pause``: pausing is offered at all. ``besides``: where an admin gave access, how the person would stand
    without.
    """

    code: str
    access: bool
    facts: Facts
    now: datetime
    grace_end: datetime | None = None
    keep_until: datetime | None = None
    stale: bool = False
    may_pause: bool = False
    besides: Standing | None = None
    why: tuple[Rule, ...] = field(default=())

    @property
    def plan(self) -> str | None:
        """The catalogue's name of the plan that this standing is about."""
        return self.facts.comp_plan if self.code == "comp" else self.facts.plan


def standing(facts: Facts, policy: Policy, now: datetime) -> Standing:
    """The first row of the table that is true (``docs/standing.md``); every other fact is only shown."""
    by_stripe = _by_stripe(facts, policy, now)
    if facts.comp_until is None:
        return by_stripe
    why = (reasons.given(facts), *reasons.undecided(by_stripe.why))
    return Standing("comp", True, facts, now, by_stripe.grace_end, besides=by_stripe, why=why)


def _by_stripe(facts: Facts, policy: Policy, now: datetime) -> Standing:
    grace_end = facts.first_failed_at + timedelta(days=policy.grace_days) if facts.first_failed_at else None
    code = _code(facts, policy, now, grace_end)
    access, rule = _access(code, facts, policy, now, grace_end)
    why = (*reasons.trace(facts, policy, grace_end), rule)
    stale = access and _too_old(facts, policy, now)
    if stale:
        why = (*reasons.undecided(why), reasons.too_old(facts, policy))
    keep_until = _keep_until(code, facts, policy, now, grace_end)
    return Standing(
        code, access and not stale, facts, now, grace_end, keep_until, stale, policy.may_pause, why=why
    )


def _code(facts: Facts, policy: Policy, now: datetime, grace_end: datetime | None) -> str:
    status = facts.status
    if status is None:
        return "none"
    if status in ("incomplete", "incomplete_expired"):
        return _first_payment(facts)
    if status == "canceled":
        ends = {"payment_failed": "ended_unpaid", "payment_disputed": "ended_disputed"}
        return ends.get(facts.cancellation_reason or "", "ended")
    if facts.plan is None or status not in KNOWN:
        return "unknown"
    if facts.disputed and policy.hold_while_disputed:
        return "disputed_hold"
    if status == "unpaid":
        return "unpaid"
    if status == "paused":
        return _paused(facts)
    return _running(facts, policy, now, grace_end)


def _first_payment(facts: Facts) -> str:
    if facts.status == "incomplete_expired":
        return "first_lapsed"
    if facts.processing:
        return "first_confirming"
    if facts.needs_action:
        return "first_action"
    return "first_failed" if facts.decline_text else "first_confirming"


def _paused(facts: Facts) -> str:
    reasons_ = {
        "trial_end_without_payment_method": "paused_trial",
        "first_payment_failure": "paused_payment",
        "final_payment_failure": "paused_payment",
        "pause_requested": "paused_asked",
    }
    return reasons_.get(facts.status_reason or "", "paused_other")


def _running(facts: Facts, policy: Policy, now: datetime, grace_end: datetime | None) -> str:
    if facts.processing:
        return "first_confirming"  # Stripe may call it active; nothing has been paid yet
    if facts.needs_action:
        return "action_required"
    if facts.status == "past_due" and facts.never_paid:
        return "past_due_hold"  # days of grace are for those who have paid before
    if facts.status == "past_due":
        return "past_due" if grace_end is None or now < grace_end else "past_due_hold"
    if facts.status == "trialing":
        if facts.ends_at:
            return "trial_ending_off"
        return "trialing" if facts.card or facts.by_invoice else "trialing_no_card"
    # Where a pause of the payments takes access, it comes first: an ending that is set meanwhile opens nothing.
    if facts.ends_at and (policy.access_while_collection_paused or not facts.pause_behavior):
        return "canceling"
    if facts.pause_behavior:
        return "collection_paused"
    if facts.disputed:
        return "disputed"
    return "changing" if facts.change == "scheduled" else "active"


# Which codes let somebody in. ``grace``: until the grace period ends; ``policy``: where a setting says so;
# ``before``: as the last values that we knew. Everything not named here: no.
ACCESS = {
    "comp": "yes",
    "first_confirming": "policy",
    "paused_asked": "policy",
    "action_required": "grace",
    "past_due": "yes",
    "trial_ending_off": "yes",
    "trialing_no_card": "yes",
    "trialing": "yes",
    "canceling": "yes",
    "collection_paused": "policy",
    "disputed": "yes",
    "changing": "yes",
    "active": "yes",
    "unknown": "before",
}


def _access(
    code: str, facts: Facts, policy: Policy, now: datetime, grace_end: datetime | None
) -> tuple[bool, Rule]:
    kind = ACCESS.get(code, "no")
    if kind == "before":
        return _as_before(facts, policy, now)
    by_policy = {
        "first_confirming": facts.processing and policy.access_while_processing,
        "paused_asked": policy.access_while_paused,
        "collection_paused": policy.access_while_collection_paused,
    }
    in_grace = kind == "grace" and (grace_end is None or now < grace_end)
    allowed = kind == "yes" or in_grace or by_policy.get(code, False)
    value = f"status {facts.status or 'none'}, standing {code}"
    return allowed, Rule("what the standing gives", value, "access" if allowed else "no access", True)


def _as_before(facts: Facts, policy: Policy, now: datetime) -> tuple[bool, Rule]:
    """What the last values that we knew would give, for as long as we stand on an old answer of Stripe's."""
    until = facts.known_at + policy.fail_open if facts.known and facts.known_at else None
    if until is None or now >= until:
        value = f"status {facts.status}, plan {facts.plan or 'none'}"
        return False, Rule("what the standing gives", value, "no access", True)
    status = facts.status if facts.status in KNOWN else facts.known
    earlier = replace(facts, status=status, plan=facts.plan or facts.known_plan, known=None)
    allowed = _by_stripe(earlier, policy, now).access
    value = f"{facts.known}, {facts.known_plan}; until {until:%Y-%m-%d %H:%M} UTC"
    return allowed, Rule(
        "as before a value that we don’t know", value, "access" if allowed else "no access", True
    )


def _keep_until(
    code: str, facts: Facts, policy: Policy, now: datetime, grace_end: datetime | None
) -> datetime | None:
    """Counted from the end of access; nothing where that day is not known, is past, or no days are promised."""
    since = facts.ended_at if code.startswith("ended") else grace_end
    until = since + timedelta(days=policy.keep_data_days) if since and policy.keep_data_days else None
    return until if until and until > now else None


def _too_old(facts: Facts, policy: Policy, now: datetime) -> bool:
    """Stripe could not be reached for so long that our row is no ground to stand on."""
    return facts.unreachable and facts.fetched_at is not None and now - facts.fetched_at > policy.fail_open
