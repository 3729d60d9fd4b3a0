"""Idempotency keys as Stripe keeps them; each test names one rule."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.engine.driver import GENERIC, Answer, Sandbox, eventually

CUSTOMERS = "/v1/customers"


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that this test may kill."""
    running = Sandbox(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_the_first_answer_is_replayed_and_nothing_is_done_again(sandbox: Sandbox) -> None:
    first = sandbox.raw("POST", CUSTOMERS, "email=r@example.com", "replay-1")
    mark = sandbox.mark()
    again = sandbox.raw("POST", CUSTOMERS, "email=r@example.com", "replay-1")
    assert (first.status, again.status) == (200, 200)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    assert again.headers["Request-Id"] != first.headers["Request-Id"]
    assert first.headers["Original-Request"] == first.headers["Request-Id"]
    assert first.headers["Idempotency-Key"] == "replay-1"
    assert first.headers["Stripe-Should-Retry"] == "false"
    assert sandbox.events(mark) == []


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (CUSTOMERS, "email=other@example.com"),
        (CUSTOMERS, "email=m@example.com&colour=red"),
        ("/v1/products", "email=m@example.com&name=x"),
    ],
)
def test_another_request_with_the_key_is_refused(sandbox: Sandbox, path: str, params: str) -> None:
    key = f"mismatch-{path}-{params}"
    sandbox.raw("POST", CUSTOMERS, "email=m@example.com", key)
    refused = sandbox.raw("POST", path, params, key)
    assert (refused.status, refused.error["type"]) == (400, "idempotency_error")


def test_the_same_parameters_at_another_address_are_another_request(sandbox: Sandbox) -> None:
    sandbox.raw("POST", CUSTOMERS, "name=x", "address-1")
    refused = sandbox.raw("POST", "/v1/products", "name=x", "address-1")
    assert (refused.status, refused.error["type"]) == (400, "idempotency_error")


def test_a_refused_validation_is_not_kept(sandbox: Sandbox) -> None:
    wrong = sandbox.raw("POST", CUSTOMERS, "colour=red", "validation-1")
    assert (wrong.status, wrong.error["code"]) == (400, "parameter_unknown")
    assert "Stripe-Should-Retry" not in wrong.headers
    assert sandbox.raw("POST", CUSTOMERS, "email=v@example.com", "validation-1").status == 200


def test_a_decline_is_kept_and_the_card_is_not_charged_again(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    path = f"/v1/invoices/{sub.latest_invoice}/pay"
    before = len(sandbox.charges(sub.customer))
    first = sandbox.raw("POST", path, "", "decline-1")
    again = sandbox.raw("POST", path, "", "decline-1")
    assert (first.status, again.status) == (402, 402)
    assert first.headers["Stripe-Should-Retry"] == "false"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.error["decline_code"] == "generic_decline"
    assert len(sandbox.charges(sub.customer)) == before + 1


def test_a_500_after_the_effect_is_kept(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="applied_then_500")
    first = sandbox.raw("POST", CUSTOMERS, "email=five@example.com", "five-1")
    sandbox.control("trouble", api="normal")
    again = sandbox.raw("POST", CUSTOMERS, "email=five@example.com", "five-1")
    assert (first.status, again.status) == (500, 500)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(sandbox.api.customers.list({"email": "five@example.com"}).data) == 1


@pytest.mark.parametrize("trouble", ["error_500", "error_429"])
def test_a_request_that_never_ran_is_not_kept(sandbox: Sandbox, trouble: str) -> None:
    sandbox.control("trouble", api=trouble)
    first = sandbox.raw("POST", CUSTOMERS, f"email={trouble}@example.com", trouble)
    sandbox.control("trouble", api="normal")
    assert first.status == int(trouble[-3:])
    assert sandbox.raw("POST", CUSTOMERS, f"email={trouble}@example.com", trouble).status == 200
    assert len(sandbox.api.customers.list({"email": f"{trouble}@example.com"}).data) == 1


def test_a_lost_answer_is_found_again_by_its_key(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="lost_answer")
    with pytest.raises(OSError, match=r"."):
        sandbox.raw("POST", CUSTOMERS, "email=lost@example.com", "lost-1")
    sandbox.control("trouble", api="normal")
    again = sandbox.raw("POST", CUSTOMERS, "email=lost@example.com", "lost-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    (only,) = sandbox.api.customers.list({"email": "lost@example.com"}).data
    assert again.json["id"] == only.id


def test_a_second_request_while_the_first_runs_gets_409(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="hang")
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(sandbox.raw("POST", CUSTOMERS, "email=race@example.com", "race-1"))

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    second.start()
    eventually(lambda: answers, "one of the two is refused")
    assert (answers[0].status, answers[0].error["code"]) == (409, "idempotency_key_in_use")
    sandbox.control("trouble", api="normal")
    first.join()
    second.join()
    assert answers[1].status == 200
    assert len(sandbox.api.customers.list({"email": "race@example.com"}).data) == 1


def test_a_key_is_forgotten_after_a_day(sandbox: Sandbox) -> None:
    first = sandbox.raw("POST", CUSTOMERS, "email=old@example.com", "old-1")
    sandbox.control("idempotency/age", seconds=86401)
    again = sandbox.raw("POST", CUSTOMERS, "email=old@example.com", "old-1")
    assert again.status == 200
    assert again.json["id"] != first.json["id"]
    assert "Idempotent-Replayed" not in again.headers


def test_reads_and_deletes_ignore_keys(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    assert "Idempotency-Key" not in sandbox.raw("GET", f"{CUSTOMERS}/{customer.id}", key="get-1").headers
    first = sandbox.raw("DELETE", f"{CUSTOMERS}/{customer.id}", key="delete-1")
    assert (first.status, sandbox.raw("DELETE", f"{CUSTOMERS}/{customer.id}", key="delete-1").status) == (
        200,
        404,
    )
    assert first.headers["Idempotency-Key"] == "delete-1"
    assert "Original-Request" not in first.headers


def test_a_key_has_up_to_255_characters(sandbox: Sandbox) -> None:
    assert sandbox.raw("POST", CUSTOMERS, "email=k@example.com", "k" * 255).status == 200
    assert sandbox.raw("POST", CUSTOMERS, "email=k@example.com", "k" * 256).status == 400


def test_events_name_the_request_and_its_key(sandbox: Sandbox) -> None:
    made = sandbox.raw("POST", CUSTOMERS, "email=named@example.com", "named-1")
    (event,) = sandbox.events(about=made.json["id"])
    assert event["request"] == {"id": made.headers["Request-Id"], "idempotency_key": "named-1"}


def test_effect_and_record_survive_a_kill_together(own_sandbox: Sandbox) -> None:
    session = own_sandbox.session()
    assert own_sandbox.card(session.url, GENERIC).status == 422
    first = own_sandbox.raw("POST", CUSTOMERS, "email=kill@example.com", "kill-1")
    own_sandbox.control("trouble", api="hang")
    hanging = threading.Thread(target=_ask_in_vain, args=(own_sandbox,))
    hanging.start()
    eventually(lambda: own_sandbox.look("trouble")["api"] == "hang", "the trouble is on")
    own_sandbox.stop(signal.SIGKILL)
    hanging.join()
    own_sandbox.start()
    own_sandbox.control("trouble", api="normal")
    again = own_sandbox.raw("POST", CUSTOMERS, "email=kill@example.com", "kill-1")
    assert again.json["id"] == first.json["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert own_sandbox.api.customers.list({"email": "vain@example.com"}).data == []
    assert own_sandbox.raw("POST", CUSTOMERS, "email=vain@example.com", "kill-2").status == 200
    assert own_sandbox.card(session.url).status == 303


def test_an_effect_whose_answer_a_kill_prevented_is_found_by_its_key(own_sandbox: Sandbox) -> None:
    own_sandbox.control("trouble", api="slow", slow_seconds=30, api_method="POST")
    waiting = threading.Thread(target=_ask_in_vain, args=(own_sandbox,))
    waiting.start()
    eventually(
        lambda: own_sandbox.api.customers.list({"email": "vain@example.com"}).data,
        "the effect, not yet the answer",
    )
    own_sandbox.stop(signal.SIGKILL)
    waiting.join()
    own_sandbox.start()
    own_sandbox.control("trouble", api="normal")
    again = own_sandbox.raw("POST", CUSTOMERS, "email=vain@example.com", "kill-2")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    (only,) = own_sandbox.api.customers.list({"email": "vain@example.com"}).data
    assert again.json["id"] == only.id


def test_a_request_that_met_another_with_its_key_is_not_kept_itself(sandbox: Sandbox) -> None:
    sandbox.control("trouble", api="slow", slow_seconds=2, times=1)
    answers: list[Answer] = []
    first = threading.Thread(
        target=lambda: answers.append(sandbox.raw("POST", CUSTOMERS, "email=met@example.com", "met-1"))
    )
    first.start()
    eventually(
        lambda: sandbox.api.customers.list({"email": "met@example.com"}).data, "the first is under way"
    )
    assert sandbox.raw("POST", CUSTOMERS, "email=met@example.com", "met-1").status == 409
    first.join()
    again = sandbox.raw("POST", CUSTOMERS, "email=met@example.com", "met-1")
    assert (answers[0].status, again.status, again.json["id"]) == (200, 200, answers[0].json["id"])


def _ask_in_vain(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match=r"."):
        sandbox.raw("POST", CUSTOMERS, "email=vain@example.com", "kill-2")
