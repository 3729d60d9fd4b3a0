"""The comparison of everything that left: it sees what is wrong, and this run's sandboxes are read by it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sandbox.house import API_VERSION
from tests.sandbox.engine.driver import Endpoint, Sandbox, eventually
from tests.sandbox.traffic import Traffic, wrong

Json = dict[str, Any]


def recorded(
    folder: Path, body: Json, kind: str = "answer", status: int = 200, version: str = API_VERSION
) -> Path:
    file = folder / "record.jsonl"
    entry = {"kind": kind, "api_version": version, "path": "POST /v1/x", "status": status, "body": body}
    file.write_text(json.dumps(entry) + "\n")
    return file


def newest(sandbox: Sandbox) -> Json:
    event: Json = sandbox.api.events.list({"limit": 1}).data[0].to_dict(for_json=True)
    return event


def test_this_runs_answers_events_and_deliveries_are_written_down(
    sandbox: Sandbox, endpoint: Endpoint, tmp_path: Path
) -> None:
    record = Path(os.environ["SANDBOX_RECORD"])
    before = record.stat().st_size
    customer = sandbox.customer("recorded@example.com").id
    since = tmp_path / "since.jsonl"

    def kinds() -> set[str]:
        with record.open() as file:
            file.seek(before)
            since.write_text(file.read())
        entries = [json.loads(text) for text in since.read_text().splitlines() if customer in text]
        return {entry["kind"] for entry in entries}

    eventually(lambda: kinds() == {"answer", "event", "webhook"}, "all three are recorded")
    traffic = Traffic()
    assert traffic.read(since) == []
    assert traffic.looked > 0


@pytest.mark.parametrize("kind", ["answer", "webhook"])
def test_a_field_too_much_too_few_or_of_another_type_is_seen(
    sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    about = sandbox.customer().to_dict(for_json=True)
    about["colour"] = "red"
    about["created"] = "today"
    del about["livemode"]
    event = {**newest(sandbox), "type": "customer.created", "data": {"object": about}}
    body = about if kind == "answer" else event
    found = wrong(recorded(tmp_path, body, kind))
    prefix = "customer.created: " if kind == "webhook" else ""
    assert {each for each in found if "Stripe's sample has it" not in each} == {
        f"{prefix}customer.colour: unknown to the SDK",
        f"{prefix}customer.created: 'today' is not int",
        f"{prefix}customer.livemode: missing",
    }


def test_an_event_with_an_expanded_reference_is_seen(sandbox: Sandbox, tmp_path: Path) -> None:
    customer = sandbox.customer().to_dict(for_json=True)
    sub = sandbox.subscriber().to_dict(for_json=True) | {"customer": customer}
    event = {**newest(sandbox), "type": "customer.subscription.updated", "data": {"object": sub}}
    event["data"]["previous_attributes"] = {"hue": 1}
    assert wrong(recorded(tmp_path, sub)) == []
    assert wrong(recorded(tmp_path, event, "webhook")) == [
        "customer.subscription.updated: subscription.customer: expanded",
        "customer.subscription.updated: subscription.previous_attributes.hue: unknown",
    ]


def test_lists_deleted_objects_and_errors_are_read_too(tmp_path: Path) -> None:
    error = {"type": "api_error", "message": "No", "hint": "Yes"}
    deleted = {"id": "cus_1", "object": "customer", "deleted": True, "email": None}
    listed = {"object": "list", "url": "/v1/customers", "has_more": False, "page": 1, "data": [deleted]}
    assert wrong(recorded(tmp_path, {"error": error}, status=402)) == [
        "error.hint: unknown to the SDK",
        "error.type: 'api_error' with 402",
    ]
    assert wrong(recorded(tmp_path, listed)) == [
        "deleted customer.email: too much",
        "list.page: unknown to lists",
    ]
    assert wrong(recorded(tmp_path, {"id": "x", "object": "unicorn"})) == [
        "unicorn: no such object in the SDK"
    ]


def test_what_was_rendered_for_an_older_version_is_left_to_its_own_tests(tmp_path: Path) -> None:
    assert wrong(recorded(tmp_path, {"id": "x", "object": "unicorn"}, version="2024-06-20")) == []
