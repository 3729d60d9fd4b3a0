"""Random orders of a life's events, with repetitions, delays and losses; each walked on a map of what we can know.

What our code does with an event depends on our rows, on what Stripe holds at that step, and on the event. So each is
applied for real once at each *place* (step, our rows) that some walk comes to; whoever comes there again, on whatever
way, is led by the map. ``tests/disorder.py`` says the same of every order of a short history.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from billing import healing, inbox, jobs, outbox, writes
from billing.extensions import db
from billing.models import Notice, StripeEvent
from billing.payloads import Object
from sandbox import sending, signing
from tests import oracles
from tests.disorder import true_of
from tests.simulation.asked import Asked
from tests.simulation.hours import hours
from tests.simulation.lives import Life
from tests.simulation.places import Kept
from tests.simulation.world import World

Place = tuple[int, str]
# How often all comes when it is over, how often at once; else a part waits until some step, and all that is on its way
# then comes with it.
LATE, PROMPT, WAITS = 0.6, 0.32, 0.5
LOST, TWICE = (0.0, 0.0, 0.15, 0.4), 0.2
# What becomes of a Session, only its event tells: the reconciler finds it in Stripe's list, for 30 days.
NEVER_LOST = {"checkout.session.completed"}
# Asked each time that an event was applied: what they look at is not in the rows by which places are known.
EACH_TIME = (
    oracles.no_row_stands_on_an_event_that_is_not_closed,
    oracles.no_row_went_back,
    oracles.the_audit_tells_one_story,
)
# Of these rows, and of when each was heard of first.
OF_ROWS = (oracles.whoever_paid_has_a_receipt,)


class Wrong(AssertionError):
    """What must not be, and the walk on which it was."""


@dataclass(frozen=True)
class Walk:
    """``told``: which event comes at which step, one after the other. ``lost``: those that never come."""

    told: tuple[tuple[int, str], ...]
    lost: tuple[str, ...]


def walk(life: Life, seed: int) -> Walk:
    """One order of the life's events: late or meanwhile, some twice, some never."""
    chance, last = random.Random(f"{life.name} {seed}"), len(life.steps) - 1
    way, until, losing = chance.random(), chance.randint(0, last), chance.choice(LOST)
    coming: list[tuple[int, float, str]] = []
    lost = []
    for number, step in enumerate(life.steps):
        for event in step.news:
            if chance.random() < losing and life.types[event] not in NEVER_LOST:
                lost.append(event)
                continue
            for _ in range(1 + (chance.random() < TWICE)):
                waits = way < LATE or (way > LATE + PROMPT and chance.random() < WAITS)
                when = max(number, last if way < LATE else until) if waits else number
                coming.append((when, chance.random(), event))
    return Walk(tuple((when, event) for when, _, event in sorted(coming)), tuple(lost))


@dataclass
class Map:
    """``applied[place, event]``: our rows afterwards. ``healed``: after a pass. ``ends``: how many walks ended so."""

    life: Life
    world: World
    applied: dict[tuple[Place, str], str] = field(default_factory=dict)
    healed: dict[tuple[str, bool], str] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._app, self._raw = self.world.ground.app, self.world.ground.raw
        self._config = self._app.extensions["config"]
        self._kept, self._asks = Kept(self._raw), Asked(self._app)
        # By our rows: the first step that we had them at, and the number they are kept by.
        self._places: dict[str, tuple[int, int]] = {}
        self._here: str | None = None
        self._step: int | None = None
        self._asked: set[str] = set()
        self._bodies: dict[str, tuple[Object, str]] = {}
        self._tries = 0
        self.begin = self._keep(0)

    # a walk

    def go(self, walk: Walk, *, with_list: bool) -> str:
        """Our rows at its end: after one pass of the reconciler, where something was lost. ``with_list``: whose list
        of events Stripe still has; else only what it holds tells of them."""
        rows = self.begin
        for step, event in walk.told:
            rows = self._apply((step, rows), event)
        if walk.lost:
            rows = self._heal(rows, with_list)
        self._ask(rows)
        self.ends[rows] += 1
        return rows

    def _apply(self, place: Place, event: str) -> str:
        if (place, event) not in self.applied:
            self.applied[place, event] = self._really_apply(place, event)
        return self.applied[place, event]

    def _really_apply(self, place: Place, event: str) -> str:
        step, rows = place
        self._stand(step, rows)
        self._asks.at = step
        before = self._sent()
        self.world.mails.clear()
        with self._app.app_context():
            self._deliver(event)
            if self._one("select exists (select from notices where state in ('queued', 'sending'))"):
                outbox.send_due(db.session(), self._config)
            self._check_mails(before)
            db.session.remove()
        self._asks.at = None
        after = self._keep(step)
        for oracle in EACH_TIME + (OF_ROWS if after != rows else ()):
            oracle(self.world)
        self._none_is_wrong()
        return after

    def _deliver(self, event: str) -> None:
        """Over the webhook, when it is the first time; then as the webhook stores it. Whatever came before is applied
        once more, as if its process had been killed after it."""
        session = db.session()
        if event not in self._bodies:
            self._post(event)
            assert jobs.apply_due(session) == 1, "it is not applied"
            self._post(event)
            assert jobs.apply_due(session) == 0, "a second delivery is no work"
        elif inbox.store(session, *self._bodies[event], source="webhook", handled=True):
            session.commit()
            jobs.apply_one(session, event)
        else:
            session.rollback()
            jobs.run_again(session, event)
        session.rollback()
        told = "select type, state, reason from stripe_events where event_id = %s"
        [row] = self._raw.execute(told, [event]).fetchall()
        assert row[1] in (StripeEvent.APPLIED, StripeEvent.IGNORED), row

    def _post(self, event: str) -> None:
        [endpoint] = self.world.at_stripe("webhook_endpoint")
        told = sending.rendered(event, endpoint)
        body = json.dumps(told)
        header = signing.header(body.encode(), [endpoint["_secret"]], int(hours.now))
        answer = self._app.test_client().post(
            "/webhooks/stripe", data=body, headers={"Stripe-Signature": header}
        )
        assert answer.status_code == 200, answer.data
        self._bodies[event] = told, body

    def _one(self, sql: str) -> Any:
        [(found,)] = self._raw.execute(sql).fetchall()
        return found

    def _sent(self) -> set[str]:
        return set(
            self._one("select coalesce(array_agg(dedupe_key), '{}') from notices where state = 'sent'")
        )

    def _check_mails(self, before: set[str]) -> None:
        """Each mail that is sent now left once, left now, and says what Stripe says now."""
        new = self._sent() - before
        sent = db.session.query(Notice).filter(Notice.dedupe_key.in_(new)).all() if new else []
        assert self.world.mails == Counter(notice.message_id for notice in sent)
        for notice in sent:
            assert true_of(notice, self._at_stripe), (notice.kind, notice.facts)

    def _at_stripe(self, stripe_id: str) -> dict[str, object]:
        store = self.world.ground.house.store
        [row] = store.rows("SELECT body FROM objects WHERE id = ?", (stripe_id,))
        return json.loads(row["body"])

    # its end

    def _heal(self, rows: str, with_list: bool) -> str:
        if (rows, with_list) not in self.healed:
            last = len(self.life.steps) - 1
            self._stand(last, rows)
            if not with_list:
                self._forget_the_list()
            with self._app.app_context():
                healing.make(db.session(), self._config, "operator", full=True)
                while jobs.apply_due(db.session()):
                    pass
                outbox.send_due(db.session(), self._config)
                db.session.remove()
            self._step = None
            self.healed[rows, with_list] = self._keep(last)
        return self.healed[rows, with_list]

    def _forget_the_list(self) -> None:
        """Stripe's list no longer reaches back so far: which events were told is not in the rows that make a place."""
        self.world.ground.house.store.write("DELETE FROM objects WHERE type='event'")

    def _ask(self, rows: str) -> None:
        """Every oracle, of each end once."""
        if rows in self._asked:
            return
        self._asked.add(rows)
        self._stand(len(self.life.steps) - 1, rows)
        self._forget_the_list()
        with self._app.app_context():
            writes.send_new(db.session())
            outbox.send_due(db.session(), self._config)
            self.world.mails = Counter(
                message for (message,) in db.session.query(Notice.message_id).filter(Notice.state == "sent")
            )
            db.session.remove()
        for oracle in oracles.ALL:
            oracle(self.world)
        self._step = self._here = None
        self._none_is_wrong()

    def _none_is_wrong(self) -> None:
        if self.world.wrong:
            raise Wrong("\n".join(self.world.wrong))

    # where we are

    def _keep(self, step: int) -> str:
        rows = self._kept.rows()
        self._here = rows
        if rows not in self._places or self._places[rows][0] > step:
            self._places[rows] = step, self._kept.keep()
        return rows

    def _stand(self, step: int, rows: str) -> None:
        """Be at this place: Stripe, our rows and every clock as they were then."""
        if self._step != step:
            self.world.ground.house.store.load(self.life.steps[step].stripe)
            self._step = step
        if self._here != rows:
            self._kept.bring_back(self._places[rows][1])
            self._here = rows
        self._tries += 1
        hours.now = self.life.steps[step].at + self._tries / 1000  # none comes before what it stands on
        self._raw.execute("select setval('sim.tick', %s)", [round(hours.now * 1e6)])


def without_mails(rows: str) -> str:
    """What Stripe decides, and not when we heard of it."""
    kept = {name: found for name, found in json.loads(rows).items() if name not in ("notices", "writes")}
    return json.dumps(kept)
