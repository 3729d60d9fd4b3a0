"""Machines whose clocks differ: an hour to either side changes no row, no deadline, no mail and no decision."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from billing.clock import now
from billing.extensions import db
from billing.models import Notice, StripeEvent
from tests import admin_rows
from tests.histories import about
from tests.processes import ROOT, running
from tests.story import Shopper, config_of, events, shopper
from tests.support import deliver, make_user

HALF_AN_HOUR = timedelta(minutes=30)

# Who reads this machine's clock, and why an hour more or less does no harm there.
BY_THIS_MACHINE = {
    "admin/runs.py": "whether a pass is shown as cut off",
    "checks/at_stripe.py": "to be compared with Stripe’s",
    "checks/endpoint.py": "what of the last day was not delivered, to be shown",
    "checks/parts.py": "to be compared with the database’s",
    "checks/settings.py": "whether an old secret has ended, to be shown",
    "auth.py": "how often a visit is written down, by the database's time",
    "comparing.py": "how many days back a list is asked for; what is compared in memory and never kept",
    "inbox.py": "what our own request for a look says of itself, which nobody reads",
    "ledger.py": "whether an invoice that Stripe has not tried yet is called open or coming",
    "lights.py": "to be compared with the database's",
    "mailer.py": "the Date of a message",
    "plan_change.py": "the second of a quote, which the person reads and agrees to",
    "practice.py": "in a transaction that is rolled back",
    "refresh.py": "which rows are a day old, to look at them anew",
    "rehearsal.py": "in a transaction that is rolled back",
    "sweep.py": "a cause without an event, whose moment nobody reads",
    "throttle.py": "windows of attempts may react",
    "web.py": "words like “5 minutes ago”",
    "webhooks.py": "when an old secret ends, like the tolerance of a signature",
}


@pytest.fixture
def waiting(desk: Flask) -> Shopper:
    """Somebody who has just paid; an event that fails, one that will be left, and a mail that nobody can write."""
    alice = shopper(desk)
    assert alice.pay(alice.order()).status == 303
    alice.sandbox.flush()
    deliver(desk, {**about(alice, "sub_unknown"), "id": "evt_fails"})
    deliver(desk, {**about(alice, "sub_unknown"), "id": "evt_left"})
    admin_rows.mail(db.session(), alice.user, kind="nothing", state="queued", sent_at=None)
    return alice


def on_grace(email: str, ends_in: timedelta) -> None:
    """A payment of theirs failed, so long ago that their days of grace end in so much time."""
    user = make_user(db.session(), email)
    failed = now() + ends_in - timedelta(days=14)
    admin_rows.subscription(db.session(), user, status="past_due", first_failed_at=failed)


def seconds_ahead(column: Any, *where: Any) -> float:
    ahead = func.extract("epoch", column - func.clock_timestamp())
    found = float(db.session.execute(select(ahead).where(*where)).scalar_one())
    db.session.rollback()
    return found


def test_nothing_is_decided_or_put_off_by_the_clock_of_one_machine() -> None:
    reading = re.compile(r"from billing.clock import .*\bnow\b|clock\.now\b|time\.time\(|datetime\.now\(")
    sources = [path for path in (ROOT / "billing").rglob("*.py") if path.name != "clock.py"]
    found = {str(path.relative_to(ROOT / "billing")) for path in sources if reading.search(path.read_text())}
    assert found - {"stripe_client.py"} <= set(BY_THIS_MACHINE), (
        "use clock.database_now or func.clock_timestamp()"
    )


@pytest.mark.parametrize("hours", [-1, 1], ids=["an hour behind", "an hour ahead"])
def test_a_process_whose_clock_is_wrong_does_what_every_other_one_does(
    desk: Flask, waiting: Shopper, hours: int
) -> None:
    on_grace("still@example.com", HALF_AN_HOUR)
    on_grace("over@example.com", -HALF_AN_HOUR)
    db.session.rollback()
    words = ["-m", "tests.skewed", str(hours * 3600), "still@example.com", "over@example.com"]
    with running(words, config_of(desk)) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output.decode()
    said = json.loads(output.decode().splitlines()[-1])
    # Decided: access by days of grace, and that the reconciler alone has not been seen.
    assert said["pages"] == {"still@example.com": 200, "over@example.com": 303}
    assert said["red"] == ["clock stopped", "reconciler late", "clock differs"]
    # Written: the plan, its time, and the receipt.
    assert (waiting.row.status, waiting.standing.code, waiting.mails()) == ("active", "active", ["receipt"])
    assert -60 < seconds_ahead(type(waiting.row).fetched_at, type(waiting.row).id == waiting.row.id) <= 0
    assert -60 < seconds_ahead(Notice.sent_at, Notice.kind == "receipt") <= 0
    # Put off: each deadline is where every other process looks for it.
    [failed] = events(event_id="evt_fails")
    assert (failed.state, failed.attempts) == (StripeEvent.PENDING, 1)
    assert -60 < seconds_ahead(StripeEvent.next_attempt_at, StripeEvent.event_id == "evt_fails") <= 5
    assert -60 < seconds_ahead(StripeEvent.lease_until, StripeEvent.event_id == "evt_left") - 40 <= 0
    assert -60 < seconds_ahead(Notice.next_attempt_at, Notice.kind == "nothing") - 60 <= 0
