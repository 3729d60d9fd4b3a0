"""A flow of ours that is killed at every boundary, and what must be so whenever others have cleaned up."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from flask import Flask
from redis import Redis
from sqlalchemy import func, select, text

from billing.config import Config
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeWrite
from local.mailsink import MailSink
from tests import draining, oracles
from tests.doors import cookie_of
from tests.histories import History, cursor_at, picture
from tests.mortal import NAME, Life, Nursery
from tests.scene import AtDesk
from tests.snapshots import Snapshot
from tests.story import HOUR, config_of, count, shopper
from tests.support import csrf_of, wait_until


class Way:
    """One flow. ``prepare`` once: everything that comes before it, which each run finds anew. ``done`` after recovery:
    what must be equal to the calm run's."""

    flow = ""
    # At least so many must be found: else the runner has lost a door.
    boundaries = 0
    # Mails of the last run of which nobody knows whether they left.
    unknown = 0

    def __init__(self, desk: Flask, mails: MailSink, redis_url: str) -> None:
        self.desk, self.mails = desk, mails
        self.scene, self.history = AtDesk(desk, mails), History(desk)
        self.alice = shopper(desk)
        self.csrf = csrf_of(self.alice.client)
        self.config: Config = replace(config_of(desk), redis_url=redis_url)
        before = int(time.time())
        wait_until(lambda: int(time.time()) > before, "the next second")
        self._began = before + 1
        self.prepare()
        self.only_from_here_on()
        self._mark = db.session.execute(select(func.coalesce(func.max(AuditEntry.id), 0))).scalar_one()
        self._sent, self._last = list(mails.messages), self.history.last
        self._done, self._written = self._done_at_stripe(), count(StripeWrite)
        self._snapshot = Snapshot(desk)

    def prepare(self) -> None:
        """What comes before the flow."""

    def args(self) -> dict[str, Any]:
        """The next run's."""
        return {}

    def press(self, path: str, **form: str) -> dict[str, Any]:
        """The arguments of that flow: alice sends a form."""
        return {
            "cookie": cookie_of(self.alice.client),
            "path": path,
            "form": {"csrf_token": self.csrf, **form},
        }

    def again(self, life: Life) -> None:
        """What those do who got no answer: Stripe delivers again, a person presses again."""

    def done(self) -> Any:
        raise NotImplementedError

    def run(self, nursery: Nursery, *deaths: int | None) -> tuple[Life, Any]:
        """The flow with its deaths: the first on its way, the next ones among those who recover. Its end."""
        self._snapshot.bring_back()
        self.mails.messages[:], self.history.last = self._sent, self._last
        with Redis.from_url(self.config.redis_url) as inside:
            inside.flushdb()  # a bell that waits is not rung again, which is a boundary less
        args = self.args()
        lives = [nursery.run(self.config, self.flow, args, deaths[0])]
        for at in deaths[1:]:
            self._time_passes()
            lives.append(nursery.run(self.config, "recovery", {}, at))
        self._time_passes()
        # Whoever comes next would hide it.
        self.scene.ask([oracles.no_row_stands_on_an_event_that_is_not_closed])
        self.again(lives[0])
        draining.drain(self.desk, delivers=False)
        self.hear()
        draining.drain(self.desk, delivers=False)
        self.scene.ask()
        self.unknown = count(Notice, state="unknown")
        assert self.changes().count("mail.unknown") == self.unknown
        return lives[0], self.done()

    def hear(self) -> None:
        """Of each object the last that Stripe tells: what comes of all of it, other tests try in every order."""
        self.history.deliver({event["data"]["object"]["id"]: event for event in self.history.news()}.values())

    def look_once_more(self) -> None:
        """After the last run, all that Stripe tells of it was heard; then a pass of the reconciler heals nothing."""
        self.history.last = self._last
        self.history.deliver(self.history.news())
        draining.drain(self.desk, delivers=False)
        self.only_from_here_on()
        self.scene.ask([oracles.one_more_pass_of_the_reconciler_heals_nothing])

    def only_from_here_on(self) -> None:
        """The reconciler reads Stripe's list from the beginning of this way: what is older is another desk's."""
        cursor_at(self._began + HOUR - int(time.time()))

    def _time_passes(self) -> None:
        wait_until(lambda: not _alive(), "the dead to be gone")
        draining.time_passes()

    def effects(self) -> int:
        """How many writes of this run Stripe did."""
        return self._done_at_stripe() - self._done

    def _done_at_stripe(self) -> int:
        return sum(not one["replayed"] and one["status"] < 300 for one in self.scene.requests())

    def written(self) -> int:
        """How many writes this run has asked for."""
        return count(StripeWrite) - self._written

    def changes(self) -> list[str]:
        """The kinds of audit entry since the run began."""
        db.session.rollback()
        found = select(AuditEntry.kind).where(AuditEntry.id > self._mark).order_by(AuditEntry.kind)
        return list(db.session.execute(found).scalars())

    def news(self) -> tuple[Any, list[str], list[str]]:
        """Rows, kinds of change, kinds of mail: what events did."""
        changes = [kind for kind in self.changes() if kind != "mail.unknown"]
        kinds = db.session.execute(select(Notice.kind).order_by(Notice.kind)).scalars()
        return picture(self.alice), changes, list(kinds)


def _alive() -> int:
    db.session.rollback()  # one transaction sees one list of who is there
    there = text("select count(*) from pg_stat_activity where application_name = :name")
    return int(db.session.execute(there, {"name": NAME}).scalar_one())
