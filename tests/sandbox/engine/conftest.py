"""One sandbox for the whole folder; what leaves it is compared with the SDK's types when the tests are over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.engine.driver import Endpoint, Sandbox


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    assert running.stop() == 0
    undone = [line for line in (running.data / "log").read_text().splitlines() if "is left undone" in line]
    assert undone == []


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, calm again after each test."""
    shared_sandbox.begun = shared_sandbox.mark()
    yield shared_sandbox
    shared_sandbox.control("trouble", delivery="normal", api="normal", api_path="/v1/")
    shared_sandbox.control("settings", retry_end="cancel")


@pytest.fixture
def endpoint(sandbox: Sandbox) -> Iterator[Endpoint]:
    """A webhook endpoint that is sent everything; `endpoint.secret` checks it."""
    hook = Endpoint()
    made = sandbox.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["*"]})
    hook.id, hook.secret = made.id, str(made.secret)  # type: ignore[attr-defined]
    yield hook
    sandbox.api.webhook_endpoints.delete(made.id)
    hook.close()
