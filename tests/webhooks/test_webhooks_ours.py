"""Only events of this installation's mode, account and secret are taken; the signature is the only key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing import webhooks
from billing.clock import now
from billing.config import Config
from billing.models import Installation, LoginSession, StripeEvent, User
from tests.conftest import WEBHOOK_SECRET, make_config
from tests.intake import PATH, REFUSED, another_app, paid
from tests.story import count
from tests.support import deliver, sign_in, signed
from tests.watching import Bell, all_rows

pytestmark = pytest.mark.usefixtures("bell")


def live_config(database: Config) -> Config:
    return make_config(
        database.database_url, public_url="https://billing.example.com", api_base="", APP_ENV="production",
        STRIPE_SECRET_KEY="sk_live_0123456789abcdefghij", STRIPE_ACCOUNT="acct_ours",
    )  # fmt: skip


@contextmanager
def live_database(session: Session) -> Iterator[None]:
    """The database as one that was set up with a live key."""
    for livemode in (True, False):
        session.execute(update(Installation).values(livemode=livemode))
        session.commit()
        if livemode:
            yield


def answer_of(config: Config, event: dict[str, Any], secret: str | None = None) -> int:
    """What an application with these settings answers."""
    with another_app(config) as application:
        return deliver(application, event, secret=secret).status_code


@pytest.mark.parametrize("livemode", [True, False])
def test_test_and_live_events_never_end_in_one_database(
    app: Flask, config: Config, db_session: Session, livemode: bool
) -> None:
    with live_database(db_session):
        assert answer_of(live_config(config), paid(livemode=livemode)) == (200 if livemode else 400)
    assert count(StripeEvent) == int(livemode)
    assert deliver(app, paid(livemode=livemode)).status_code == (400 if livemode else 200)
    assert count(StripeEvent) == 1


def test_the_database_itself_keeps_no_row_of_the_other_mode(
    app: Flask, config: Config, db_session: Session
) -> None:
    event = paid(livemode=True)
    assert answer_of(live_config(config), event) == 503, "the settings say live, the database test"
    assert count(StripeEvent) == 0
    assert deliver(app, paid()).status_code == 200
    with pytest.raises(DBAPIError, match="of the other mode"):
        db_session.execute(update(StripeEvent).values(livemode=True))
    db_session.rollback()


@pytest.mark.parametrize(("account", "status"), [(None, 200), ("acct_ours", 200), ("acct_theirs", 400)])
def test_only_events_of_the_expected_account_are_taken(
    app: Flask, config: Config, db_session: Session, account: str | None, status: int
) -> None:
    event = paid(livemode=True, account=account)
    with live_database(db_session):
        assert answer_of(live_config(config), event) == status
    assert count(StripeEvent) == (status == 200)


def test_a_thin_event_of_stripes_second_api_is_refused(app: Flask, bell: Bell) -> None:
    event = {
        "id": "evt_test_65TOC7OmrCVfVqxYI6916T9GELAUSQsZLoXcyMXwAKGy8Y",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "livemode": False,
        "created": "2026-11-18T17:46:22.134Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
    answer = deliver(app, event)
    assert (answer.status_code, answer.get_json()) == (400, REFUSED)
    assert (count(StripeEvent), bell.rung) == (0, 0)


NEW, OLD, OLDER = "whsec_the_new_one_0123456789", WEBHOOK_SECRET, "whsec_an_older_one_01234567"
ENDS = datetime(2026, 12, 5, 12, tzinfo=UTC)


def test_both_secrets_of_a_rotation_are_taken_until_the_old_one_is_removed(
    app: Flask, config: Config
) -> None:
    def status(secrets: str, used: str) -> int:
        return answer_of(make_config(config.database_url, secret=secrets), paid(), used)

    assert [status(f"{NEW},{OLD}@9999-01-01", used) for used in (NEW, OLD)] == [200, 200]
    assert [status(NEW, used) for used in (NEW, OLD)] == [200, 400]
    assert count(StripeEvent) == 3


def test_an_old_secret_is_worth_nothing_from_the_second_of_its_expiry_on_without_a_restart(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment is put in by hand: the clock cannot be made to stand at a boundary."""
    secrets = f"{NEW},{OLD}@{ENDS.isoformat()},{OLDER}@2026-12-05T13:00:01+01:00"
    with another_app(make_config(config.database_url, secret=secrets)) as application:

        def taken(moment: datetime) -> list[int]:
            monkeypatch.setattr(webhooks, "now", lambda: moment)
            return [deliver(application, paid(), secret=used).status_code for used in (NEW, OLD, OLDER)]

        assert taken(ENDS - timedelta(microseconds=1)) == [200, 200, 200]
        assert taken(ENDS) == [200, 400, 200]
        assert taken(ENDS + timedelta(seconds=1)) == [200, 400, 400]
        assert taken(ENDS + timedelta(days=9000)) == [200, 400, 400]


def test_rolling_the_secret_refuses_no_delivery_at_any_step(app: Flask, config: Config) -> None:
    """While a secret is rolled, Stripe signs with the new and the old one; the settings follow later."""
    for secrets in (OLD, f"{NEW},{OLD}@9999-01-01", f"{NEW},{OLD}@2001-01-01", NEW):
        with another_app(make_config(config.database_url, secret=secrets)) as application:
            body = json.dumps(paid()).encode()
            both = f"{signed(body, NEW)},v1={signed(body, OLD).partition('v1=')[2]}"
            answer = application.test_client().post(PATH, data=body, headers={"Stripe-Signature": both})
            assert answer.status_code == 200, secrets.replace(NEW, "new").replace(OLD, "old")
    assert count(StripeEvent) == 4


# The signature is the only key, POST the only way.


def test_no_cookie_is_read_or_set(
    app: Flask, db_session: Session, bell: Bell, admin: User, client: FlaskClient
) -> None:
    sign_in(client, admin)
    db_session.execute(update(LoginSession).values(last_seen_at=now() - timedelta(hours=1)))
    db_session.commit()
    before = all_rows(db_session)
    body = json.dumps(paid()).encode()
    taken = client.post(PATH, data=body, headers={"Stripe-Signature": signed(body, WEBHOOK_SECRET)})
    refused = client.post(PATH, data=body)
    assert (taken.status_code, refused.status_code) == (200, 400)
    assert "Set-Cookie" not in taken.headers
    assert "Set-Cookie" not in refused.headers
    after = all_rows(db_session)
    changed = {table for table, rows in after.items() if rows != before[table]}
    assert changed == {"stripe_events"}, "a session's row was touched"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("who", ["a stranger", "an admin"])
def test_any_method_but_post_is_not_allowed(
    client: FlaskClient, admin: User, bell: Bell, method: str, who: str
) -> None:
    if who == "an admin":
        sign_in(client, admin)
    body = json.dumps(paid()).encode()
    signature = {"Stripe-Signature": signed(body, WEBHOOK_SECRET)}
    answer = client.open(PATH, method=method, data=body, headers=signature)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert (count(StripeEvent), bell.rung) == (0, 0)
