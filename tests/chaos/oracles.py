"""What must be so afterwards: the oracles of every scenario, and some that only real processes give a reason for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from flask import Flask

from billing import healing
from billing.extensions import db
from tests import oracles
from tests.chaos.load import Sent
from tests.chaos.people import Seen
from tests.chaos.stack import Stack
from tests.chaos.storm import Felt
from tests.mirrors import rows_equal_what_stripe_holds
from tests.support import wait_until

# Errors that a fault explains; any other that is logged is ours.
EXPLAINED = (
    "OperationalError", "InterfaceError", "DBAPIError", "InternalError", "TimeoutError", "PendingRollbackError",
    "ConnectionError", "RedisError", "StaleLease", "StripeUnavailable", "WriteUnknown", "MailFailed",
    "BusyLoadingError", "ReadOnlyError", "AbandonedJobError",
)  # fmt: skip
# The card of an ended subscription is its customer's, who may take another one: no event says so of what has ended.
FINAL = ("canceled", "incomplete_expired")
CARD = {"payment_methods", "card_brand", "card_last4", "card_expires_at"}
PASS_SECONDS = 300.0
# A process that is killed while it sends leaves one mail of unknown fate; worker and clock send at the same time.
SENDERS = 2
MINDS = ("worker", "clock", "postgres", "mail")


@dataclass(frozen=True)
class Found:
    """``wrong``: all that is. ``mails``: how many ended in which state. ``healed``: rows, by the clock's pass."""

    wrong: list[str]
    mails: Counter[str]
    healed: int


class Witness:
    """A scene for the oracles (``tests.mirrors.Scene``), from its first moment on. ``wrong``: what they found."""

    def __init__(self, stack: Stack, rows: psycopg.Connection, acked: set[str]) -> None:
        self.app: Flask = stack.app
        self.acked, self.mails, self.wrong = acked, stack.post.taken, list[str]()
        self.since, self.owed = 0, set[str]()
        self._stack, self._rows = stack, rows

    def rows(self, sql: str, *args: Any) -> list[Any]:
        return self._rows.execute(sql, args).fetchall()  # type: ignore[call-overload, no-any-return]

    def at_stripe(self, kind: str, **where: Any) -> list[dict[str, Any]]:
        return self._stack.memory.all(kind, **where)

    def requests(self) -> list[dict[str, Any]]:
        return [
            one for one in self._stack.memory.requests if (one["idempotency_key"] or "").startswith("dunlin:")
        ]

    def time_of(self, customer: str) -> float:
        [(now,)] = self.rows("select extract(epoch from clock_timestamp())")
        return self._stack.memory.now_of(customer) or float(now)

    def at_most(self, customer: str, heard: float) -> float:
        return self._stack.memory.now_of(customer) or heard

    def fails(self, what: str) -> None:
        self.wrong.append(what)


def ask(stack: Stack, sent: Sent, seen: Seen, felt: Felt) -> Found:
    """Ask all of them, of a house that has come to rest."""
    acked = sent.acknowledged | stack.memory.acknowledged()
    with stack.connected(seconds=60) as rows:
        witness = Witness(stack, rows, acked)
        rows_equal_what_stripe_holds(witness)
        healed = the_clocks_pass_heals_only_what_no_event_tells(witness)
        for oracle in oracles.ALL:
            oracle(witness)
        stack.memory.listen()
        nothing_forged_left_a_trace(witness, sent)
        no_delivery_is_refused_but_for_being_told_to_come_again(witness, stack)
        every_write_had_a_committed_key(witness, stack)
        being_killed_is_no_failure_of_an_event(witness)
        only_a_death_leaves_a_mail_of_unknown_fate(witness, felt)
        mails = Counter(dict(witness.rows("select state, count(*) from notices group by 1")))
    wrong = [*witness.wrong, *sent.wrong, *seen.wrong, *unexplained(stack)]
    return Found(wrong, mails, healed)


def the_clocks_pass_heals_only_what_no_event_tells(witness: Witness) -> int:
    """Promise I12: nothing was lost, so the events have told all but one thing. How many rows were healed."""
    with witness.app.app_context():
        run = healing.ask(db.session(), "chaos")
        run.full = True
        db.session.commit()
        asked = run.id
        db.session.remove()
    ended = "select healed, missed, problem from sync_runs where id = %s and ended_at is not null"
    [(healed, missed, problem)] = wait_until(
        lambda: witness.rows(ended, asked), "the clock's pass", PASS_SECONDS
    )
    if missed or problem:
        witness.fails(f"the clock's pass missed {missed} events and said {problem}")
    entries = witness.rows(
        "select a.subject, a.kind, a.after, s.status from audit a left join subscriptions s on s.stripe_id = a.subject"
        " where a.actor in ('reconciler', 'events_api') and not a.alert"
        " and a.at >= (select started_at from sync_runs where id = %s)",
        asked,
    )
    for subject, kind, after, status in entries:
        if status not in FINAL or not set(after) <= CARD:
            witness.fails(f"the clock's pass healed {subject}: {kind}, {sorted(after)}")
    return int(healed)


def nothing_forged_left_a_trace(witness: Witness, sent: Sent) -> None:
    """Promise I4."""
    ids = sorted(sent.counterfeits)
    for (event,) in witness.rows("select event_id from stripe_events where event_id = any(%s)", ids):
        witness.fails(f"the forged {event} is in the inbox")


def no_delivery_is_refused_but_for_being_told_to_come_again(witness: Witness, stack: Stack) -> None:
    """Promise I3."""
    for event, _, status in sorted(stack.memory.refusals):
        if status != 503:
            witness.fails(f"the sandbox's delivery of {event} was answered {status}")


def every_write_had_a_committed_key(witness: Witness, stack: Stack) -> None:
    """Promise I18: what we asked Stripe to do is in the registry, under the key that was sent."""
    keys = {key for (key,) in witness.rows("select split_part(idempotency_key, '#', 1) from stripe_writes")}
    for one in stack.memory.requests:
        moves = one["method"] == "POST" and not one["path"].endswith("/create_preview")
        key = (one["idempotency_key"] or "").partition("#")[0]
        if moves and key not in keys:
            witness.fails(f"{one['path']} was sent with the key {key!r}, which is not in the registry")


def being_killed_is_no_failure_of_an_event(witness: Witness) -> None:
    """Whatever died under it, the event did nothing wrong, and once is enough (promise I9)."""
    sql = "select type, event_id, attempts, reason from stripe_events where attempts > 1"
    for kind, event, attempts, reason in witness.rows(sql):
        witness.fails(f"{kind} {event} was tried {attempts} times: {reason}")


def only_a_death_leaves_a_mail_of_unknown_fate(witness: Witness, felt: Felt) -> None:
    """Promise I27: where nobody died and no conversation was cut off, every mail's fate is known."""
    [(unknown,)] = witness.rows("select count(*) from notices where state = 'unknown'")
    struck = sum(times for name, times in felt.hits.items() if any(mind in name for mind in MINDS))
    if unknown > SENDERS * struck:
        witness.fails(f"{unknown} mails are of unknown fate, and {struck} blows could have done it")


def unexplained(stack: Stack) -> Iterator[str]:
    """Errors in the logs that no fault explains, each once."""
    found: Counter[str] = Counter()
    for file in sorted((stack.folder / "log").glob("*.log*")):
        for line in file.read_text(errors="replace").splitlines():
            if '"trace"' in line:
                found.update(_causes(file.stem, line))
    for what, times in found.items():
        yield f"logged {times} times: {what}"


def _causes(part: str, line: str) -> Iterator[str]:
    """The line's exceptions, where not one of them is a known consequence of a fault."""
    try:
        said = json.loads(line)
    except ValueError:  # cut off by a death
        return
    raised = [one for one in said["trace"] if not one.startswith("  ")]
    if not any(known in one for one in raised for known in EXPLAINED):
        yield f"{part}: {said['what']}: {' from '.join(raised)}"
