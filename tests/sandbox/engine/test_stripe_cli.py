"""`stripe trigger` of the official CLI, run against the sandbox, for every event about billing that it knows.

The CLI sends no `Stripe-Version`, so each runs in the account's own version. Some of its scripts still send what
the present version no longer takes; Stripe would refuse them too, so those run in the last version that took it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import stripe

from local import stripe_cli
from tests.sandbox.engine.driver import KEY, Endpoint, Sandbox, eventually

CLI = stripe_cli.find()
ABOUT_BILLING = (
    "billing_portal. charge. checkout. coupon. customer. invoice. invoiceitem. payment_intent. payment_method."
    " plan. price. product. promotion_code. setup_intent. subscription. subscription_schedule."
    " test_helpers.test_clock."
).split()
# Names of the CLI that are no event types: what they bring about.
MEANS = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}
OLDER = "2025-02-24.acacia"
# What their scripts send, and Stripe took until then.
SCRIPTS_OF_OLDER_VERSIONS = {
    "payment_method_types": (
        "charge.captured charge.dispute.closed charge.dispute.created charge.dispute.updated charge.failed"
        " charge.refund.updated charge.refunded charge.succeeded checkout.session.async_payment_failed"
        " checkout.session.async_payment_succeeded payment_intent.amount_capturable_updated"
        " payment_intent.created payment_intent.partially_funded payment_intent.payment_failed"
        " payment_intent.processing payment_intent.requires_action payment_intent.succeeded"
        " setup_intent.canceled setup_intent.created setup_intent.setup_failed setup_intent.succeeded"
    ),
    "coupon": (
        "customer.discount.created customer.discount.deleted customer.discount.updated promotion_code.created"
        " promotion_code.updated"
    ),
    "iterations": (
        "subscription_schedule.canceled subscription_schedule.completed subscription_schedule.created"
        " subscription_schedule.released subscription_schedule.updated"
    ),
}
IN_AN_OLDER_VERSION = {name for names in SCRIPTS_OF_OLDER_VERSIONS.values() for name in names.split()}
# Scripts that, by what Stripe says of the event, do not bring it about; test_schedules.py does.
NOT_BROUGHT_ABOUT = {
    "subscription_schedule.aborted": "the script cancels a schedule that has not begun",
    "subscription_schedule.expiring": "the script stops nine days before the end, and Stripe tells of it seven before",
}

needs_cli = pytest.mark.skipif(CLI is None, reason=f"the Stripe CLI {stripe_cli.why_not()}")


def _run(home: str | Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    return subprocess.run(
        [str(CLI), *words], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def triggers() -> list[str]:
    """The billing events that the installed CLI says it supports."""
    if CLI is None:
        return []
    with tempfile.TemporaryDirectory() as home:
        said = _run(home, "trigger", "--help").stdout
    listed = said.partition("Supported events:")[2].partition("Usage:")[0].split()
    return [name for name in listed if name.startswith(tuple(ABOUT_BILLING))]


@needs_cli
def test_the_cli_says_what_it_supports() -> None:
    assert {"charge.succeeded", "customer.subscription.created", "invoice.paid"} <= set(triggers())
    assert len(triggers()) >= 70


@needs_cli
@pytest.mark.parametrize("event", triggers())
def test_a_trigger_of_the_cli_brings_its_event_about(
    sandbox: Sandbox, endpoint: Endpoint, tmp_path: Path, event: str
) -> None:
    since = sandbox.mark()
    version = ["--api-version", OLDER] if event in IN_AN_OLDER_VERSION else []
    ran = _run(tmp_path, "trigger", event, "--api-base", sandbox.base, "--api-key", KEY, *version)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    wanted = MEANS.get(event, event)
    if event in NOT_BROUGHT_ABOUT:
        assert not _emitted(sandbox, since, wanted)
        return
    emitted = eventually(lambda: _emitted(sandbox, since, wanted), f"{wanted} is emitted")
    eventually(lambda: emitted & _delivered(endpoint), f"{wanted} is delivered")


@needs_cli
def test_only_events_that_the_cli_knows_are_excused() -> None:
    assert set(triggers()) >= IN_AN_OLDER_VERSION | set(NOT_BROUGHT_ABOUT)


def _emitted(sandbox: Sandbox, since: str | None, wanted: str) -> set[str]:
    return {event["id"] for event in sandbox.events(since) if event["type"] == wanted}


def _delivered(endpoint: Endpoint) -> set[str]:
    """Events whose deliveries carry a signature of this endpoint's secret."""
    found = set()
    for signature, body in [*endpoint.got]:
        event = stripe.Webhook.construct_event(body, signature, endpoint.secret)  # type: ignore[attr-defined]
        found.add(event.id)
    return found
