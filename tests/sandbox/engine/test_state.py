"""The memory as a whole: forgotten, saved, loaded, and how a process begins anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.engine.driver import ROOT, Endpoint, Sandbox, eventually


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of this file's own: it is emptied."""
    running = Sandbox(tmp_path_factory.mktemp("state"))
    yield running
    assert running.stop() == 0


def emails(sandbox: Sandbox) -> list[str | None]:
    return [each.email for each in sandbox.api.customers.list().data]


def test_a_reset_forgets_everybody_and_every_setting(house: Sandbox) -> None:
    house.customer()
    house.control("settings", retry_end="unpaid")
    house.control("trouble", delivery="hold")
    account = house.api.accounts.retrieve_current().id
    house.control("state/reset")
    assert (emails(house), house.types()) == ([], [])
    assert house.look("settings")["retry_end"] == "cancel"
    assert house.look("trouble")["delivery"] == "normal"
    assert house.api.accounts.retrieve_current().id != account


def test_a_saved_state_comes_back_with_what_it_owed(house: Sandbox) -> None:
    house.control("state/reset")
    hook = Endpoint()
    house.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["*"]})
    house.control("trouble", delivery="hold")
    house.customer("kept@example.com")
    assert house.raw("POST", "/v1/customers", "email=key@example.com", "kept-1").status == 200
    assert house.control("state/save", name="two-people")["saved"] == ["two-people"]
    house.customer("later@example.com")
    house.control("state/load", name="two-people")
    assert emails(house) == ["key@example.com", "kept@example.com"]
    again = house.raw("POST", "/v1/customers", "email=key@example.com", "kept-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    house.control("trouble", delivery="normal")
    eventually(lambda: len(hook.got) == 2, "what was owed when it was saved is delivered")
    hook.close()


def test_saving_again_under_a_name_replaces_it(house: Sandbox) -> None:
    for email in ("one@example.com", "two@example.com"):
        house.control("state/reset")
        house.customer(email)
        house.control("state/save", name="again")
    house.control("state/reset")
    house.control("state/load", name="again")
    assert emails(house) == ["two@example.com"]
    assert house.look("state")["saved"].count("again") == 1


@pytest.mark.parametrize("name", ["../x", "", "Name", "a b", "a" * 61])
def test_a_state_has_a_plain_name(house: Sandbox, name: str) -> None:
    for act in ("save", "load"):
        assert house.http("POST", f"/sandbox/state/{act}", f'{{"name": "{name}"}}').status == 400


def test_what_was_never_saved_is_not_there(house: Sandbox) -> None:
    assert house.http("POST", "/sandbox/state/load", '{"name": "nothing"}').status == 404


def test_the_option_to_begin_anew_keeps_saved_states(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.customer("gone@example.com")
    sandbox.control("state/save", name="before")
    sandbox.stop()
    port = str(sandbox.port)
    command = [sys.executable, "-m", "sandbox", "--port", port, "--data", str(tmp_path), "--reset"]
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    sandbox.process = process
    eventually(sandbox._answers, "it answers again")
    assert emails(sandbox) == []
    assert sandbox.look("state")["saved"] == ["before"]
    process.terminate()
    assert process.wait(timeout=20) == 0
