"""Trouble on demand: what the API does to requests, what delivery does to events, and the dashboard's edits."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import KEY, Answer, Endpoint, Sandbox, eventually

CUSTOMERS = "/v1/customers"


def people(sandbox: Sandbox, email: str) -> list[Any]:
    return list(sandbox.api.customers.list({"email": email}).data)


def delivered(sandbox: Sandbox, endpoint: Endpoint, mode: str) -> tuple[str, bytes]:
    """What one new customer's event looks like on its way under that trouble."""
    sandbox.control("trouble", delivery=mode)
    sandbox.customer()
    sandbox.control("deliveries/flush")
    return endpoint.got[0]


def verify(endpoint: Endpoint, signature: str, body: bytes) -> Any:
    return stripe.Webhook.construct_event(body, signature, endpoint.secret)  # type: ignore[attr-defined]


# the API


def test_trouble_meets_only_the_next_so_many_requests(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="error_500", times=2)
    assert [sandbox.raw("GET", CUSTOMERS).status for _ in range(4)] == [500, 500, 200, 200]


def test_times_are_counted_down_once_each_by_requests_that_race(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="error_500", times=3)
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(sandbox.raw("GET", CUSTOMERS))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.status for each in answers) == [200] * 9 + [500] * 3


def test_trouble_can_be_meant_for_one_method_and_path(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="error_500", api_path=CUSTOMERS, api_method="POST")
    assert sandbox.raw("POST", CUSTOMERS, "name=A").status == 500
    assert sandbox.raw("GET", CUSTOMERS).status == 200
    assert sandbox.raw("POST", "/v1/products", "name=A").status == 200


def test_another_api_trouble_forgets_how_narrow_the_last_one_was(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="error_500", api_method="POST", times=1)
    narrow = sandbox.control("trouble", api="error_429")
    assert (narrow["api_method"], narrow["times"]) == ("", None)


def test_a_connection_cut_before_the_effect_leaves_none(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="cut_before")
    with pytest.raises(OSError, match=r"."):
        sandbox.raw("POST", CUSTOMERS, "email=before@example.com", "before-1")
    sandbox.control("trouble", api="normal")
    assert people(sandbox, "before@example.com") == []
    again = sandbox.raw("POST", CUSTOMERS, "email=before@example.com", "before-1")
    assert (again.status, "Idempotent-Replayed" in again.headers) == (200, False)


def test_a_truncated_body_is_a_connection_error_after_the_effect(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="truncated_body", times=1)
    with pytest.raises(stripe.APIConnectionError):
        sandbox.api.customers.create({"email": "half@example.com"}, {"idempotency_key": "half-1"})
    (only,) = people(sandbox, "half@example.com")
    again = sandbox.raw("POST", CUSTOMERS, "email=half@example.com", "half-1")
    assert (again.json["id"], again.headers["Idempotent-Replayed"]) == (only.id, "true")


def test_a_slow_answer_comes_after_its_effect_and_holds_its_key(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="slow", slow_seconds=3, times=1)
    answers: list[Answer] = []
    asking = threading.Thread(
        target=lambda: answers.append(sandbox.raw("POST", CUSTOMERS, "email=slow@example.com", "slow-1"))
    )
    asking.start()
    eventually(lambda: people(sandbox, "slow@example.com"), "the effect is there")
    assert answers == []
    assert sandbox.raw("POST", CUSTOMERS, "email=slow@example.com", "slow-1").status == 409
    asking.join()
    assert answers[0].status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"api": "odd"},
        {"times": -1, "api": "error_500"},
        {"api_method": "PUT"},
        {"colour": 1},
        {"slow_seconds": "x"},
    ],
)
def test_trouble_that_there_is_not_is_refused(sandbox: Sandbox, body: Any) -> None:
    assert sandbox.http("POST", "/sandbox/trouble", json.dumps(body)).status == 400


# delivery


def test_a_forged_body_does_not_verify(sandbox: Sandbox, endpoint: Endpoint) -> None:
    signature, body = delivered(sandbox, endpoint, "forged")
    assert json.loads(body)["id"].endswith("EVIL")
    with pytest.raises(stripe.SignatureVerificationError):
        verify(endpoint, signature, body)


def test_a_stale_signature_is_refused_for_its_age_alone(sandbox: Sandbox, endpoint: Endpoint) -> None:
    signature, body = delivered(sandbox, endpoint, "stale")
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        verify(endpoint, signature, body)
    assert stripe.Webhook.construct_event(body, signature, endpoint.secret, tolerance=0)  # type: ignore[attr-defined]


def test_the_wrong_mode_is_signed_rightly_and_says_live(sandbox: Sandbox, endpoint: Endpoint) -> None:
    event = verify(endpoint, *delivered(sandbox, endpoint, "wrong_mode"))
    assert (event.livemode, event.data.object.livemode) == (True, True)


def test_a_shuffled_burst_is_complete(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="shuffle")
    for _ in range(4):
        sandbox.customer()
    emitted = [each["id"] for each in sandbox.events()][-4:]
    sandbox.control("deliveries/flush")
    eventually(lambda: len(endpoint.got) == 4, "all came")
    assert sorted(each["id"] for each in endpoint.events()) == sorted(emitted)


def test_late_events_are_owed_for_later(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("trouble", delivery="late", delay_seconds=600)
    before = time.time()
    customer = sandbox.customer()
    (event,) = sandbox.events(about=customer.id)
    (row,) = sandbox.look(f"deliveries?event={event['id']}")["deliveries"]
    assert (row["status"], row["attempts"], row["next_at"] >= before + 600) == ("pending", 0, True)
    assert endpoint.got == []


def test_every_event_twice_by_the_setting_for_duplicates(sandbox: Sandbox, endpoint: Endpoint) -> None:
    sandbox.control("settings", duplicates=1.0)
    sandbox.customer()
    sandbox.control("deliveries/flush")
    sandbox.control("settings", duplicates=0.0)
    first, second = endpoint.events()
    assert first["id"] == second["id"]


def test_another_installations_object_is_unknown_here_and_carries_its_metadata(
    sandbox: Sandbox, endpoint: Endpoint
) -> None:
    mine = sandbox.customer()
    theirs = {"installation": "another"}
    made = sandbox.control("events", type="customer.updated", like=mine.id, metadata=theirs)
    sandbox.control("deliveries/flush")
    (event,) = [each for each in endpoint.events() if each["id"] == made["id"]]
    about = event["data"]["object"]
    assert about["metadata"] == theirs
    assert about["id"].startswith("cus_")
    assert sandbox.raw("GET", f"{CUSTOMERS}/{about['id']}").status == 404
    assert (
        sandbox.http("POST", "/sandbox/events", '{"type": "x", "like": "cus_no", "metadata": {}}').status
        == 404
    )


# the dashboard


def dashboard(sandbox: Sandbox, path: str, body: Any, method: str = "POST") -> Answer:
    sent = {"Content-Type": "application/json"}
    return sandbox.http(method, f"/sandbox/dashboard/{path}", json.dumps(body), sent)


def test_an_edit_in_the_dashboard_is_an_api_operation_that_no_request_caused(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    mark = sandbox.mark()
    answer = dashboard(
        sandbox, f"subscriptions/{sub.id}", {"cancel_at_period_end": True, "metadata": {"seen": 1}}
    )
    assert (answer.status, answer.json["cancel_at_period_end"]) == (200, True)
    assert answer.json["metadata"]["seen"] == "1"
    (event,) = sandbox.events(mark)
    assert (event["type"], event["request"]) == (
        "customer.subscription.updated",
        {"id": None, "idempotency_key": None},
    )


def test_the_dashboard_refunds_archives_cancels_and_deletes(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    charge = sandbox.charges(sub.customer)[0]
    assert (
        dashboard(sandbox, "refunds", {"charge": charge["id"], "amount": 100}).json["status"] == "succeeded"
    )
    price = sub.items.data[0].price.id
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (
        sandbox.http("POST", f"/sandbox/dashboard/prices/{price}", "active=false", form).json["active"]
        is False
    )
    assert dashboard(sandbox, f"subscriptions/{sub.id}", {}, "DELETE").json["status"] == "canceled"
    assert dashboard(sandbox, f"customers/{sub.customer}", {}, "DELETE").json["deleted"] is True


def test_the_dashboard_refuses_what_the_api_refuses(sandbox: Sandbox) -> None:
    refused = dashboard(sandbox, "customers", {"colour": "red"})
    assert (refused.status, refused.error["code"]) == (400, "parameter_unknown")
    assert dashboard(sandbox, "colours", {}).status == 404


# manners


def test_the_api_answers_in_json_whatever_is_asked(sandbox: Sandbox) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    for method in ("PUT", "PATCH", "DELETE"):
        answer = sandbox.http(method, CUSTOMERS, "", key)
        assert (answer.status, answer.error["type"]) == (404, "invalid_request_error")
        assert answer.error["message"].startswith(f"Unrecognized request URL ({method}: {CUSTOMERS}).")
    head = sandbox.http("HEAD", CUSTOMERS, "", key)
    assert (head.status, head.body, head.headers["Content-Type"]) == (200, b"", "application/json")


def test_a_body_that_is_no_form_is_refused(sandbox: Sandbox) -> None:
    sent = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    answer = sandbox.http("POST", CUSTOMERS, '{"name": "A"}', sent)
    assert answer.status == 400
    assert "application/x-www-form-urlencoded" in answer.error["message"]
    assert sandbox.raw("POST", CUSTOMERS, "name=%ff%fe").status == 400
    assert sandbox.raw("POST", CUSTOMERS, "name[=x").status == 400
    assert sandbox.raw("POST", CUSTOMERS, "name=" + "x" * (1024 * 1024)).status == 413
