"""What an operator types to see whether all is set up: ``flask doctor``. It changes nothing."""

from __future__ import annotations

import sys
from collections import Counter

import click
from flask import Flask

from billing import checks, running
from billing.cli import Command
from billing.extensions import db


def init_app(app: Flask) -> None:
    """Add it to ``flask``."""
    app.cli.add_command(doctor)


@click.command(cls=Command)
def doctor() -> None:
    """Look at settings, database, Redis, mail server and Stripe: what is wrong, and how to mend it. Changes nothing.

    Ends with 1 where something is wrong. Nothing that it prints is secret.
    """
    counted: Counter[str] = Counter()
    for finding in checks.everything(db.session(), running.config()):
        click.echo(str(finding))
        counted[finding.level] += 1
    click.echo(
        f"{counted['wrong']} wrong, {counted['warn']} to look at, {counted['note']} to compare by hand."
    )
    sys.exit(1 if counted["wrong"] else 0)
