"""What an operator types to sell something: ``flask setup``, ``flask plans push``."""

from __future__ import annotations

import sys

import click
from flask import Flask
from flask.cli import AppGroup

from billing import catalogue, comparison, installation, running, stripe_reads
from billing.cli import Command, same_database
from billing.extensions import db

plans = AppGroup("plans", help="The catalogue of plans.toml at Stripe.")
without_asking = click.option("--yes", is_flag=True, help="Do it without asking.")


def init_app(app: Flask) -> None:
    """Add both to ``flask``."""
    app.cli.add_command(setup)
    app.cli.add_command(plans)


@click.command(cls=Command)
@without_asking
def setup(*, yes: bool) -> None:
    """Record whose database this is, and bring the catalogue to Stripe. May be run again and again."""
    account = str(stripe_reads.get_account()["id"])
    found = installation.record(db.session(), running.config(), account)
    db.session.commit()
    click.echo(
        f"Installation {found.public_id}, Stripe account {account}, {'live' if found.livemode else 'test'} mode."
    )
    _push(yes=yes)


@plans.command("push", cls=Command)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@without_asking
@click.option("--archive", is_flag=True, help="Also archive what left the file and nobody has.")
def plans_push(*, dry_run: bool, yes: bool, archive: bool) -> None:
    """Bring plans.toml to Stripe: say what differs, ask, and do it. A price is replaced, never changed."""
    same_database()
    _push(dry_run=dry_run, yes=yes, archive=archive)


def _push(*, dry_run: bool = False, yes: bool = False, archive: bool = False) -> None:
    steps = comparison.compare(db.session(), running.catalogue(), archive=archive)
    for step in steps:
        click.echo(step.says())
    writes = [step for step in steps if step.writes]
    if dry_run:
        return
    if writes and not yes and not _agrees(len(writes)):
        click.echo("Nothing was changed at Stripe. --yes does it without asking.", err=True)
        sys.exit(1)
    for line in catalogue.push(db.session(), running.catalogue(), archive=archive, agreed=steps):
        click.echo(line)


def _agrees(number: int) -> bool:
    """Whether the operator says yes; whoever can't be asked did not."""
    try:
        mode = "live" if running.config().livemode else "test"
        what = f"{number} {'change' if number == 1 else 'changes'}"
        return click.confirm(f"Make {what} at Stripe, in {mode} mode?")
    except click.Abort:
        click.echo()
        return False
