"""What an operator types: ``flask work``, ``clock``, ``users create``, ``why``.

What looks at Stripe again is in ``cli_sync``; what brings the catalogue to Stripe is in ``cli_plans``; what looks
whether all is set up is in ``cli_doctor``.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy import func
from sqlalchemy.exc import OperationalError, ProgrammingError

from billing import (
    accounts,
    boot,
    facts,
    forms,
    passwords,
    practice,
    queues,
    running,
    stripe_client,
    timetable,
    voice,
)
from billing.clock import database_now
from billing.errors import DunlinError
from billing.extensions import db
from billing.models import User

STOP_SECONDS = 20

users = AppGroup("users", help="People's accounts.")


def init_app(app: Flask) -> None:
    """Add every command to ``flask``."""
    for command in (work, clock, why):
        app.cli.add_command(command)
    app.cli.add_command(users)


class Command(click.Command):
    """A command that can't do its work says why in one sentence and ends with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DunlinError as problem:
            reason = str(problem)
        except (OperationalError, ProgrammingError) as problem:
            name = type(problem).__name__
            reason = f"The database can't be used ({name}); check DATABASE_URL, and run `flask db upgrade`."
        db.session.rollback()
        click.echo(reason, err=True)
        return sys.exit(1)


def same_database() -> None:
    """A process that works by itself starts on our own mode and account only, with no connection open."""
    boot.refuse_foreign_database()
    _disconnect()


def _disconnect() -> None:
    stripe_client.disconnect()  # which was asked whose a new key is
    db.session.remove()
    for engine in db.engines.values():
        engine.dispose()


@click.command(cls=Command)
def work() -> None:
    """Run the worker: answer the bell until told to stop. Waits where Redis is away; never exits for that."""
    boot.refuse_old_schema()
    same_database()
    practice.prepare(db.session())
    _disconnect()  # a child that is forked with a connection would share it
    gc.collect()
    gc.freeze()  # so that no child looks through what it shares with its parent, and gets a copy of it by that
    queues.work(running.config().redis_url)


@click.command(cls=Command)
def clock() -> None:
    """Run the clock: sweep, mail, completer, reconciler and lights, one leader at a time."""
    boot.refuse_old_schema()
    same_database()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop_soon(stop))
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    timetable.run(app, stop)


def _stop_soon(stop: threading.Event) -> None:
    """Finish the duty at hand, or leave it: the platform kills after 30 s, and every duty may be cut anywhere."""
    stop.set()
    last_resort = threading.Timer(STOP_SECONDS, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()


@users.command("create", cls=Command)
@click.argument("email")
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from standard input.")
@click.option("--admin", is_flag=True, help="May open the admin pages.")
@click.option("--confirmed", is_flag=True, required=True, help="The address is known to be theirs.")
def users_create(email: str, password_stdin: bool, admin: bool, confirmed: bool) -> None:
    """Make an account. One that exists is left as it is."""
    address = forms.normal_email(email)
    if address is None:
        click.echo(f"{email} is not an email address.", err=True)
        sys.exit(1)
    email = address  # as the sign-in page will look for it
    if accounts.by_email(db.session(), email) is not None:
        click.echo(f"{email} is there already; nothing was changed.")
        return
    password = sys.stdin.readline().rstrip("\n")
    config = running.config()
    problem = passwords.problem(
        password, minimum=config.password_min_length, email=email, brand=config.brand_name
    )
    if problem:
        click.echo(f"The password was not taken: {problem}", err=True)
        sys.exit(1)
    db.session.add(
        User(
            email=email,
            password_hash=passwords.make_hash(password),
            email_confirmed_at=func.now(),
            is_admin=admin,
        )
    )
    db.session.commit()
    click.echo(f"{email} was made{' as an admin' if admin else ''}.")


@click.command(cls=Command)
@click.argument("email")
def why(email: str) -> None:
    """Say why somebody has or has no access, rule by rule."""
    user = user_of(email)
    standing = facts.standing_of(db.session(), user.id, running.config(), database_now(db.session()))
    click.echo(f"{email}: {'access' if standing.access else 'no access'} ({standing.code})")
    click.echo(f"  “{voice.sentence(standing)}”")
    for rule in standing.why:
        click.echo(f"{'→' if rule.deciding else ' '} {rule.rule}: {rule.value}: {rule.result}")


def user_of(email: str) -> User:
    """The person with this address; the command ends with 1 where there is none."""
    user = accounts.by_email(db.session(), email)
    if user is None:
        click.echo(f"Nobody has the address {email}.", err=True)
        sys.exit(1)
    return user
