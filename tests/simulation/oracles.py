"""What must be so once everything is calm: every promise, after every history, whatever it was about.

They ask a world, and whoever can say the same of a house of real processes (``tests.chaos.oracles.Witness``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from billing import facts, healing
from billing.clock import now
from billing.extensions import db
from tests.simulation.mirrors import refunded, rows_equal_what_stripe_holds

if TYPE_CHECKING:
    from tests.simulation.world import World

GRACE = 14 * 86400
MIRRORS = ("subscriptions", "invoices", "payments", "refunds", "disputes", "fraud_warnings")
WITHOUT_A_CAUSE = " union all ".join(
    f"select '{table}', t.cause_event_id from {table} t join stripe_events e on e.event_id = t.cause_event_id"
    " where e.state in ('pending', 'parked')"
    for table in MIRRORS
)


def ask(world: World) -> None:
    for oracle in ORACLES:
        oracle(world)


def every_acked_event_is_in_the_inbox_and_closed(world: World) -> None:
    rows = dict(world.rows("select event_id, state from stripe_events"))
    for event in sorted(world.acked - rows.keys()):
        world.fails(f"{event} was answered 200 and is not in the inbox")
    for event, state in sorted(rows.items()):
        if state in ("pending", "parked"):
            [(kind, reason)] = world.rows("select type, reason from stripe_events where event_id = %s", event)
            world.fails(f"{kind} {event} is {state}: {reason}")
    if world.rows("select 1 from stripe_events where livemode"):
        world.fails("an event of live mode was taken")


def access_is_what_the_policy_says_of_stripes_objects(world: World) -> None:
    for user, customer in world.rows(
        "select id, stripe_customer_id from users where stripe_customer_id is not null"
    ):
        plans = world.at_stripe("subscription", customer=customer)
        expected = any(_lets_in(world, plan) for plan in plans)
        with world.app.app_context():
            found = facts.standing_of(db.session(), user, world.app.extensions["config"], now())
            db.session.remove()
        if found.access != expected:
            held = [(plan["id"], plan["status"]) for plan in plans]
            world.fails(f"user {user} has access: {found.access} ({found.code}), Stripe holds {held}")


def _lets_in(world: World, plan: dict[str, Any]) -> bool:
    """The policy of the settings that the simulation runs with, said once more in a few words."""
    if plan["status"] in ("active", "trialing"):
        return True
    if plan["status"] != "past_due":
        return False
    bills = [one for one in world.at_stripe("invoice", customer=plan["customer"]) if _is_of(one, plan["id"])]
    paid = any(one["status"] == "paid" and one["amount_paid"] > 0 for one in bills)
    failed = [
        one["status_transitions"]["finalized_at"]
        for one in bills
        if one["status"] == "open" and one["attempted"]
    ]
    trial = plan["trial_end"] is not None
    return (paid or trial) and bool(failed) and world.time_of(plan["customer"]) < min(failed) + GRACE


def _is_of(invoice: dict[str, Any], plan: str) -> bool:
    parent = invoice.get("parent") or {}
    return (parent.get("subscription_details") or {}).get("subscription") == plan


def no_write_is_open_and_none_was_done_twice(world: World) -> None:
    for name, state, error in world.rows(
        "select name, state, error from stripe_writes where state not in ('done', 'declined', 'failed')"
    ):
        world.fails(f"the write {name} is {state}: {error}")
    keys = dict(world.rows("select split_part(idempotency_key, '#', 1), name from stripe_writes"))
    done: Counter[str] = Counter()
    for one in world.requests():
        key = (one["idempotency_key"] or "").partition("#")[0]
        if (
            one["method"] == "POST"
            and key
            and not one["replayed"]
            and one.get("executed", one["status"] < 300)
        ):
            done[key] += 1
    for key, times in done.items():
        if key in keys and times > 1:
            world.fails(f"the write {keys[key]} was done {times} times")


def nothing_was_made_twice(world: World) -> None:
    """One customer for each person, one Session for each of our rows, whatever became of keys and answers."""
    made: Counter[str] = Counter()
    for kind, name in (("customer", "user_id"), ("checkout.session", "checkout")):
        for one in world.at_stripe(kind):
            if name in one.get("metadata", {}):
                made[f"{kind} of {name} {one['metadata'][name]}"] += 1
    for what, times in made.items():
        if times > 1:
            world.fails(f"Stripe has {times} times the {what}")


def nobody_has_two_open_sessions(world: World) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for one in world.at_stripe("checkout.session"):
        if one["status"] == "open":
            found[one["customer"], one["mode"]] += 1
    for (customer, mode), number in found.items():
        if number > 1:
            world.fails(f"{customer} has {number} open sessions of mode {mode}")


def every_mail_left_once_at_most_and_none_is_owed(world: World) -> None:
    for kind, state, message, reason in world.rows("select kind, state, message_id, reason from notices"):
        left = world.mails[message]
        if (state, left) not in (
            ("sent", 1),
            ("unknown", 0),
            ("unknown", 1),
            ("obsolete", 0),
            ("suppressed", 0),
        ):
            world.fails(f"the mail {kind} is {state} and left {left} times: {reason}")
    known = {message for (message,) in world.rows("select message_id from notices")}
    for message in world.mails.keys() - known:
        world.fails(f"a mail left that no row owes: {message}")


def whoever_paid_has_a_receipt(world: World) -> None:
    """Owed in whatever state; what was learned of more than three days late is no news any more."""
    owed = {key for (key,) in world.rows("select dedupe_key from notices")}
    rows = world.rows(
        "select i.stripe_id, i.paid_at, u.stripe_customer_id from invoices i join users u on u.id = i.user_id"
        " where i.status = 'paid' and i.amount_paid > 0"
    )
    for stripe_id, paid_at, customer in rows:
        heard = world.rows(
            "select min(at) from audit where subject = %s and after->>'status' = 'paid'", stripe_id
        )[0][0]
        soon = (
            heard is not None and world.at_most(customer, heard.timestamp()) - paid_at.timestamp() < 3 * 86400
        )
        if soon and f"paid:{stripe_id}" not in owed:
            world.fails(f"invoice {stripe_id} is paid and no receipt was owed")
    for (intent,) in world.rows("select payment_intent from payments where status = 'succeeded'"):
        if f"paid:{intent}" not in owed:
            world.fails(f"payment {intent} succeeded and no receipt was owed")
    for stripe_id, status in world.rows(
        "select stripe_id, status from refunds where status in ('succeeded', 'failed')"
    ):
        if f"refund:{stripe_id}:{status}" not in owed:
            world.fails(f"refund {stripe_id} {status} and nobody was told")


def grants_equal_payments(world: World) -> None:
    lost = {one["payment_intent"] for one in world.at_stripe("dispute") if one["status"] == "lost"}
    back = refunded(world)
    worth: Counter[tuple[str, str]] = Counter()
    for one in world.at_stripe("payment_intent"):
        left = one["amount"] - back[one["id"]]
        if "plan" in one["metadata"] and one["status"] == "succeeded" and left > 0 and one["id"] not in lost:
            promised = int(one["metadata"].get("credits") or 0)
            worth[one["id"], ""] = -(-promised * left // one["amount"])
            for feature in filter(None, one["metadata"].get("gives", "").split(",")):
                worth[one["id"], feature] = 1
    rows = world.rows("select payment_intent, feature, sum(amount) from grants group by 1, 2")
    held = {(intent, feature): int(total) for intent, feature, total in rows}
    for key in sorted(worth.keys() | held.keys()):
        if worth.get(key, 0) != held.get(key, 0):
            world.fails(f"{key} is worth {worth.get(key, 0)} and {held.get(key, 0)} was given")


def the_audit_tells_one_story(world: World) -> None:
    """Each change of a subscription's status begins where the one before it ended; the last one is the row's."""
    last: dict[str, str | None] = {}
    entries = world.rows(
        "select subject, before->>'status', after->>'status' from audit"
        " where kind = 'subscription.status' order by id"
    )
    for subject, before, after in entries:
        if last.get(subject) != before:
            world.fails(
                f"the audit of {subject} goes from {last.get(subject)}, then from {before} to {after}"
            )
        last[subject] = after
    for stripe_id, status in world.rows("select stripe_id, status from subscriptions"):
        if last.get(stripe_id) != status:
            world.fails(f"{stripe_id} is {status}, and its audit ends with {last.get(stripe_id)}")


def no_row_stands_on_an_event_that_is_not_closed(world: World) -> None:
    """One transaction writes both. Asked at each death too: whoever comes next would hide it."""
    for table, event in world.rows(WITHOUT_A_CAUSE):
        world.fails(f"a row of {table} stands on {event}, which is not applied")


def no_row_went_back(world: World) -> None:
    for (what,) in world.rows("select what from sim.wrong"):
        world.fails(what)


def one_more_pass_of_the_reconciler_heals_nothing(world: World) -> None:
    """It is what a calm house is to it: read, and left alone (promise I33)."""
    with world.app.app_context():
        done = healing.make(db.session(), world.app.extensions["config"], "operator", full=True)
        if (done.healed, done.missed, done.problem) != (0, 0, None):
            world.fails(
                f"a pass over a calm house healed {done.healed}, missed {done.missed}, said {done.problem}"
            )
        db.session.remove()


ORACLES = (
    one_more_pass_of_the_reconciler_heals_nothing,
    every_acked_event_is_in_the_inbox_and_closed,
    rows_equal_what_stripe_holds,
    access_is_what_the_policy_says_of_stripes_objects,
    no_write_is_open_and_none_was_done_twice,
    nothing_was_made_twice,
    nobody_has_two_open_sessions,
    every_mail_left_once_at_most_and_none_is_owed,
    whoever_paid_has_a_receipt,
    grants_equal_payments,
    the_audit_tells_one_story,
    no_row_stands_on_an_event_that_is_not_closed,
    no_row_went_back,
)
