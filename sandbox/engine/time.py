"""Time that passes: test clocks that are advanced, and the wall clock for everybody else."""

from __future__ import annotations

import logging
import threading
from typing import Any, Protocol

from sandbox import agenda, clock
from sandbox.engine import removal
from sandbox.engine.renewals import HANDLERS as RENEWALS
from sandbox.errors import request_error
from sandbox.events import emit
from sandbox.house import db
from sandbox.objects import account

Json = dict[str, Any]

CLOCK = "test_helpers.test_clock"
MOST_CUSTOMERS, MOST_SUBSCRIPTIONS = 3, 3  # of one clock, of one of its customers (facts 6)
HANDLERS = {**RENEWALS, "delete_clock": removal.clock_is_old}
log = logging.getLogger("sandbox.time")


class Repeats(Protocol):
    """What repeats failed deliveries."""

    def next_repeat(self) -> float | None: ...

    def repeat(self) -> None: ...


_advancing = threading.Lock()  # one advancement at a time, though requests go on in between


def moments(customer_id: str) -> list[tuple[int, str]]:
    """What comes next for a customer, soonest first: (UTC seconds, words)."""
    sql = "SELECT at, kind FROM agenda WHERE customer=? AND clock IS ? ORDER BY at"
    rows = db().rows(sql, (customer_id, clock.clock_of(customer_id)))
    return [(row["at"], agenda.LABELS[row["kind"]]) for row in rows]


def clock_for(customer: Json) -> Json:
    """The customer's test clock, made now and frozen at the present if there is none."""
    if customer["test_clock"]:
        return db().get(CLOCK, customer["test_clock"])
    made = create_clock(clock.now(customer["id"]), None, panel=True)
    join(customer, made["id"])
    return made


def create_clock(frozen_time: int, name: str | None, panel: bool = False) -> Json:
    """A clock that stands still. One that the control panel makes for somebody is kept for good."""
    made = db().put(account.test_clock(clock.wall(), frozen_time, name) | {"_panel": panel})
    emit("test_helpers.test_clock.created", made)
    return made


def check_room(clock_id: str) -> None:
    """400 when the clock has as many customers as it may have."""
    if len(db().all("customer", test_clock=clock_id)) >= MOST_CUSTOMERS:
        raise request_error(f"A test clock can have up to {MOST_CUSTOMERS} customers.", param="test_clock")


def check_subscriptions(customer: Json) -> None:
    """400 when a customer on a test clock has as many subscriptions as it may have there."""
    test_clock = db().find(CLOCK, customer["test_clock"])
    if test_clock is None or test_clock["_panel"]:
        return
    if len(db().all("subscription", customer=customer["id"])) >= MOST_SUBSCRIPTIONS:
        raise request_error(
            f"A customer on a test clock can have up to {MOST_SUBSCRIPTIONS} subscriptions.", param="customer"
        )


def join(customer: Json, clock_id: str) -> None:
    """Put a customer, and everything that it has, on a clock."""
    customer["test_clock"] = clock_id
    db().put(customer)
    for kind in ("subscription", "subscription_schedule", "invoice", "invoiceitem"):
        for obj in db().all(kind, customer=customer["id"]):
            db().put(obj | {"test_clock": clock_id})
    for row in db().rows("SELECT subject, kind FROM agenda WHERE customer=?", (customer["id"],)):
        if row["kind"] not in agenda.BY_WALL:
            sql = "UPDATE agenda SET clock=? WHERE subject=? AND kind=?"
            db().write(sql, (clock_id, row["subject"], row["kind"]))


def wall_moments() -> list[tuple[int, str, str]]:
    """What comes next on the wall, soonest first: (UTC seconds, kind, object), at most a thousand."""
    rows = db().rows("SELECT at, kind, subject FROM agenda WHERE clock IS NULL ORDER BY at LIMIT 1000")
    return [(row["at"], row["kind"], row["subject"]) for row in rows]


def advance_wall(to: int, deliverer: Repeats) -> None:
    """Move everybody without a test clock to `to`, doing what falls due in its order, repeated deliveries too.

    ValueError when that is not ahead. What an advance was interrupted in goes on at the next step of the wall.
    """
    with _advancing:
        if to <= clock.wall():
            raise ValueError(f"The time is already {clock.wall()}: choose a later one.")
        while _wall_step(to, deliverer):
            pass
        with db().transaction():
            clock.move_wall(to)


def _wall_step(to: int, deliverer: Repeats) -> bool:
    """Do the next thing by `to`, at its time; False when nothing is left."""
    coming = db().one("SELECT min(at) AS at FROM agenda WHERE clock IS NULL")
    due = coming["at"] if coming and coming["at"] is not None else None
    again = deliverer.next_repeat()
    if again is not None and again <= to and (due is None or again < due):
        with db().transaction():
            clock.move_wall(again)
        deliverer.repeat()
        return True
    if due is None or due > to:
        return False
    with db().transaction():
        clock.move_wall(due)
    return _step(None, due)


def announce(test_clock: Json, target: int) -> Json:
    """Mark a clock as advancing; `run` does the rest."""
    test_clock.update(status="advancing", status_details={"advancing": {"target_frozen_time": target}})
    db().put(test_clock)
    emit("test_helpers.test_clock.advancing", test_clock)
    return test_clock


def run(clock_id: str) -> int:
    """Let an advancing clock reach its target, one due moment after the other; the new time."""
    with _advancing:
        test_clock = db().find(CLOCK, clock_id)
        if test_clock is None:  # deleted while another clock was advanced
            return clock.wall()
        if test_clock["status"] != "advancing":
            return int(test_clock["frozen_time"])
        target: int = test_clock["status_details"]["advancing"]["target_frozen_time"]
        while _step(clock_id, target):
            pass
        with db().transaction():
            test_clock = db().find(CLOCK, clock_id)
            if test_clock is None:
                return clock.wall()
            test_clock.update(frozen_time=target, status="ready", status_details={})
            db().put(test_clock)
            emit("test_helpers.test_clock.ready", test_clock)
        return target


def _step(clock_id: str | None, until: int) -> bool:
    """Do the next thing that is due by `until`; False when nothing is. What fails is logged and left."""
    row = db().one(
        "SELECT subject, kind, at FROM agenda WHERE clock IS ? AND at<=? ORDER BY at, rowid LIMIT 1",
        (clock_id, until),
    )
    if row is None:
        return False
    try:
        _do(row["subject"], row["kind"], row["at"], clock_id)
    except Exception:
        log.exception("%s of %s failed and is left undone", row["kind"], row["subject"])
        with db().transaction():
            _forget(row["subject"], row["kind"])
    return True


def _forget(subject: str, kind: str) -> None:
    db().write("DELETE FROM agenda WHERE subject=? AND kind=?", (subject, kind))


def _do(subject: str, kind: str, due: int, clock_id: str | None) -> None:
    with db().transaction():
        still = db().one("SELECT at FROM agenda WHERE subject=? AND kind=? AND at=?", (subject, kind, due))
        if still is None:
            return  # a request came between and took it off the agenda
        _forget(subject, kind)
        at = due
        if clock_id is not None:
            test_clock = db().get(CLOCK, clock_id)
            at = max(at, test_clock["frozen_time"])
            db().put(test_clock | {"frozen_time": at})
        with db().transaction(moment=at):
            HANDLERS[kind](subject)


def advance(customer_id: str, to: int) -> int:
    """Advance a customer's clock, made on first use, and do what falls due; ValueError when not ahead."""
    with db().transaction():
        customer = db().get("customer", customer_id)
        now = clock.now(customer_id)
        if to <= now:
            raise ValueError(f"The time is already {now}: choose a later one.")
        test_clock = clock_for(customer)
        if test_clock["status"] == "advancing":
            raise ValueError("This clock is already advancing.")
        announce(test_clock, to)
    return run(test_clock["id"])


class WallClock:
    """Does what is due for customers without a clock once a second; first finishes interrupted advances."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wall-clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        for interrupted in db().all(CLOCK, status="advancing"):
            run(interrupted["id"])
        while not self._stop.wait(self._seconds):
            with _advancing:
                while not self._stop.is_set() and _step(None, clock.wall()):
                    pass
