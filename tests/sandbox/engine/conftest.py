"""One sandbox for the whole folder; what it emitted is compared with the SDK's types when the tests are over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.engine import shapes
from tests.sandbox.engine.driver import Endpoint, Json, Sandbox


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    wrong = [*wrong_shapes(running), *wrong_sums(running)]
    code = running.stop()
    assert code == 0
    assert wrong == []
    undone = [line for line in (running.data / "log").read_text().splitlines() if "is left undone" in line]
    assert undone == []


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, calm again after each test."""
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


def wrong_shapes(running: Sandbox) -> list[str]:
    """Every event and every listed object, compared; each kind of mistake once."""
    samples = shapes.samples()
    found: set[str] = set()
    for event in running.events():
        about = event["data"]["object"]
        upcoming = event["type"] == "invoice.upcoming"
        without = frozenset({"id", "hosted_invoice_url", "invoice_pdf"} if upcoming else ())
        found.update(shapes.problems(about, samples.get(about["object"]), without))
        found.update(shapes.unknown_keys(event["data"].get("previous_attributes") or {}, about["object"]))
        shell = {**event, "data": {"object": {}}}
        found.update(
            each for each in shapes.problems(shell, samples.get("event")) if "event.data" not in each
        )
    return sorted(found)


def wrong_sums(running: Sandbox) -> list[str]:
    """Every invoice that an event showed: lines, discounts, balance and payments must add up (facts 1.5)."""
    shown = [each for each in running.events() if each["data"]["object"]["object"] == "invoice"]
    return [
        f"{each['id']} {each['type']}: {what}" for each in shown for what in _sums(each["data"]["object"])
    ]


def _sums(invoice: Json) -> Iterator[str]:
    lines = invoice["lines"]["data"]
    off = sum(each["amount"] for line in lines for each in line["discount_amounts"])
    if not invoice["lines"]["has_more"] and sum(line["amount"] for line in lines) - off != invoice["total"]:
        yield "the lines less their discounts are not the total"
    if invoice["amount_paid"] + invoice["amount_remaining"] != invoice["amount_due"]:
        yield "paid and remaining are not what is due"
    used = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    if invoice["ending_balance"] is not None and invoice["total"] - invoice["amount_due"] != used:
        yield "total and balance are not what is due"
