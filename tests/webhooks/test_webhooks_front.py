"""A delivery is taken before Flask, or through it where it looks like a browser's request: the answer is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing import webhooks
from billing.config import Config
from billing.models import StripeEvent
from tests.intake import PATH, paid
from tests.support import signed
from tests.watching import Lines

pytestmark = pytest.mark.usefixtures("bell")

EVENT = paid()
BODY = json.dumps(EVENT).encode()
LIVE = json.dumps({**EVENT, "livemode": True}).encode()
DELIVERIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "an event": (BODY, {}, 200),
    "an event that is known": (BODY, {}, 200),
    "a forgery": (BODY, {"Stripe-Signature": "t=1,v1=00"}, 400),
    "no signature": (BODY, {"Stripe-Signature": ""}, 400),
    "another coding": (BODY, {"Content-Encoding": "gzip"}, 400),
    "no event": (b"[]", {}, 400),
    "an event of live mode": (LIVE, {}, 400),
    "nothing": (b"", {}, 400),
    "too much": (b"x" * (1024 * 1024 + 1), {}, 413),
}
# The name of one request; and Flask looks at the cookie of whoever may be a browser.
OWN = ("X-Request-Id", "Vary")


def answers(app: Flask, config: Config, name: str) -> list[tuple[int, bytes, dict[str, str]]]:
    """By the front, then through Flask, which is told so by ``Origin``."""
    body, headers, _ = DELIVERIES[name]
    found = []
    for more in ({}, {"Origin": config.public_url}):
        sent = {"Stripe-Signature": signed(body, config.stripe_webhook_secrets[0].value), **headers, **more}
        answer = app.test_client().post(PATH, data=body, headers=sent, content_type="application/json")
        assert len(answer.headers["X-Request-Id"]) == 12
        said = {key: value for key, value in answer.headers.items() if key not in OWN}
        found.append((answer.status_code, answer.data, said))
    return found


@pytest.mark.parametrize("name", DELIVERIES)
def test_a_delivery_gets_the_same_answer_before_flask_and_through_it(
    app: Flask, config: Config, name: str
) -> None:
    if "known" in name:
        answers(app, config, "an event")
    before, through = answers(app, config, name)
    assert before == through
    assert before[0] == DELIVERIES[name][2]


def test_an_event_is_kept_by_either_way(app: Flask, config: Config, db_session: Session) -> None:
    for more in ({}, {"Origin": config.public_url}):
        event = paid()
        body = json.dumps(event).encode()
        sent = {"Stripe-Signature": signed(body, config.stripe_webhook_secrets[0].value), **more}
        assert app.test_client().post(PATH, data=body, headers=sent).status_code == 200
        assert db_session.get(StripeEvent, event["id"]) is not None, more


def test_what_comes_from_another_site_is_refused_as_a_form_would_be(app: Flask, config: Config) -> None:
    sent = {"Stripe-Signature": signed(BODY, config.stripe_webhook_secrets[0].value)}
    for more in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = app.test_client().post(PATH, data=BODY, headers={**sent, **more})
        assert (answer.status_code, answer.get_json()) == (403, {"error": "Forbidden"})


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_told_which_one_is_taken(app: Flask, method: str) -> None:
    answer = app.test_client().open(PATH, method=method)
    assert answer.status_code == (200 if method == "OPTIONS" else 405)
    assert "POST" in answer.headers["Allow"]


def test_what_nobody_thought_of_is_no_yes_and_says_so_once(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(webhooks, "_record", fails)
    with Lines() as said:
        both = answers(app, config, "an event")
    assert {status for status, _, _ in both} == {500}
    assert not any(b"canary" in body for _, body, _ in both)
    assert [record.getMessage() for record in said.records if record.name == "billing.front"] == [
        "delivery failed"
    ]
