"""Signed delivery: to whom, how, again, and the troubles that can be made."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import ROOT, Endpoint, Sandbox, eventually


def flushed(sandbox: Sandbox, endpoint: Endpoint) -> list[str]:
    sandbox.control("deliveries/flush")
    return endpoint.types()


def test_every_event_arrives_signed_for_its_endpoint(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sub = sandbox.subscriber()
    flushed(sandbox, endpoint)
    assert sorted(endpoint.types()) == sorted(sandbox.types()[-len(endpoint.got) :])
    assert "invoice_payment.paid" in endpoint.types()
    for signature, body in endpoint.got:
        event = stripe.Webhook.construct_event(body, signature, endpoint.secret)  # type: ignore[attr-defined]
        assert event.api_version == "2026-10-28.endive"
        assert event.pending_webhooks == 1
        assert ",v0=" in signature
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, signature, "whsec_other")
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_the_secret_is_told_once(sandbox: Sandbox, endpoint: Endpoint) -> None:
    again = sandbox.api.webhook_endpoints.retrieve(endpoint.id)  # type: ignore[attr-defined]
    assert not hasattr(again, "secret")
    assert (again.status, again.enabled_events) == ("enabled", ["*"])


def test_an_endpoint_of_a_version_that_there_is_not_is_refused(sandbox: Sandbox) -> None:
    given: Any = {"url": "http://127.0.0.1:9/", "enabled_events": ["*"], "api_version": "2030-01-01.fern"}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.webhook_endpoints.create(given)
    assert (caught.value.http_status, caught.value.param) == (400, "api_version")


def test_an_endpoint_gets_only_what_it_asked_for(sandbox: Sandbox) -> None:
    hook = Endpoint()
    made = sandbox.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["customer.created"]})
    sandbox.subscriber()
    assert flushed(sandbox, hook) == ["customer.created"]
    sandbox.api.webhook_endpoints.update(made.id, {"disabled": True})
    sandbox.customer()
    assert flushed(sandbox, hook) == ["customer.created"]
    sandbox.api.webhook_endpoints.update(made.id, {"disabled": False, "enabled_events": ["product.created"]})
    sandbox.price()
    assert flushed(sandbox, hook) == ["customer.created", "product.created"]
    sandbox.api.webhook_endpoints.delete(made.id)
    hook.close()


def test_an_endpoint_can_move(sandbox: Sandbox, endpoint: Endpoint) -> None:
    other = Endpoint()
    sandbox.api.webhook_endpoints.update(endpoint.id, {"url": other.url})  # type: ignore[attr-defined]
    sandbox.customer()
    assert flushed(sandbox, other) == ["customer.created"]
    assert endpoint.got == []
    other.close()


def test_a_failed_delivery_comes_again_and_delivery_success_tells(
    sandbox: Sandbox, endpoint: Endpoint
) -> None:
    endpoint.answers = 503
    sandbox.control("trouble", delivery="hold")  # so that every attempt is one of a flush
    customer = sandbox.customer()
    flushed(sandbox, endpoint)
    (event,) = sandbox.events(about=customer.id)
    pending = sandbox.api.events.list({"delivery_success": False, "types": ["customer.created"]}).data
    assert event["id"] in [each.id for each in pending]
    assert sandbox.api.events.retrieve(event["id"]).pending_webhooks == 1
    (row,) = sandbox.look(f"deliveries?event={event['id']}")["deliveries"]
    assert (row["status"], row["attempts"], row["http_status"]) == ("pending", 1, 503)
    endpoint.answers = 200
    sandbox.control("deliveries/flush")
    (row,) = sandbox.look(f"deliveries?event={event['id']}")["deliveries"]
    assert (row["status"], row["attempts"]) == ("delivered", 2)
    bodies = [json.loads(body)["id"] for _, body in endpoint.got]
    assert bodies == [event["id"]] * 2


def test_retries_are_made_by_themselves_and_stop_after_five(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("settings", delivery_delays=[0, 0, 0, 0, 0])
    endpoint.answers = 500
    customer = sandbox.customer()
    (event,) = sandbox.events(about=customer.id)

    def given_up() -> bool:
        (row,) = sandbox.look(f"deliveries?event={event['id']}")["deliveries"]
        return bool(row["status"] == "failed")

    eventually(given_up, "the sandbox gives up")
    sandbox.control("settings", delivery_delays=[5, 30, 120, 600, 3600])
    assert len(endpoint.got) == 6


def test_held_events_wait_for_a_flush(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="hold")
    sandbox.customer()
    sandbox.customer()
    assert endpoint.got == []
    assert flushed(sandbox, endpoint) == ["customer.created"] * 2
    sandbox.customer()
    assert len(endpoint.got) == 2
    sandbox.control("trouble", delivery="normal")
    eventually(lambda: len(endpoint.got) == 3, "the third comes when all is normal again")


def test_twice_means_the_same_event_two_times(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="twice")
    sandbox.customer()
    flushed(sandbox, endpoint)
    first, second = (event["id"] for event in endpoint.events())
    assert first == second


def test_reverse_means_the_newest_first(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="hold")
    for _ in range(4):
        sandbox.customer()
    emitted = [each["id"] for each in sandbox.events()][-4:]
    sandbox.control("trouble", delivery="reverse")
    flushed(sandbox, endpoint)
    eventually(lambda: len(endpoint.got) == 4, "all four came")
    assert [each["id"] for each in endpoint.events()] == emitted[::-1]


def test_dropped_events_never_come(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="drop")
    customer = sandbox.customer()
    sandbox.control("deliveries/flush")
    sandbox.control("trouble", delivery="normal")
    sandbox.control("deliveries/flush")
    assert endpoint.got == []
    (event,) = sandbox.events(about=customer.id)
    undelivered = sandbox.api.events.list({"delivery_success": False, "limit": 5}).data
    assert event["id"] in [each.id for each in undelivered]


def test_a_wrong_secret_does_not_verify(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="wrong_secret")
    sandbox.customer()
    flushed(sandbox, endpoint)
    signature, body = endpoint.got[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, endpoint.secret)  # type: ignore[attr-defined]


def test_an_unknown_trouble_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.http(
        "POST", "/sandbox/trouble", '{"delivery": "sideways"}', {"Content-Type": "application/json"}
    )
    assert answer.status == 400


def test_everything_survives_a_kill(tmp_path: Path) -> None:
    hook = Endpoint()
    sandbox = Sandbox(tmp_path)
    account = sandbox.api.accounts.retrieve_current().id
    secret = sandbox.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["*"]}).secret
    sandbox.control("trouble", delivery="hold")
    sub = sandbox.subscriber()
    owed = len(sandbox.types())
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end)
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    assert sandbox.api.accounts.retrieve_current().id == account
    assert sandbox.look("trouble")["delivery"] == "hold"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    sandbox.control("trouble", delivery="normal")
    eventually(lambda: len(hook.got) > owed, "what was owed is delivered")
    for signature, body in hook.got:
        stripe.Webhook.construct_event(body, signature, str(secret))
    sandbox.advance(sub.customer)
    assert sandbox.charges(sub.customer)[-1]["status"] == "succeeded"
    assert sandbox.stop() == 0
    hook.close()


def test_a_taken_port_is_said_in_one_sentence_and_no_data_are_touched(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "sandbox", "--port", str(sandbox.port), "--data", str(data)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stderr == f"Port {sandbox.port} is taken: choose another with --port or SANDBOX_PORT.\n"
    assert not data.exists()


def test_a_rolled_secret_signs_beside_the_old_one_for_as_long_as_was_asked(
    sandbox: Sandbox, endpoint: Endpoint
) -> None:
    old = endpoint.secret  # type: ignore[attr-defined]
    path = f"endpoints/{endpoint.id}/roll"  # type: ignore[attr-defined]
    new = sandbox.control(path, keep_old_seconds=3600)["secret"]
    sandbox.customer()
    flushed(sandbox, endpoint)
    signature, body = endpoint.got[0]
    assert signature.count("v1=") == 2
    for secret in (old, new):
        assert stripe.Webhook.construct_event(body, signature, secret)
    newest = sandbox.control(path, keep_old_seconds=0)["secret"]
    sandbox.customer()
    flushed(sandbox, endpoint)
    signature, body = endpoint.got[1]
    assert signature.count("v1=") == 1
    assert stripe.Webhook.construct_event(body, signature, newest)
    for secret in (old, new):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, signature, secret)


def test_a_retry_is_the_same_event_signed_anew(sandbox: Sandbox, endpoint: Endpoint) -> None:
    endpoint.answers = 500
    sandbox.control("trouble", delivery="hold")
    sandbox.customer()
    flushed(sandbox, endpoint)
    sandbox.control(f"endpoints/{endpoint.id}/roll", keep_old_seconds=0)  # type: ignore[attr-defined]
    endpoint.answers = 200
    flushed(sandbox, endpoint)
    (first, body), (second, again) = endpoint.got
    assert json.loads(body) == json.loads(again)
    assert first != second


def test_a_resent_event_comes_at_once_and_what_is_owed_stays_owed(
    sandbox: Sandbox, endpoint: Endpoint
) -> None:
    sandbox.control("trouble", delivery="hold")
    customer = sandbox.customer()
    (event,) = sandbox.events(about=customer.id)
    path = f"events/{event['id']}/resend"
    answer = sandbox.control(path, endpoint=endpoint.id)  # type: ignore[attr-defined]
    assert answer == {"http_status": 200, "error": None}
    assert [each["id"] for each in endpoint.events()] == [event["id"]]
    (row,) = sandbox.look(f"deliveries?event={event['id']}")["deliveries"]
    assert (row["status"], row["attempts"]) == ("pending", 0)
    flushed(sandbox, endpoint)
    assert [each["id"] for each in endpoint.events()] == [event["id"]] * 2
    gone = sandbox.http("POST", f"/sandbox/{path}", '{"endpoint": "we_nobody"}')
    assert gone.status == 404


def test_pending_webhooks_counts_the_endpoints_that_are_still_owed(
    sandbox: Sandbox, endpoint: Endpoint
) -> None:
    other = Endpoint()
    made = sandbox.api.webhook_endpoints.create({"url": other.url, "enabled_events": ["*"]})
    sandbox.control("trouble", delivery="hold")
    other.answers = 500
    customer = sandbox.customer()
    (event,) = sandbox.events(about=customer.id)
    assert event["pending_webhooks"] == 2
    flushed(sandbox, endpoint)
    assert sandbox.api.events.retrieve(event["id"]).pending_webhooks == 1
    assert {each["pending_webhooks"] for each in endpoint.events() + other.events()} <= {1, 2}
    sandbox.api.webhook_endpoints.delete(made.id)
    other.close()


def test_a_redirect_is_a_failure_and_not_followed(sandbox: Sandbox, endpoint: Endpoint) -> None:
    endpoint.answers = 302
    sandbox.control("trouble", delivery="hold")
    customer = sandbox.customer()
    flushed(sandbox, endpoint)
    (event,) = sandbox.events(about=customer.id)
    (row,) = sandbox.look(f"deliveries?event={event['id']}")["deliveries"]
    assert (row["status"], row["http_status"], row["error"]) == ("pending", 302, "HTTP 302")
    assert len(endpoint.got) == 1
