"""What an operator types to look at Stripe again: ``sync``, ``replay``, ``rehearse``; and what it would change."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click
from flask import Flask

from billing import boot, healing, installation, jobs, refresh, rehearsal, running
from billing.cli import Command, same_database, user_of
from billing.extensions import db

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
    """Look at Stripe again: for one EMAIL, or for all that is stale and every missed event (``all``)."""
    boot.refuse_foreign_database()
    installation.public_id(db.session())  # before it is set up nothing here can be Stripe's
    config = running.config()
    if who == "all" and dry_run:
        _tell(rehearsal.of_everything(db.session(), config))
    elif who == "all":
        run = healing.make(db.session(), config, "operator")
        click.echo(f"{run.missed} missed events, {run.looked} stale subscriptions, {run.healed} rows healed.")
    elif dry_run:
        _tell(rehearsal.of_person(db.session(), user_of(who), config))
    else:
        count = refresh.person(db.session(), user_of(who), config, "operator")
        click.echo(f"{count} subscriptions looked at.")


@click.command(cls=Command)
@click.argument("event_id")
@DRY_RUN
def replay(event_id: str, dry_run: bool) -> None:
    """Apply one stored event again. It fetches, so it can do no harm."""
    same_database()
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
