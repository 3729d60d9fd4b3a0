"""What the mortal processes are on the way to: each flow of ours from its beginning to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from flask import Flask

from billing import catalogue, jobs, removing, timetable, writes
from billing.extensions import db
from tests import shelf
from tests.doors import browser_with
from tests.draining import recover
from tests.registry import AT_ONCE

# A flow does what comes before it, yields, and then is on its way: from there on boundaries count.
Flow = Callable[..., Iterator[None]]


def nobody_knows_that_redis_is_away(app: Flask) -> None:
    """Else the bell would be left alone for a while, since the calm run of the same process rang in vain."""
    app.extensions["bell_quiet_until"] = float("-inf")


def intake(app: Flask, body: str, header: str) -> Iterator[None]:
    """A web process takes one delivery."""
    nobody_knows_that_redis_is_away(app)
    yield
    app.test_client().post("/webhooks/stripe", data=body.encode(), headers={"Stripe-Signature": header})


def bell(app: Flask) -> Iterator[None]:
    """A worker answers the bell: it applies what is due, and sends the mails that are owed."""
    yield
    jobs.answer_bell()


def press(app: Flask, cookie: str, path: str, form: dict[str, str]) -> Iterator[None]:
    """A web process takes a form from somebody's browser."""
    client = browser_with(app, cookie)
    yield
    client.post(path, data=form)


def push(app: Flask, item: str) -> Iterator[None]:
    """An operator brings a file to Stripe that has another name and another price for a plan, and a new plan."""
    yield
    catalogue.push(db.session(), shelf.second_file(item), archive=True)


def recovery(app: Flask) -> Iterator[None]:
    """Whoever comes after one that died: the sweep, the completer, and the mail."""
    yield
    recover(app.extensions["config"])


def remove(app: Flask) -> Iterator[None]:
    """The clock deletes the accounts whose day has come."""
    yield
    removing.delete_due(db.session())


LANE = "clock-"


class OneTurn(threading.Event):
    """The clock is told to stop when it and its lanes have done what is due and it would wait for more."""

    def wait(self, timeout: float | None = None) -> bool:
        if threading.current_thread().name.startswith(LANE):
            return self.is_set()  # a lane asks Stripe in no hurry; here it need not wait
        for thread in threading.enumerate():
            if thread.name.startswith(LANE):
                thread.join()
        self.set()
        return True


def clock(app: Flask) -> Iterator[None]:
    """One turn of the clock, with every duty, the reconciler among them."""
    nobody_knows_that_redis_is_away(app)
    yield
    timetable.run(app, OneTurn())


def sweep(app: Flask) -> Iterator[None]:
    """The clock where no worker is: what is due is applied, and what is to be written to Stripe is sent."""
    yield
    jobs.apply_due(db.session())
    writes.finish_open(db.session(), older_than=AT_ONCE)


FLOWS: dict[str, Flow] = {
    flow.__name__: flow for flow in (intake, bell, press, sweep, clock, push, recovery, remove)
}
