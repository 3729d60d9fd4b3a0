"""Every secret can be changed while people and Stripe come by: nothing that was taken is lost, nobody is signed out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from redis import Redis
from sqlalchemy import make_url

from billing import boot, installation, queues
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import StripeEvent, StripeWrite
from tests import admin_rows
from tests.commands import own_redis
from tests.conftest import dispose, make_app
from tests.histories import about, later
from tests.registry import sweep
from tests.story import Shopper, apply_all, config_of, count, events, shopper
from tests.support import csrf_of, deliver, make_user, sign_in

OLD, NEW = "sk_test_old_0123456789", "sk_test_new_0123456789"


@contextmanager
def running_with(config: Config, desk: Flask) -> Iterator[Flask]:
    """The application as a platform starts it again after a setting was changed."""
    db.session.rollback()
    application = make_app(config)
    application.extensions["sandbox"] = desk.extensions["sandbox"]
    with application.app_context():
        try:
            boot.refuse_foreign_database()
            yield application
        finally:
            db.session.remove()
            dispose()


def arrives(app: Flask, person: Shopper, subscription: str) -> tuple[str, int]:
    """A delivery: its event, and what it was answered."""
    event = about(person, subscription)
    return event["id"], deliver(app, event).status_code


def test_a_revoked_api_key_leaves_writes_and_events_waiting_and_the_next_key_ends_them(desk: Flask) -> None:
    sandbox = desk.extensions["sandbox"]
    with running_with(replace(config_of(desk), stripe_secret_key=OLD), desk) as before:
        alice, bob = shopper(before), shopper(before, "bob.who.waits@example.com")
        alice.subscribe()
        [plan] = {event.subject for event in events(type="customer.subscription.created")}
        assert plan is not None
        sandbox.control("keys", key=OLD, state="revoked")
        assert bob.post("/checkout", plan="pro", interval="month").status_code == 503
        taken = [arrives(before, alice, plan) for _ in range(5)]
        apply_all()
        assert {status for _, status in taken} == {200}
        assert count(StripeEvent, state=StripeEvent.PENDING) >= len(taken)
        assert count(StripeWrite, state="pending") + count(StripeWrite, state="in_flight") == 1
    with running_with(replace(config_of(desk), stripe_secret_key=NEW), desk) as after:
        found = installation.current(db.session())
        assert found is not None
        assert installation.knows_key(found, config_of(after)), (
            "its account was asked for at start, and is ours"
        )
        taken.append(arrives(after, alice, plan))
        assert sweep() == 1
        later(60)
        apply_all()
        assert {event.state for event in events() if event.event_id in dict(taken)} == {StripeEvent.APPLIED}
        assert (count(StripeEvent, state=StripeEvent.PENDING), count(StripeWrite, state="done")) == (
            0,
            count(StripeWrite),
        )
        assert len(sandbox.stripe.customers.list({"email": "bob.who.waits@example.com"})["data"]) == 1


def test_with_the_old_secret_key_as_fallback_people_stay_signed_in_and_without_it_they_do_not(
    desk: Flask,
) -> None:
    config, new = config_of(desk), "fedcba9876543210" * 4
    user = make_user(db.session(), "alice@example.com")
    admin_rows.subscription(db.session(), user, fetched_at=now())
    browser = desk.test_client()
    sign_in(browser, user)
    assert browser.get("/app").status_code == 200
    cookie = browser.get_cookie("dunlin")
    assert cookie is not None
    for fallbacks, expected in (((config.secret_key,), 200), ((), 303)):
        with running_with(replace(config, secret_key=new, secret_key_fallbacks=fallbacks), desk) as after:
            again = after.test_client()
            again.set_cookie("dunlin", cookie.value)
            assert again.get("/app").status_code == expected
            if expected == 200:  # a form of the new key works at once
                token = csrf_of(again)
                assert again.post("/logout", data={"csrf_token": token}).status_code == 303


@pytest.fixture
def role(desk: Flask) -> Iterator[str]:
    """A role of this test that may do all in its database. Skips where the server's user may not make one."""
    name, server = f"tests_rotating_{os.getpid()}", server_of(desk)
    with psycopg.connect(server, autocommit=True) as admin:
        if admin.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() != (True,):
            pytest.skip("the user of TEST_DATABASE_URL may not make roles")
        admin.execute(sql.SQL("create role {} login superuser").format(sql.Identifier(name)))
    yield name
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s", [name]
        )
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def server_of(app: Flask) -> str:
    return config_of(app).database_url.replace("+psycopg", "")


def set_password(desk: Flask, role: str, password: str) -> Config:
    """Change it at the server; the settings that know it."""
    with psycopg.connect(server_of(desk), autocommit=True) as admin:
        change = sql.SQL("alter role {} password {}")
        admin.execute(change.format(sql.Identifier(role), sql.Literal(password)))
    url = make_url(config_of(desk).database_url).set(username=role, password=password)
    return replace(config_of(desk), database_url=url.render_as_string(hide_password=False))


def test_another_database_password_costs_no_event_that_was_taken(desk: Flask, role: str) -> None:
    alice = shopper(desk)
    alice.subscribe()
    plan, taken = alice.row.stripe_id, []
    with running_with(set_password(desk, role, "first"), desk) as before:
        taken.append(arrives(before, alice, plan))
        config = set_password(desk, role, "second")
        taken.append(arrives(before, alice, plan))  # by a connection that there was
        lost = about(alice, plan)
        db.session.remove()
        dispose()
        assert deliver(before, lost).status_code == 503, "Stripe sends it again"
    with running_with(config, desk) as after:
        taken.append((lost["id"], deliver(after, lost).status_code))
        taken.append(arrives(after, alice, plan))
        apply_all()
    assert {status for _, status in taken} == {200}
    kept = {event.event_id: event.state for event in events() if event.event_id in dict(taken)}
    assert kept == dict.fromkeys(dict(taken), StripeEvent.APPLIED)


def test_another_redis_password_costs_no_event_and_the_bell_rings_again(desk: Flask, tmp_path: Path) -> None:
    alice = shopper(desk)
    alice.subscribe()
    with own_redis(tmp_path) as redis, Redis.from_url(redis.url) as admin:
        before, after = (redis.url.replace("//", f"//:{word}@") for word in ("first", "second"))
        admin.config_set("requirepass", "first")
        with running_with(replace(config_of(desk), redis_url=before), desk) as app:
            assert queues.ring()
            admin.config_set("requirepass", "second")
            admin.execute_command("CLIENT KILL TYPE normal SKIPME yes")  # a restart of the add-on cuts them
            event, status = arrives(app, alice, alice.row.stripe_id)
            assert (status, queues.ring()) == (200, False)
        with running_with(replace(config_of(desk), redis_url=after), desk):
            assert queues.ring()
            apply_all()
    assert [found.state for found in events(event_id=event)] == [StripeEvent.APPLIED]
    assert count(StripeEvent, state=StripeEvent.PENDING) == 0
