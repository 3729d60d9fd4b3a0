"""The rules that a standing asked, each with what was found: for the admin's page and ``flask why``. In English."""

from __future__ import annotations

from datetime import datetime

from billing.premises import Facts, Policy, Rule


def trace(facts: Facts, policy: Policy, grace_end: datetime | None) -> tuple[Rule, ...]:
    """What was asked before the answer, in order; none of these decides by itself."""
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
        result = "access stays" if policy.access_while_collection_paused else "access is held"
        rules.append(Rule("payment collection is paused", facts.pause_behavior, f"status stays; {result}"))
    if facts.processing:
        result = "access begins at once" if policy.access_while_processing else "access waits for it"
        rules.append(Rule("the first payment is under way at the bank", "processing", result))
    if facts.fetched_at:
        rules.append(Rule("Stripe was last asked", f"{facts.fetched_at:%Y-%m-%d %H:%M} UTC", "read"))
    return tuple(rules)


def given(facts: Facts) -> Rule:
    """An admin gave access: this decides before anything that Stripe says."""
    until = f"{facts.comp_until:%Y-%m-%d %H:%M} UTC" if facts.comp_until else "–"
    return Rule("an admin gave access", f"{facts.comp_plan}, until {until}", "access", True)


def undecided(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The same rules, none of them deciding."""
    return tuple(Rule(one.rule, one.value, one.result) for one in rules)


def too_old(facts: Facts, policy: Policy) -> Rule:
    """Stripe could not be reached for longer than the policy stands on what it said last."""
    hours = int(policy.fail_open.total_seconds()) // 3600
    value = f"last {facts.fetched_at:%Y-%m-%d %H:%M} UTC, limit {hours} hours"
    return Rule("Stripe was asked lately enough", value, "no access", True)
