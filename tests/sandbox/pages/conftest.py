"""A sandbox of its own for these tests, as people run it, and a shop that is its customer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import free_port
from tests.sandbox.pages.shop import Shop
from tests.support import Sandbox, wait_until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def pages_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--data", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    running = Sandbox(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: running.answers() or process.poll() is not None, "the sandbox to answer")
        assert process.poll() is None, (folder / "log").read_text()
        yield running.url
    finally:
        process.terminate()
        process.wait(timeout=20)
    log_text = (folder / "log").read_text()
    assert "Traceback" not in log_text, log_text


@pytest.fixture
def shop(pages_address: str) -> Iterator[Shop]:
    """A shop with no webhook endpoint; trouble, settings and endpoints are gone again afterwards."""
    shop = Shop(pages_address)
    yield shop
    shop.control("trouble", delivery="normal", api="normal")
    shop.control("settings", retry_end="cancel")
    for endpoint in shop.client.v1.webhook_endpoints.list().data:
        shop.client.v1.webhook_endpoints.delete(endpoint.id)
