"""Our own parts: the database and whose it is, what is on sale, Redis, and the red lights."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import installation, lights, queues, roles, running, schema
from billing.checks.finding import Finding, Level
from billing.clock import database_now, now
from billing.config import Config
from billing.errors import ConfigError
from billing.models import PlanPrice

TOLERANCE = timedelta(minutes=5)
RED = "docs/deploy.md, “Red lights”, says what to do"
# Each has a line of its own that says more.
SAID_ELSEWHERE = {"not set up", "clock differs", "deliveries refused", "foreign events"}


def database(session: Session, config: Config) -> Iterator[Finding]:
    """Its schema, what its role may do, and its clock beside this machine's."""
    if schema.is_too_old(session):
        says = f"its schema is at {schema.found(session) or 'nothing'}, and this code needs {schema.wanted()}"
        yield Finding("database", "wrong", says, "run `flask db upgrade`")
        return
    yield Finding("database", "ok", f"it answers; its schema is at {schema.found(session)}")
    yield _role(session, config)
    yield clocks("the database’s", now() - database_now(session))


def _role(session: Session, config: Config) -> Finding:
    role = roles.may_change_the_record(session)
    if role is None:
        return Finding("database role", "ok", "it can add to the record of changes, and change nothing of it")
    says = f"the role {role} of DATABASE_URL may change tables and the record of changes"
    level: Level = "warn" if config.livemode or config.migration_database_url else "note"
    return Finding("database role", level, says, "see docs/deploy.md, “A role of its own”")


def clocks(whose: str, apart: timedelta) -> Finding:
    """What a difference of so much means. At five minutes every webhook is refused."""
    seconds, name = round(apart.total_seconds()), f"clock beside {whose}"
    if abs(apart) < lights.CLOCKS_APART:
        return Finding(name, "ok", "they agree" if abs(seconds) < 2 else f"{abs(seconds)} seconds apart")
    says = f"this machine’s clock is {abs(seconds)} seconds {'ahead' if seconds > 0 else 'behind'}"
    if abs(apart) >= TOLERANCE:
        return Finding(name, "wrong", f"{says}; every webhook is refused by it", "set this machine’s clock")
    return Finding(name, "warn", f"{says}; at 300 every webhook is refused", "set this machine’s clock")


def installed(session: Session, config: Config) -> Iterator[Finding]:
    """Whose database it is."""
    there = installation.current(session)
    if there is None:
        yield Finding("installation", "wrong", "this database was never set up", "run `flask setup`")
        return
    try:
        installation.check(there, config, None)
    except ConfigError as problem:
        yield Finding("installation", "wrong", str(problem), "use the key and the database of one mode")
        return
    mode = "live" if there.livemode else "test"
    yield Finding(
        "installation", "ok", f"{there.public_id}, for Stripe account {there.stripe_account}, {mode} mode"
    )


def on_sale(session: Session, config: Config) -> Iterator[Finding]:
    """Whether what the catalogue says was pushed, by our rows. ``flask doctor`` asks Stripe as well."""
    rows = {row.lookup_key: row for row in session.execute(select(PlanPrice)).scalars()}
    lines = running.catalogue().prices()
    lacking = [
        price.lookup_key
        for _, price in lines
        if (row := rows.get(price.lookup_key)) is None
        or (row.amount, row.currency, row.interval) != (price.amount, price.currency, price.interval)
    ]
    if lacking:
        says = f"{len(lacking)} of {len(lines)} prices of plans.toml were not pushed: {', '.join(lacking)}"
        yield Finding("catalogue", "wrong", says, "run `flask plans push`")
    else:
        yield Finding("catalogue", "ok", f"all {len(lines)} prices of plans.toml are on sale")


def lights_red(session: Session, config: Config) -> Iterator[Finding]:
    """The red lights, a line each."""
    red = [name for name in lights.red(session) if name not in SAID_ELSEWHERE]
    for name in red:
        yield Finding(name, "wrong", "this light is red", RED)
    if not red:
        yield Finding("lights", "ok", "none is red: worker and clock answer, nothing is stuck")


def redis(config: Config) -> Iterator[Finding]:
    """Redis is only a bell: where it is away everything is done by the clock, a little later."""
    problem = queues.trouble(config.redis_url)
    if problem:
        says = f"it doesn’t answer ({problem}); nothing is lost, and everything is done some seconds later"
        yield Finding(
            "Redis", "warn", says, "check REDIS_URL, and HEROKU_REDIS where its certificate is unsigned"
        )
    else:
        yield Finding("Redis", "ok", "it answers")
