"""What must be so once everything is calm: every promise, after every scenario, whatever it was about.

Asked of a ``Scene``: our rows, what Stripe holds and was asked, and the mails that an SMTP server took. The
simulation's world is one (``simulation/world.py``), a desk with a sandbox beside it another (``scene.py``), and the
house that was killed again and again a third (``chaos/oracles.py``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from billing import facts, healing
from billing.clock import now
from billing.extensions import db
from tests.mirrors import refunded, rows_equal_what_stripe_holds

if TYPE_CHECKING:
    from tests.mirrors import Scene

GRACE = 14 * 86400
MIRRORS = ("subscriptions", "invoices", "payments", "refunds", "disputes", "fraud_warnings")
WITHOUT_A_CAUSE = " union all ".join(
    f"select '{table}', t.cause_event_id from {table} t join stripe_events e on e.event_id = t.cause_event_id"
    " where e.state in ('pending', 'parked')"
    for table in MIRRORS
)


def every_acked_event_is_in_the_inbox_and_closed(scene: Scene) -> None:
    rows = dict(scene.rows("select event_id, state from stripe_events"))
    for event in sorted(scene.acked - rows.keys()):
        scene.fails(f"{event} was answered 200 and is not in the inbox")
    for event, state in sorted(rows.items()):
        if state in ("pending", "parked"):
            [(kind, reason)] = scene.rows("select type, reason from stripe_events where event_id = %s", event)
            scene.fails(f"{kind} {event} is {state}: {reason}")
    if scene.rows("select 1 from stripe_events where livemode"):
        scene.fails("an event of live mode was taken")


def access_is_what_the_policy_says_of_stripes_objects(scene: Scene) -> None:
    people = scene.rows("select id, stripe_customer_id from users where stripe_customer_id is not null")
    with scene.app.app_context():
        for user, customer in people:
            plans = scene.at_stripe("subscription", customer=customer)
            expected = any(_lets_in(scene, plan) for plan in plans)
            found = facts.standing_of(db.session(), user, scene.app.extensions["config"], now())
            if found.access != expected:
                held = [(plan["id"], plan["status"]) for plan in plans]
                scene.fails(f"user {user} has access: {found.access} ({found.code}), Stripe holds {held}")
        db.session.remove()


def _lets_in(scene: Scene, plan: dict[str, Any]) -> bool:
    """The policy of the settings that tests run with, said once more in a few words."""
    if plan["status"] in ("active", "trialing"):
        return True
    if plan["status"] != "past_due":
        return False
    bills = [one for one in scene.at_stripe("invoice", customer=plan["customer"]) if _is_of(one, plan["id"])]
    paid = any(one["status"] == "paid" and one["amount_paid"] > 0 for one in bills)
    failed = [
        one["status_transitions"]["finalized_at"]
        for one in bills
        if one["status"] == "open" and one["attempted"]
    ]
    trial = plan["trial_end"] is not None
    return (paid or trial) and bool(failed) and scene.time_of(plan["customer"]) < min(failed) + GRACE


def _is_of(invoice: dict[str, Any], plan: str) -> bool:
    parent = invoice.get("parent") or {}
    return (parent.get("subscription_details") or {}).get("subscription") == plan


def no_write_is_open_and_none_was_done_twice(scene: Scene) -> None:
    """Nor was one sent that is no row's. A DELETE heeds no key: the path says what was done. A customer that was
    deleted at Stripe before we heard of it is made once more."""
    gone = {one["id"] for one in scene.at_stripe("customer") if one.get("_deleted")}
    for name, state, error in scene.rows(
        "select name, state, error from stripe_writes where state not in ('done', 'declined', 'failed')"
    ):
        scene.fails(f"the write {name} is {state}: {error}")
    names = dict(scene.rows("select split_part(idempotency_key, '#', 1), name from stripe_writes"))
    done: Counter[str] = Counter()
    for one in scene.requests():
        key = one["idempotency_key"].partition("#")[0]
        if key not in names:
            scene.fails(f"{one['method']} {one['path']} was sent with the key {key}, which is no row's")
        elif one["path"] == "/v1/customers" and one["object"] in gone:
            continue
        elif not one["replayed"] and one["status"] < 300:
            done[names[key] if one["method"] == "POST" else one["path"]] += 1
    for name, times in done.items():
        if times > 1:
            scene.fails(f"the write {name} was done {times} times")


def nothing_was_made_twice(scene: Scene) -> None:
    """One customer for each person, one Session for each of our rows, whatever became of keys and answers. A customer
    that was deleted at Stripe may be followed by another one."""
    made: Counter[str] = Counter()
    for kind, name in (("customer", "user_id"), ("checkout.session", "checkout")):
        for one in scene.at_stripe(kind):
            if name in one.get("metadata", {}) and not one.get("_deleted"):
                made[f"{kind} of {name} {one['metadata'][name]}"] += 1
    for what, times in made.items():
        if times > 1:
            scene.fails(f"Stripe has {times} times the {what}")


def nobody_has_two_open_sessions(scene: Scene) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for one in scene.at_stripe("checkout.session"):
        if one["status"] == "open":
            found[one["customer"], one["mode"]] += 1
    for (customer, mode), number in found.items():
        if number > 1:
            scene.fails(f"{customer} has {number} open sessions of mode {mode}")


def every_mail_left_once_at_most_and_none_is_owed(scene: Scene) -> None:
    for kind, state, message, reason in scene.rows("select kind, state, message_id, reason from notices"):
        left = scene.mails[message]
        if (state, left) not in (
            ("sent", 1),
            ("unknown", 0),
            ("unknown", 1),
            ("obsolete", 0),
            ("suppressed", 0),
        ):
            scene.fails(f"the mail {kind} is {state} and left {left} times: {reason}")
    known = {message for (message,) in scene.rows("select message_id from notices")}
    for message in scene.mails.keys() - known:
        scene.fails(f"a mail left that no row owes: {message}")


def whoever_paid_has_a_receipt(scene: Scene) -> None:
    """Owed in whatever state; what was learned of more than three days late is no news any more, and a refund that
    failed a month before we heard of it was looked after by whoever asked for it."""
    owed = scene.owed | {key for (key,) in scene.rows("select dedupe_key from notices")}
    rows = scene.rows(
        "select i.stripe_id, i.paid_at, u.stripe_customer_id from invoices i join users u on u.id = i.user_id"
        " where i.status = 'paid' and i.amount_paid > 0"
    )
    for stripe_id, paid_at, customer in rows:
        heard = scene.rows(
            "select min(at) from audit where subject = %s and after->>'status' = 'paid'", stripe_id
        )[0][0]
        soon = heard and scene.at_most(customer, heard.timestamp()) - paid_at.timestamp() < 3 * 86400
        if soon and f"paid:{stripe_id}" not in owed:
            scene.fails(f"invoice {stripe_id} is paid and no receipt was owed")
    for (intent,) in scene.rows("select payment_intent from payments where status = 'succeeded'"):
        if f"paid:{intent}" not in owed:
            scene.fails(f"payment {intent} succeeded and no receipt was owed")
    told = (
        "select stripe_id, status from refunds r where status in ('succeeded', 'failed') and not (status = 'failed'"
        " and (select min(at) from audit where subject = r.stripe_id) - created >= interval '30 days')"
    )
    for stripe_id, status in scene.rows(told):
        if f"refund:{stripe_id}:{status}" not in owed:
            scene.fails(f"refund {stripe_id} {status} and nobody was told")


def grants_equal_payments(scene: Scene) -> None:
    lost = {one["payment_intent"] for one in scene.at_stripe("dispute") if one["status"] == "lost"}
    back = refunded(scene)
    worth: Counter[tuple[str, str]] = Counter()
    for one in scene.at_stripe("payment_intent"):
        left = one["amount"] - back[one["id"]]
        if "plan" in one["metadata"] and one["status"] == "succeeded" and left > 0 and one["id"] not in lost:
            promised = int(one["metadata"].get("credits") or 0)
            worth[one["id"], ""] = -(-promised * left // one["amount"])
            for feature in filter(None, one["metadata"].get("gives", "").split(",")):
                worth[one["id"], feature] = 1
    rows = scene.rows("select payment_intent, feature, sum(amount) from grants group by 1, 2")
    held = {(intent, feature): int(total) for intent, feature, total in rows}
    for key in sorted(worth.keys() | held.keys()):
        if worth.get(key, 0) != held.get(key, 0):
            scene.fails(f"{key} is worth {worth.get(key, 0)} and {held.get(key, 0)} was given")


def the_audit_tells_one_story(scene: Scene) -> None:
    """Each change of a subscription's status begins where the one before it ended; the last one is the row's."""
    last: dict[str, str | None] = {}
    entries = scene.rows(
        "select id, subject, before->>'status', after->>'status' from audit"
        " where kind = 'subscription.status' order by id"
    )
    for number, subject, before, after in entries:
        if number > scene.since and last.get(subject) != before:
            scene.fails(
                f"the audit of {subject} goes from {last.get(subject)}, then from {before} to {after}"
            )
        last[subject] = after
    for stripe_id, status in scene.rows("select stripe_id, status from subscriptions"):
        if last.get(stripe_id) != status:
            scene.fails(f"{stripe_id} is {status}, and its audit ends with {last.get(stripe_id)}")


def no_row_stands_on_an_event_that_is_not_closed(scene: Scene) -> None:
    """One transaction writes both. Asked at each death too: whoever comes next would hide it."""
    for table, event in scene.rows(WITHOUT_A_CAUSE):
        scene.fails(f"a row of {table} stands on {event}, which is not applied")


def no_row_went_back(scene: Scene) -> None:
    """Of what the database itself has watched (``WATCH``)."""
    for (what,) in scene.rows("select what from watched.wrong"):
        scene.fails(what)


def one_more_pass_of_the_reconciler_heals_nothing(scene: Scene) -> None:
    """It is what a calm house is to it: read, and left alone (promise I33). It reads all that the sandbox holds."""
    with scene.app.app_context():
        done = healing.make(db.session(), scene.app.extensions["config"], "operator", full=True)
        if (done.healed, done.missed, done.problem) != (0, 0, None):
            scene.fails(
                f"a pass over a calm house healed {done.healed}, missed {done.missed}, said {done.problem}"
            )
        db.session.remove()


CHEAP = (
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
ALL = (one_more_pass_of_the_reconciler_heals_nothing, *CHEAP)
# Told of the rows of a database of tests: no row may go back to an older fence, or out of a final state (promise I13).
WATCH = """
create schema if not exists watched;
create table if not exists watched.wrong (what text);
create or replace function watched.watch() returns trigger language plpgsql as $$
begin
  if new.fetch_no < old.fetch_no then
    insert into watched.wrong values (tg_table_name || ' ' || old.id || ': an older fence');
  end if;
  if tg_table_name = 'subscriptions' then
    if old.status in ('canceled', 'incomplete_expired') and new.status <> old.status then
      insert into watched.wrong values ('subscription ' || old.stripe_id || ' left ' || old.status);
    end if;
  end if;
  return new;
end $$;
create or replace trigger watch before update on public.subscriptions for each row execute function watched.watch();
create or replace trigger watch before update on public.invoices for each row execute function watched.watch();
create or replace trigger watch before update on public.payments for each row execute function watched.watch();
"""
