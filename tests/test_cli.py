"""What an operator types: each command does its work, or says in one sentence why not and ends with 1."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from click.testing import Result
from flask import Flask, has_app_context
from flask.cli import FlaskGroup
from sqlalchemy import delete
from sqlalchemy.orm import Session

from billing import accounts, installation, leases, timetable
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import Installation, Notice, PlanPrice, StripeEvent, User
from billing.plans import Catalogue, Plan, Price
from tests.admin_rows import owed, stripe_event, subscription
from tests.commands import Running, own_redis, started
from tests.conftest import dispose, make_app, make_config
from tests.story import config_of, count, events, fresh, shopper
from tests.support import PASSWORD, Databases, Sandbox, wait_until


def flask(app: Flask, words: str, typed: str = "") -> Result:
    """Run ``flask WORDS`` as a shell does: in an application of its own, with ``typed`` on standard input."""
    own: Flask = app.extensions.get("shell") or make_app(config_of(app))
    app.extensions["shell"], own.extensions["catalogue"] = own, app.extensions["catalogue"]
    if has_app_context():
        db.session.rollback()  # a command takes its time: no transaction of ours waits for it
    command = FlaskGroup(create_app=lambda: own)
    result: Result = own.test_cli_runner().invoke(cli=command, args=words.split(), input=typed)
    with own.app_context():
        dispose()
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(result: Result) -> str:
    """The one sentence on standard error of a command that ended with 1."""
    assert (result.exit_code, result.stdout) == (1, "")
    [sentence] = result.stderr.splitlines()
    return sentence


def said(result: Result) -> list[str]:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


CREATE = "users create dora@example.com --password-stdin --confirmed"


def test_an_account_is_made_with_the_password_of_standard_input_and_can_sign_in(
    app: Flask, db_session: Session
) -> None:
    assert said(flask(app, f"{CREATE} --admin", f"{PASSWORD}\n")) == [
        "dora@example.com was made as an admin."
    ]
    dora = accounts.authenticate(db_session, "dora@example.com", PASSWORD)
    assert dora is not None
    assert dora.is_admin
    assert dora.email_confirmed_at <= now()
    again = flask(app, CREATE.replace("dora", "Dora"), "another long password\n")
    assert said(again) == ["Dora@example.com is there already; nothing was changed."]
    assert accounts.authenticate(db_session, "dora@example.com", PASSWORD) is not None
    assert said(flask(app, CREATE.replace("dora@example.com", "emil@münchen.example"), f"{PASSWORD}\n"))
    assert accounts.by_email(db_session, "emil@xn--mnchen-3ya.example") is not None
    assert count(User) == 2


WRONG = [
    ("dora@example.com", "short\n", "at least 12 characters"),
    ("dora@example.com", "", "at least 12 characters"),
    ("dora@example.com", "passwordpassword\n", "too easy to guess"),
    ("dora.dora.dora@example.com", "dora.dora.dora\n", "too easy to guess"),
    ("nobody", f"{PASSWORD}\n", "nobody is not an email address"),
]


def test_nobody_is_made_with_a_weak_password_a_wrong_address_or_without_being_vouched_for(app: Flask) -> None:
    for address, typed, because in WRONG:
        sentence = refused(flask(app, CREATE.replace("dora@example.com", address), typed))
        assert because in sentence
        assert not typed or typed.strip() not in sentence
    for left_out in ("--password-stdin", "--confirmed"):
        result = flask(app, CREATE.replace(left_out, ""), f"{PASSWORD}\n")
        assert result.exit_code == 2
        assert left_out in result.stderr
    assert count(User) == 0


def test_why_says_the_answer_and_every_rule_with_the_one_that_decided(
    app: Flask, db_session: Session, alice: User
) -> None:
    assert said(flask(app, "why alice@example.com")) == [
        "alice@example.com: no access (none)",
        "  “You don’t have a plan yet.”",
        "  there is a subscription: none: no",
        "  its price is in our catalogue: none: no",
        "→ what the standing gives: status none, standing none: no access",
    ]
    row = subscription(db_session, alice, status="past_due")
    row.first_failed_at = owed(db_session, row).first_failed_at
    db_session.commit()
    lines = said(flask(app, "why ALICE@example.com"))
    assert lines[0] == "ALICE@example.com: access (past_due)"
    assert any("+ 14 days: until" in line for line in lines)
    assert [line for line in lines if line.startswith("→")] == [
        "→ what the standing gives: status past_due, standing past_due: access"
    ]


def test_who_or_what_is_not_there_is_named(app: Flask, db_session: Session) -> None:
    for command in ("why", "sync"):
        assert refused(flask(app, f"{command} nobody@example.com")) == (
            "Nobody has the address nobody@example.com."
        )
    unhandled = stripe_event(db_session, "product.created", state="ignored").event_id
    for event_id in ("evt_never", unhandled):
        sentence = f"{event_id} is not stored, or its type is not one that is acted on."
        assert refused(flask(app, f"replay {event_id}")) == sentence
    assert fresh(StripeEvent, unhandled).state == "ignored"
    db_session.query(Installation).delete()
    db_session.commit()
    assert refused(flask(app, "sync all")) == "This database has not been set up; run `flask setup`."


COMMANDS = [
    "setup",
    "plans push",
    CREATE,
    "why a@example.com",
    "sync all",
    "sync a@example.com",
    "replay evt_1",
]


def test_no_command_shows_a_trace_where_the_database_is_away_or_empty_or_stripe_is(
    databases: Databases, config: Config
) -> None:
    for url in ("postgresql://dunlin:a-secret@127.0.0.1:1/x", databases.create("dunlin_bare")):
        application = make_app(make_config(url))
        for command in COMMANDS:
            sentence = refused(flask(application, command, f"{PASSWORD}\n"))
            assert "a-secret" not in sentence
    databases.drop("dunlin_bare")
    assert refused(flask(make_app(config), "setup")) == "Stripe answered nothing (APIConnectionError)"


def test_setup_may_be_run_again_and_refuses_the_database_of_another_account(desk: Flask) -> None:
    before = installation.public_id(db.session())
    prices = count(PlanPrice)
    first, second = said(flask(desk, "setup")), said(flask(desk, "setup --yes"))
    account = desk.extensions["sandbox"].account()
    assert first == second
    assert first[0] == f"Installation {before}, Stripe account {account}, test mode."
    assert "pro_month_eur: €29.00 a month: there" in first
    assert len([line for line in first if line.endswith(": there")]) == prices == count(PlanPrice)
    db.session.get_one(Installation, 1).stripe_account = "acct_other"
    db.session.commit()
    for command in ("setup", "sync all"):
        db.session.get_one(Installation, 1).key_fingerprint = "a new key"
        db.session.commit()
        sentence = refused(flask(desk, command))
        assert sentence.startswith("DATABASE_URL leads to a database of Stripe account acct_other")
        assert fresh(Installation, 1).stripe_account == "acct_other"


def test_plans_push_says_what_it_would_make_before_it_makes_it_once(desk: Flask) -> None:
    sandbox: Sandbox = desk.extensions["sandbox"]
    name = f"only-{installation.public_id(db.session())}"
    price = Price(name, 1234, "eur", "month")
    plan = Plan(name, "Only", "For this test.", (), (), 0, (price,))
    desk.extensions["catalogue"] = Catalogue((plan,), ())
    lines = [
        f"{name}: the product “Only”: would be made",
        f"{price.lookup_key}: €12.34 a month: would be made",
    ]
    done = [line.replace("would be ", "") for line in lines]
    wanted = {"lookup_keys": [price.lookup_key]}

    def mine(printed: list[str]) -> list[str]:
        return [line for line in printed if line.startswith(name)]

    assert mine(said(flask(desk, "plans push --dry-run"))) == lines
    for answer in ("", "n\n"):
        asked = flask(desk, "plans push", answer)
        assert "Make 2 changes at Stripe, in test mode? [y/N]" in asked.stdout
        assert (asked.exit_code, mine(asked.stdout.splitlines())) == (1, lines)
        assert "Nothing was changed at Stripe." in asked.stderr
    assert sandbox.stripe.prices.list(wanted).data == []
    assert count(PlanPrice, item=name) == 0
    assert mine(flask(desk, "plans push", "y\n").stdout.splitlines()) == lines + done
    assert mine(said(flask(desk, "plans push"))) == [f"{price.lookup_key}: €12.34 a month: there"]
    desk.extensions["catalogue"] = Catalogue((replace(plan, prices=(replace(price, amount=2345),)),), ())
    old = f"{price.lookup_key}: €12.34 a month:"
    new = "replaced by €23.45 a month; who has the old price keeps it"
    assert mine(said(flask(desk, "plans push --yes"))) == [f"{old} would be {new}", f"{old} {new}"]
    [made] = sandbox.stripe.prices.list(wanted).data
    assert db.session.get_one(PlanPrice, price.lookup_key).price_id == made.id


def test_replay_and_sync_bring_what_was_missed_and_do_nothing_twice(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    sent = count(Notice)
    [event_id] = [event.event_id for event in events(type="invoice.paid")]
    assert said(flask(desk, f"replay {event_id}")) == [f"{event_id}: applied"]
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    alice.sandbox.flush()
    assert not alice.row.cancel_at_period_end
    assert said(flask(desk, "sync alice@example.com")) == ["1 subscriptions looked at."]
    assert alice.row.cancel_at_period_end
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": False})
    alice.sandbox.flush()
    [line] = said(flask(desk, "sync all"))
    done = r"(\d+) missed events, (\d+) objects compared, 0 looked at again, (\d) rows healed\."
    missed, compared, healed = map(int, re.fullmatch(done, line).groups())  # type: ignore[union-attr]
    assert (missed > 0, compared >= 2, healed) == (True, True, 1)
    assert not alice.row.cancel_at_period_end
    [line] = said(flask(desk, "sync all"))
    assert line == f"0 missed events, {compared} objects compared, 0 looked at again, 0 rows healed."
    assert count(Notice) == sent + 2  # that it is set to end, and that it is kept
    alice.sandbox.control("trouble", api="error_500")
    assert refused(flask(desk, "sync alice@example.com")).startswith("Stripe answered 500")
    [line] = said(flask(desk, f"replay {event_id}"))
    assert line.startswith(f"{event_id}: pending (Stripe answered 500")


def test_every_parked_event_is_run_again_by_one_command(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    told = [
        event
        for event in events(customer_id=alice.customer, state="applied")
        if event.type != "customer.updated"
    ]
    stuck = [event.event_id for event in told][:2]
    lost = stripe_event(db.session(), state="parked", attempts=18).event_id
    for event_id in stuck:
        event = db.session.get_one(StripeEvent, event_id)
        event.state, event.attempts = StripeEvent.PARKED, 18
    db.session.commit()
    lines = said(flask(desk, "replay --parked --dry-run"))
    assert f"subscriptions {alice.row.stripe_id}: status active → canceled" in lines
    assert count(StripeEvent, state="parked") == 3
    lines = said(flask(desk, "replay --parked"))
    again = f"{lost}: parked (Stripe answered 404 (resource_missing))"
    assert set(lines) == {again, *(f"{event_id}: applied" for event_id in stuck)}
    assert alice.row.status == "canceled"
    db.session.execute(delete(StripeEvent).where(StripeEvent.event_id == lost))
    db.session.commit()
    assert said(flask(desk, "replay --parked")) == ["No event is parked."]
    for wrong in ("replay", f"replay {stuck[0]} --parked"):
        assert refused(flask(desk, wrong)) == "Name one event, or give --parked."


def test_a_person_is_looked_at_by_their_stripe_customer_too(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    line = f"subscriptions {alice.row.stripe_id}: status active → canceled"
    assert line in said(flask(desk, f"sync {alice.customer} --dry-run"))
    assert said(flask(desk, f"sync {alice.customer}")) == ["1 subscriptions looked at."]
    assert alice.row.status == "canceled"
    assert refused(flask(desk, "sync cus_none")) == "Nobody here is the Stripe customer cus_none."


def test_worker_and_clock_end_with_0_when_the_platform_tells_them_to_stop(
    app: Flask, config: Config, tmp_path: Path
) -> None:
    with (
        own_redis(tmp_path) as redis,
        started("work", config, tmp_path, REDIS_URL=redis.url) as worker,
        started("clock", config, tmp_path, REDIS_URL=redis.url) as clock,
    ):
        # The clock rings the bell at once, and the worker answers it.
        wait_until(lambda: seen("clock_seen_at") and seen("worker_seen_at"), "both to be at work")
        redis.vanish()
        wait_until(lambda: misses_redis(worker), "the worker to miss Redis")
        # RQ would ask Redis whether it may stop, and go on.
        assert (worker.stop(), clock.stop()) == (0, 0), worker.log.read_text() + clock.log.read_text()
    assert leases.take(db.session(), timetable.LEADER) is not None  # the next clock leads at once


def seen(column: str) -> bool:
    return getattr(fresh(Installation, 1), column) is not None


def misses_redis(worker: Running) -> bool:
    """RQ says so where it waited for a bell, we do where RQ gave up."""
    log = worker.log.read_text()
    return "not connect to Redis" in log or "can't reach Redis" in log
