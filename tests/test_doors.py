"""At each of the four doors each fault, at a place of the whole way that the seed chooses; then calm, and all oracles.

Real PostgreSQL, Redis and SMTP, and the sandbox as Stripe, with the fault proxy (``cable.py``) before each of them.
``DOORS_SEED=5 pytest tests/test_doors.py`` chooses other places; what fails says its seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
import stripe

from billing import jobs, mailer, stripe_client, webhooks
from local.mailsink import MailSink
from tests import oracles
from tests.cable import ANSWERED, ASKED, CUT_ANSWERED, FAULTS
from tests.commands import own_redis
from tests.histories import sandbox_in
from tests.street import DATABASE, DOORS, REDIS, SMTP, STRIPE, Street, street
from tests.support import Databases

SEED = int(os.environ.get("DOORS_SEED", "1"))
# How long a door hangs, longer than whoever stands there waits, and how late it answers, in seconds.
HANGS = {DATABASE: 1.0, STRIPE: 2.5, REDIS: 1.5, SMTP: 1.0}
# How much of the way's bytes pass on every way; a bell is not rung where one waits, so of Redis' fewer do.
SURE = {DATABASE: 0.9, STRIPE: 0.9, REDIS: 0.4, SMTP: 0.9}
LATE = {DATABASE: 0.005, STRIPE: 0.1, REDIS: 0.3, SMTP: 0.1}


@pytest.fixture(scope="module")
def ours(
    databases: Databases, mail_sink: MailSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Street]:
    """People are as impatient as elsewhere, only sooner."""
    with (
        pytest.MonkeyPatch.context() as sooner,
        sandbox_in(tmp_path_factory.mktemp("sandbox")) as sandbox,
        own_redis(tmp_path_factory.mktemp("redis")) as redis,
    ):
        sooner.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
        sooner.setattr(stripe_client, "CONNECT_READ_TIMEOUT", (1, 1))
        sooner.setattr(mailer, "CONNECT_SECONDS", 0.5)
        sooner.setattr(webhooks, "ANSWER_WITHIN", 0.5)
        sooner.setattr(jobs, "fork_safe", lambda: None)
        with street(databases, mail_sink, sandbox, redis.port) as found:
            yield found


@pytest.fixture(scope="module")
def bytes_of_the_way(ours: Street) -> dict[str, dict[str, int]]:
    """How much passes each door on a whole way without trouble."""
    walker = ours.newcomer()
    before = ours.passed()
    walker.goes()
    after = ours.passed()
    ours.ask()
    return {door: {side: after[door][side] - before[door][side] for side in after[door]} for door in DOORS}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("door", DOORS)
def test_whatever_befalls_a_door_on_the_whole_way_everything_comes_to_rest_as_promised(
    ours: Street, bytes_of_the_way: dict[str, dict[str, int]], door: str, fault: str
) -> None:
    chance = random.Random(f"{SEED} {door} {fault}")
    side = ANSWERED if fault == CUT_ANSWERED else ASKED
    place = chance.randrange(int(bytes_of_the_way[door][side] * SURE[door]))
    ends_soon = chance.random() < 0.5
    told = f"DOORS_SEED={SEED}: {fault} at {door} after {place} bytes, ends {'soon' if ends_soon else 'late'}"
    walker, cable = ours.newcomer(), ours.cables[door]
    cable.strike(fault, place, {"hang": HANGS, "delay": LATE}.get(fault, {}).get(door))
    try:
        walker.goes(after_each=ours.trouble_ends if ends_soon else lambda: None)
        assert cable.struck
        cable.mend()
        ours.ask()
        assert walker.person.standing.code == "canceling"
        mails = sorted(
            ours.scene.rows("select kind, state from notices where user_id = %s", walker.person.id)
        )
        assert [kind for kind, _ in mails] == ["cancel_set", "receipt"]
        may_be = {"sent", "unknown"} if door in (SMTP, DATABASE) else {"sent"}
        assert {state for _, state in mails} <= may_be
    except BaseException as problem:
        problem.add_note(told)
        raise


def test_after_all_of_that_a_pass_of_the_reconciler_heals_nothing(ours: Street) -> None:
    ours.ask()
    ours.scene.ask(oracles.ALL)


# What is done to rows that are right, how it is taken back, and what an oracle must say of it.
DAMAGES = {
    "row": ("set quantity = quantity + 1", "set quantity = quantity - 1", "subscriptions", "Stripe has"),
    "access": ("set status = 'unpaid'", "set status = 'active'", "subscriptions", "has access: False"),
    "write": (
        "set idempotency_key = 'x' || idempotency_key",
        "set idempotency_key = substr(idempotency_key, 2)",
        "stripe_writes",
        "is no row's",
    ),
    "mail": (
        "set message_id = 'x' || message_id",
        "set message_id = substr(message_id, 2)",
        "notices",
        "a mail left that no row owes",
    ),
    "debt": (
        "set dedupe_key = 'x' || dedupe_key",
        "set dedupe_key = substr(dedupe_key, 2)",
        "notices",
        "no receipt was owed",
    ),
    "fence": (
        "set fetch_no = fetch_no - 1",
        "set fetch_no = fetch_no + 1",
        "invoices",
        "an older fence",
    ),
}


@pytest.mark.usefixtures("bytes_of_the_way")
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_oracles_see_rows_that_are_not_right(ours: Street, damage: str) -> None:
    harm, mend, table, said = DAMAGES[damage]
    ours.ask()
    ours.raw.execute(f"update {table} {harm}")
    try:
        with pytest.raises(AssertionError, match=said):
            ours.scene.ask()
    finally:
        ours.raw.execute(f"update {table} {mend}")
        ours.raw.execute("delete from watched.wrong")
    ours.scene.ask()
