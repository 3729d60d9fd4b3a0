"""API keys: which are let in, what restricted ones may do, and how fast."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
import stripe

from tests import plain_http
from tests.sandbox.engine.driver import KEY, Answer, Sandbox

RESTRICTED = "rk_test_0123456789restricted"
OTHER = "sk_test_0123456789of_somebody"


def ask(sandbox: Sandbox, key: str, method: str = "GET", path: str = "/v1/customers") -> Answer:
    return sandbox.raw(method, path, Authorization=f"Bearer {key}")


@pytest.fixture
def unlimited(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.control("settings", rate_limit=0, endpoint_rate_limit=0)


@pytest.mark.parametrize(
    "key", ["sk_live_0123456789abcdefghij", "rk_live_0123456789abcdefghij", "sk_test_short", "x"]
)
def test_a_live_looking_or_broken_key_is_invalid_and_not_repeated(sandbox: Sandbox, key: str) -> None:
    answer = ask(sandbox, key)
    assert (answer.status, set(answer.error)) == (401, {"message", "type"})
    assert answer.error["message"].startswith("Invalid API Key provided: ")
    assert key not in answer.error["message"] or len(key) == 1


def test_a_publishable_key_is_told_that_a_secret_one_is_needed(sandbox: Sandbox) -> None:
    answer = ask(sandbox, "pk_test_0123456789abcdefghij")
    assert (answer.status, answer.error["code"]) == (401, "secret_key_required")


def test_no_key_at_all_says_how_to_send_one(sandbox: Sandbox) -> None:
    answer = sandbox.http("GET", "/v1/customers")
    assert answer.status == 401
    assert "Authorization header" in answer.error["message"]


def test_basic_authentication_has_the_key_as_its_user(sandbox: Sandbox) -> None:
    good = base64.b64encode(f"{KEY}:".encode()).decode()
    assert sandbox.raw("GET", "/v1/account", Authorization=f"Basic {good}").status == 200
    assert sandbox.raw("GET", "/v1/account", Authorization="Basic !!").status == 401


def test_a_key_can_expire_be_revoked_and_come_back(sandbox: Sandbox) -> None:
    assert ask(sandbox, OTHER).status == 200
    sandbox.control("keys", key=OTHER, state="expired")
    expired = ask(sandbox, OTHER)
    assert (expired.status, expired.error["code"]) == (401, "api_key_expired")
    assert OTHER not in expired.body.decode()
    sandbox.control("keys", key=OTHER, state="revoked")
    revoked = ask(sandbox, OTHER)
    assert (revoked.status, set(revoked.error)) == (401, {"message", "type"})
    assert ask(sandbox, KEY).status == 200
    listed = sandbox.control("keys", key=OTHER, state="active")["keys"]
    assert ask(sandbox, OTHER).status == 200
    assert OTHER not in [each["key"] for each in listed]


def test_a_restricted_key_may_do_what_it_was_allowed(sandbox: Sandbox) -> None:
    assert ask(sandbox, RESTRICTED, "POST").status == 200  # all permissions until something else is said
    sandbox.control("keys", key=RESTRICTED, permissions=["rak_customer_read", "rak_checkout_session_write"])
    assert ask(sandbox, RESTRICTED).status == 200
    assert ask(sandbox, RESTRICTED, "GET", "/v1/checkout/sessions").status == 200  # write includes read
    refused = ask(sandbox, RESTRICTED, "POST")
    assert (refused.status, refused.error["type"]) == (403, "invalid_request_error")
    assert "rak_customer_write" in refused.error["message"]
    assert RESTRICTED not in refused.error["message"]
    with pytest.raises(stripe.PermissionError):
        plain_http.client(RESTRICTED, sandbox.base).v1.invoices.list()
    sandbox.control("keys", key=RESTRICTED, permissions=None)
    assert ask(sandbox, RESTRICTED, "POST").status == 200


def test_a_refusal_for_want_of_permission_is_not_kept_under_the_idempotency_key(sandbox: Sandbox) -> None:
    sandbox.control("keys", key=RESTRICTED, permissions=[])
    bearer = {"Authorization": f"Bearer {RESTRICTED}"}
    assert sandbox.raw("POST", "/v1/customers", "name=A", "forbidden-1", **bearer).status == 403
    sandbox.control("keys", key=RESTRICTED, permissions=None)
    assert sandbox.raw("POST", "/v1/customers", "name=A", "forbidden-1", **bearer).status == 200


def test_nonsense_about_keys_is_refused(sandbox: Sandbox) -> None:
    for body in ('{"key": "sk_live_0123456789ab"}', f'{{"key": "{OTHER}", "state": "lost"}}'):
        assert sandbox.http("POST", "/sandbox/keys", body).status == 400
    assert (
        sandbox.http("POST", "/sandbox/keys", f'{{"key": "{OTHER}", "permissions": ["all"]}}').status == 400
    )


@pytest.mark.parametrize(
    ("setting", "reason"), [("rate_limit", "global-rate"), ("endpoint_rate_limit", "endpoint-rate")]
)
def test_too_many_requests_in_a_second_are_refused_and_not_kept(
    unlimited: Sandbox, setting: str, reason: str
) -> None:
    unlimited.control("settings", **{setting: 1})
    tries = range(50)
    answers = [unlimited.raw("POST", "/v1/customers", "name=A", f"{setting}-{each}") for each in tries]
    limited = [(each, answer) for each, answer in zip(tries, answers, strict=True) if answer.status == 429]
    assert limited
    number, first = limited[0]
    assert (first.error["code"], first.headers["Stripe-Rate-Limited-Reason"]) == ("rate_limit", reason)
    unlimited.control("settings", rate_limit=0, endpoint_rate_limit=0)
    again = unlimited.raw("POST", "/v1/customers", "name=A", f"{setting}-{number}")
    assert again.status == 200
    assert "Idempotent-Replayed" not in again.headers


def test_another_key_has_a_limit_of_its_own(unlimited: Sandbox) -> None:
    unlimited.control("settings", rate_limit=1)
    while ask(unlimited, KEY).status != 429:
        pass
    assert ask(unlimited, "sk_test_0123456789never_used").status == 200
