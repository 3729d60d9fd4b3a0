"""What operators suffer elsewhere while they set things up, and are told by name here (pain 25)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import catalogue, checks, stripe_client
from billing import config as settings
from billing.checks import at_stripe
from billing.clock import database_now, now
from billing.config import Config
from billing.errors import ConfigError
from billing.extensions import db
from billing.jobs import HANDLERS
from billing.models import Installation, PlanPrice, SyncRun, User
from billing.signing import Secret
from local.mailsink import MailSink
from tests import admin_rows
from tests.conftest import WEBHOOK_SECRET, make_config
from tests.intake import REFUSED, another_app, paid
from tests.story import config_of
from tests.support import Databases, sign_in, signed
from tests.test_cli import flask
from tests.test_config import TEST
from tests.watching import all_rows

ENDED = "whsec_that_ended_0123456789ab"
OF_THE_CLI = "whsec_" + "0123456789abcdef" * 4
PUBLIC = "https://billing.example.com"
RESTRICTED = "rk_test_0123456789abcdefghij"
REVOKED = "sk_test_revoked_0123456789"

# Another kind of key where one is expected.

MISTAKEN = [
    ("STRIPE_WEBHOOK_SECRET", "sk_test_canary0123456789", "a secret API key"),
    ("STRIPE_WEBHOOK_SECRET", "rk_test_canary0123456789", "a restricted API key"),
    ("STRIPE_WEBHOOK_SECRET", "pk_test_canary0123456789", "a publishable API key"),
    ("STRIPE_WEBHOOK_SECRET", "we_canary0123456789abcdef", "the id of an endpoint"),
    ("STRIPE_WEBHOOK_SECRET", "https://canary.example.com/webhooks/stripe", "an address"),
    ("STRIPE_SECRET_KEY", "pk_test_canary0123456789", "a publishable key"),
    ("STRIPE_SECRET_KEY", "whsec_canary0123456789", "a webhook's signing secret"),
]


@pytest.mark.parametrize(("name", "value", "what"), MISTAKEN)
def test_whoever_mixes_up_the_keys_is_told_which_one_they_took(name: str, value: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} holds {what}; it must be") as caught:
        settings.load(TEST | {name: value})
    assert "canary" not in str(caught.value)


# A delivery that is refused: seven causes, one answer to whoever sent it, seven names for the operator.


def as_stripe_writes(**more: Any) -> bytes:
    return json.dumps(paid(**more), indent=2).encode()


def written_anew(body: bytes) -> bytes:
    return json.dumps(json.loads(body)).encode()


BODY = as_stripe_writes()
CASES: dict[str, tuple[bytes, str, str]] = {
    # what the operator must read: the body, the header, whose mistake it proves
    "signed with no secret of ours": (BODY, "whsec_of_another_endpoint_01", ""),
    "without a signature": (BODY, "", ""),
    "signed with an old secret that has ended here": (BODY, ENDED, ""),
    "the time of the signature is more than 5 minutes off": (BODY, WEBHOOK_SECRET, "-3600"),
    "the body was changed on its way": (BODY, WEBHOOK_SECRET, "anew"),
    "of the other mode than STRIPE_SECRET_KEY": (as_stripe_writes(livemode=True), WEBHOOK_SECRET, ""),
    "of an account that is not ours": (as_stripe_writes(account="acct_other"), WEBHOOK_SECRET, ""),
}


def send(app: Flask, body: bytes, secret: str, how: str) -> int:
    stamp = int(time.time()) + int(how) if how.startswith("-") else None
    header = {"Stripe-Signature": signed(body, secret, stamp)} if secret else {}
    sent = written_anew(body) if how == "anew" else body
    answer = app.test_client().post("/webhooks/stripe", data=sent, headers=header)
    assert answer.get_json() == REFUSED
    return answer.status_code


@pytest.mark.parametrize("words", CASES)
def test_whoever_sees_every_delivery_refused_reads_which_of_seven_causes_it_is(
    app: Flask, db_session: Session, admin: User, client: FlaskClient, words: str
) -> None:
    older = (*config_of(app).stripe_webhook_secrets, Secret(ENDED, now() - timedelta(minutes=1)))
    app.extensions["config"] = replace(config_of(app), stripe_webhook_secrets=older)
    sign_in(client, admin)
    assert "none in the last hour" in client.get("/admin/ready").text
    assert send(app, *CASES[words]) == 400
    page = client.get("/admin/ready").text
    assert [known for known in CASES if known in page] == [words]
    assert ENDED not in page
    assert WEBHOOK_SECRET not in page


# What Stripe says.


@contextmanager
def with_settings(desk: Flask, **changes: Any) -> Iterator[Config]:
    """The running application with other settings, and the client of their key."""
    before, client = config_of(desk), desk.extensions["stripe"]
    config = replace(before, **changes)
    desk.extensions["config"], desk.extensions["stripe"] = config, stripe_client.connect(config)
    try:
        yield config
    finally:
        desk.extensions["config"], desk.extensions["stripe"] = before, client


def found(desk: Flask, about: str = "", **changes: Any) -> list[str]:
    """What Stripe’s part of the doctor says of this, line by line."""
    with with_settings(desk, **changes) as config:
        lines = list(map(str, checks.stripes(db.session(), config, thorough=True)))
    return [line for line in lines if line[7:].startswith(about)]


def at(desk: Flask, **endpoint: Any) -> list[str]:
    """What is said of an endpoint of the public address that is like this, and removed again."""
    stripe = desk.extensions["sandbox"].stripe
    usual = {"enabled_events": ["*"], "api_version": stripe_client.API_VERSION}
    made = stripe.webhook_endpoints.create({"url": f"{PUBLIC}/webhooks/stripe", **usual, **endpoint})
    try:
        if endpoint.get("description") == "off":
            stripe.webhook_endpoints.update(made["id"], {"disabled": True})
        return found(desk, public_url=PUBLIC)
    finally:
        stripe.webhook_endpoints.delete(made["id"])


def test_whoever_has_all_set_up_reads_so_and_nothing_is_changed_by_looking(office: Flask) -> None:
    sandbox, before = office.extensions["sandbox"], all_rows(db.session())
    asked = len(sandbox.look("requests?limit=5000")["requests"])
    lines = at(office)
    assert {line[:6].strip() for line in lines} == {"ok"}
    assert len(lines) >= 8
    since = sandbox.look("requests?limit=5000")["requests"][asked:]
    ours = [one for one in since if "webhook_endpoints" not in one["path"]]
    assert len(ours) >= 5
    assert {one["method"] for one in ours} == {"GET"}
    assert all_rows(db.session()) == before


TYPES = [name for name in HANDLERS if not name.startswith("dunlin.")]
ENDPOINTS: list[tuple[dict[str, Any], str]] = [
    (
        {"url": f"{PUBLIC}/stripe/webhooks"},
        f"none leads to {PUBLIC}/webhooks/stripe; there is {PUBLIC}/stripe/web",
    ),
    ({"description": "off"}, "is switched off; Stripe sends it nothing"),
    ({"api_version": "2025-03-31.basil"}, "sends 2025-03-31.basil"),
    ({"enabled_events": TYPES[1:]}, f"doesn’t send {TYPES[0]}"),
    ({"enabled_events": [*TYPES, "payout.paid"]}, "stored as ignored: payout.paid"),
    ({"enabled_events": TYPES}, f"exactly the {len(TYPES)} that are acted on"),
]


def test_whoever_set_up_the_endpoint_in_another_way_reads_what_is_other(office: Flask) -> None:
    for endpoint, words in ENDPOINTS:
        lines = at(office, **endpoint)
        assert [line for line in lines if words in line], (words, lines)
    [line] = found(office, "webhook endpoint", public_url=PUBLIC)
    assert line.startswith("wrong ")
    [line] = found(office, "webhook endpoint", public_url="http://127.0.0.1:9")
    assert line.startswith("note ")
    assert "`stripe listen` must forward" in line


def test_whoever_uses_the_secret_of_stripe_listen_for_an_endpoint_is_told(office: Flask) -> None:
    secrets = (Secret(OF_THE_CLI),)
    for url, level in ((PUBLIC, "wrong"), ("http://127.0.0.1:8000", "ok")):
        config = replace(config_of(office), stripe_webhook_secrets=secrets, public_url=url)
        [line] = [one for one in checks.here(db.session(), config) if one.about == "signing secret"]
        assert (line.level, "`stripe listen`" in line.says) == (level, True)
        assert OF_THE_CLI not in str(line)


def test_whoever_has_a_wrong_secret_reads_that_what_stripe_sends_is_not_taken(office: Flask) -> None:
    sandbox = office.extensions["sandbox"]
    sandbox.control("trouble", delivery="wrong_secret")
    sandbox.stripe.subscriptions.list()
    sandbox.stripe.prices.create({"currency": "eur", "unit_amount": 100, "product_data": {"name": "x"}})
    sandbox.stripe.customers.update(
        sandbox.stripe.customers.create({"email": "a@example.com"})["id"], {"name": "A"}
    )
    sandbox.flush()
    try:
        [line] = found(office, "deliveries")
        assert line.startswith("warn ")
        assert "events of the last day were not taken here" in line
        assert "400 is a wrong STRIPE_WEBHOOK_SECRET" in line
    finally:
        sandbox.calm()
        sandbox.flush()


def test_whoever_has_the_key_of_another_account_a_revoked_or_a_restricted_one_reads_which(
    office: Flask,
) -> None:
    sandbox = office.extensions["sandbox"]
    row = db.session.get_one(Installation, 1)
    mine, row.stripe_account = row.stripe_account, "acct_of_somebody_else"
    db.session.commit()
    [line] = found(office, "account")
    assert line.startswith(
        "wrong  account: DATABASE_URL leads to a database of Stripe account acct_of_somebody_else"
    )
    db.session.get_one(Installation, 1).stripe_account = mine
    db.session.commit()
    sandbox.control("keys", key=REVOKED, state="revoked")
    [line] = found(office, stripe_secret_key=REVOKED)
    assert "Stripe refuses the key: Stripe answered 401" in line
    assert REVOKED not in line
    assert found(office, "rights", stripe_secret_key=RESTRICTED) == [
        "ok     rights of the key: it may do all that is needed"
    ]
    sandbox.control(
        "keys", key=RESTRICTED, permissions=["rak_account_read", "rak_customer_write", "rak_event_read"]
    )
    lines = found(office, "", stripe_secret_key=RESTRICTED)
    rights = [line for line in lines if "rights of the key" in line]
    assert any("to write subscriptions" in line and "rak_subscription_write" in line for line in rights)
    assert any("to read charges" in line and "rak_charge_read" in line for line in rights)
    assert not any("customers" in line or "to read events" in line for line in rights)
    [line] = [line for line in lines if "billing portal: it can’t be looked at" in line]
    assert "rak_billing_portal_configuration_read" in line
    assert not any(RESTRICTED in line for line in lines)


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (-90, "warn"), (3600, "wrong")])
def test_whoever_has_a_wrong_clock_reads_it_before_webhooks_are_refused(
    office: Flask, monkeypatch: pytest.MonkeyPatch, seconds: int, level: str
) -> None:
    """Where this machine’s clock is read is replaced: the clock itself is not ours to set."""
    monkeypatch.setattr(at_stripe, "now", lambda: now() + timedelta(seconds=seconds))
    [line] = found(office, "clock beside Stripe’s")
    assert line.startswith(f"{level:<6} ")
    assert level == "ok" or f"{'ahead' if seconds > 0 else 'behind'}" in line


def test_whoever_never_saved_the_portal_or_lets_people_do_too_much_there_reads_it(office: Flask) -> None:
    sandbox = office.extensions["sandbox"]
    [usual] = sandbox.stripe.billing_portal.configurations.list({"is_default": True})["data"]
    features = {
        "payment_method_update": {"enabled": False},
        "subscription_cancel": {"enabled": True, "mode": "immediately"},
        "customer_update": {"enabled": True, "allowed_updates": ["email"]},
    }
    sandbox.stripe.billing_portal.configurations.update(usual["id"], {"features": features})
    [line] = found(office, "billing portal")
    for words in ("updating payment methods", "ends a plan at once", "email address may be changed"):
        assert words in line
    sandbox.control("settings", portal_default="none")
    [line] = found(office, "billing portal")
    assert line.startswith("wrong ")


def test_whoever_forgot_to_push_the_catalogue_reads_which_prices_lack(office: Flask) -> None:
    key = "pro_month_eur"
    db.session.get_one(PlanPrice, key).amount = 1
    db.session.commit()
    [line] = [one for one in checks.here(db.session(), config_of(office)) if one.about == "catalogue"]
    assert (line.level, key in line.says) == ("wrong", True)
    catalogue.push(db.session(), office.extensions["catalogue"])
    [price] = office.extensions["sandbox"].stripe.prices.list({"lookup_keys": [key]})["data"]
    office.extensions["sandbox"].stripe.prices.update(price["id"], {"active": False})
    [line] = found(office, "catalogue at Stripe")
    assert "archived: would be replaced" in line


# The command.


def healthy(session: Session) -> None:
    moment, row = database_now(session), session.get_one(Installation, 1)
    row.clock_seen_at = row.worker_seen_at = row.reconciled_at = moment
    admin_rows.add(session, SyncRun(actor="clock", started_at=moment, ended_at=moment))
    session.commit()


def test_the_doctor_ends_with_0_where_nothing_is_wrong_and_prints_no_secret(
    desk: Flask, mails: MailSink
) -> None:
    desk.extensions["sandbox"].control("settings", portal_default="saved")
    usual = desk.extensions["sandbox"].stripe.billing_portal.configurations.list({"is_default": True})["data"]
    for one in usual:
        features = {"payment_method_update": {"enabled": True}}
        desk.extensions["sandbox"].stripe.billing_portal.configurations.update(
            one["id"], {"features": features}
        )
    desk.extensions["sandbox"].flush()  # so that no event of that comes meanwhile
    healthy(db.session())
    config, before = config_of(desk), all_rows(db.session())
    result = flask(desk, "doctor")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("0 wrong, ")
    assert "mail server: it answers and lets us in" in result.output
    for secret in (config.stripe_secret_key, config.secret_key, config.stripe_webhook_secrets[0].value):
        assert secret not in result.output
    assert all_rows(db.session()) == before
    assert mails.messages == []


def test_whoever_forgot_to_migrate_reads_it_and_the_rest(databases: Databases) -> None:
    with another_app(make_config(databases.create("dunlin_bare"))) as bare:
        lines = list(map(str, checks.here(db.session(), config_of(bare))))
    databases.drop("dunlin_bare")
    assert any("its schema is at nothing, and this code needs" in line for line in lines)
    assert any("who mails" in line for line in lines)


def test_whoever_asks_while_parts_are_away_reads_which_and_of_all_the_others(app: Flask) -> None:
    """Nobody answers at port 1: no Stripe, no Redis, and in the second run no database and no mail server either."""
    result = flask(app, "doctor")
    assert result.exit_code == 1
    for words in ("account: Stripe can’t be asked", "Redis: it doesn’t answer", "last webhook: no event"):
        assert words in result.output
    assert "mail server: it answers" in result.output
    with another_app(make_config("postgresql://dunlin:canary@127.0.0.1:1/dunlin")) as apart:
        lines = list(map(str, checks.everything(db.session(), config_of(apart))))
    text = "\n".join(lines)
    for words in (
        "database: it can’t be used",
        "mail server: it can’t be used",
        "Stripe can’t be asked",
        "who mails",
    ):
        assert words in text
    assert "canary" not in text
