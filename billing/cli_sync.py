"""What an operator types to look at Stripe again: ``sync``, ``replay``, ``rehearse``; and what it would change."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click
from flask import Flask

from billing import (
    boot,
    claims,
    healing,
    installation,
    jobs,
    pace,
    people,
    refresh,
    rehearsal,
    running,
    sweep,
)
from billing.cli import Command, same_database, user_of
from billing.config import Config
from billing.errors import DunlinError
from billing.extensions import db
from billing.models import User

DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would change.")
NOTHING = "Nothing would change."


def init_app(app: Flask) -> None:
    """Add every command to ``flask``."""
    for command in (sync, replay, rehearse):
        app.cli.add_command(command)


@click.command(cls=Command)
@click.argument("who")
@DRY_RUN
def sync(who: str, dry_run: bool) -> None:
    """Look at Stripe again: for one EMAIL or Stripe customer (cus_…), or for everything (``all``)."""
    boot.refuse_foreign_database()
    installation.public_id(db.session())  # before it is set up nothing here can be Stripe's
    config = running.config()
    if who == "all" and dry_run:
        with pace.unhurried():
            _tell(rehearsal.of_everything(db.session(), config))
    elif who == "all":
        run = healing.make(db.session(), config, "operator", full=True)
        click.echo(
            f"{run.missed} missed events, {run.compared} objects compared, {run.looked} looked at again,"
            f" {run.healed} rows healed."
        )
    elif dry_run:
        _tell(rehearsal.of_person(db.session(), _user_of(who), config))
    else:
        _look_at(_user_of(who), config)


def _look_at(user: User, config: Config) -> None:
    session, customer = db.session(), user.stripe_customer_id
    count = refresh.person(session, user, config, "operator")
    click.echo(f"{count} subscriptions looked at.")
    _, others = sweep.repair(session, config, full=True, customer=customer) if customer else (0, 0)
    if others:
        click.echo(f"{others} other rows were not as Stripe says, and were looked at too.")


def _user_of(who: str) -> User:
    if not who.startswith("cus_"):
        return user_of(who)
    found = people.of_customer(db.session(), who)
    if found is None:
        click.echo(f"Nobody here is the Stripe customer {who}.", err=True)
        sys.exit(1)
    return found


@click.command(cls=Command)
@click.argument("event_id", required=False)
@click.option("--parked", is_flag=True, help="Every event that was given up.")
@DRY_RUN
def replay(event_id: str | None, parked: bool, dry_run: bool) -> None:
    """Apply one stored event again, or every parked one. It fetches, so it can do no harm."""
    same_database()
    if event_id and not parked:
        _replay(event_id, dry_run)
    elif parked and not event_id:
        _replay_parked(dry_run)
    else:
        click.echo("Name one event, or give --parked.", err=True)
        sys.exit(1)


def _replay_parked(dry_run: bool) -> None:
    """Each by itself: one that fails again is parked again, and stops none of the others."""
    found = claims.parked(db.session())
    for event_id in found:
        if dry_run:
            click.echo(f"{event_id}:")
        try:
            _replay(event_id, dry_run)
        except DunlinError as problem:
            click.echo(str(problem))
    if not found:
        click.echo("No event is parked.")


def _replay(event_id: str, dry_run: bool) -> None:
    if dry_run:
        changes = rehearsal.of_event(db.session(), event_id)
        _tell(changes if changes is not None else _not_stored(event_id))
        return
    event = jobs.run_again(db.session(), event_id)
    if event is None:
        _not_stored(event_id)
        return
    click.echo(f"{event_id}: {event.state}{f' ({event.reason})' if event.reason else ''}")


@click.command(cls=Command)
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 30), help="How far to go back.")
def rehearse(days: int) -> None:
    """Run the events of the last days through this code, changing nothing, and say what would differ.

    For upgrades, of the code or of the API version: where nothing would differ, the new agrees with the old.
    """
    same_database()
    looked = 0
    differing = 0
    for subject, changes in rehearsal.recent(db.session(), days):
        looked += 1
        differing += bool(changes)
        for change in changes:
            click.echo(f"{subject}: {change}")
    click.echo(f"{looked} objects of the last {days} days, {differing} would differ.")


def _tell(changes: Iterable[rehearsal.Change]) -> None:
    told = False
    for change in changes:
        told = True
        click.echo(str(change))
    if not told:
        click.echo(NOTHING)


def _not_stored(event_id: str) -> list[rehearsal.Change]:
    click.echo(f"{event_id} is not stored, or its type is not one that is acted on.", err=True)
    sys.exit(1)
