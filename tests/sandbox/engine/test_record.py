"""The recording: every answer and every delivered event as one JSON line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.sandbox.engine.driver import Endpoint, Sandbox


def test_what_leaves_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "recording.jsonl"
    monkeypatch.setenv("SANDBOX_RECORD", os.fspath(kept))
    sandbox, hook = Sandbox(tmp_path / "data"), Endpoint()
    sandbox.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["*"]})
    customer = sandbox.customer()
    sandbox.raw("GET", "/v1/customers/cus_nobody")
    sandbox.control("deliveries/flush")
    assert sandbox.stop() == 0
    hook.close()
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    answers = [(each["path"], each["status"]) for each in lines if each["kind"] == "answer"]
    assert answers == [
        ("POST /v1/webhook_endpoints", 200),
        ("POST /v1/customers", 200),
        ("GET /v1/customers/cus_nobody", 404),
    ]
    (event,) = [each for each in lines if each["kind"] == "webhook"]
    assert (event["path"], event["status"]) == (hook.url, 200)
    assert event["body"] == hook.events()[0]
    assert {each["api_version"] for each in lines} == {"2026-10-28.endive"}
    assert customer.id in {each["body"].get("id") for each in lines}
