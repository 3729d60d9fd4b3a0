"""A process is killed at every boundary of every flow: nothing that was promised is lost, nothing is done twice."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from flask import Flask

from local.mailsink import MailSink
from tests.commands import own_redis
from tests.deaths import Way
from tests.mortal import Nursery, nursery
from tests.ways import WAYS

TWICE = 1


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("nursery") / "log") as found:
        yield found


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with own_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis.url


def speaking_to_smtp(passed: list[str]) -> range:
    """From the commit of “sending” to the commit of “sent”: whoever dies there leaves a mail of unknown fate."""
    lines = [number for number, name in enumerate(passed) if name.endswith("SMTP")]
    return range(lines[0], lines[-1] + 2) if lines else range(0)


@pytest.mark.parametrize("kind", WAYS)
def test_a_process_that_is_killed_anywhere_on_its_way_leaves_nothing_undone_and_nothing_done_twice(
    desk: Flask, mails: MailSink, children: Nursery, redis_url: str, kind: type[Way]
) -> None:
    """Others who come later end at the same as if nobody had died, and every oracle is content. ``Way`` says what must
    be so besides."""
    way = kind(desk, mails, redis_url)
    calm, end = way.run(children, None)
    assert len(calm.passed) >= kind.boundaries
    window = speaking_to_smtp(calm.passed)
    for at, boundary in enumerate(calm.passed):
        life, found = way.run(children, at)
        assert life.killed
        assert found == end, f"killed at {at}, {boundary}"
        assert way.unknown == (at in window), f"killed at {at}, {boundary}"
    chance = random.Random(kind.__name__)
    for at in chance.sample(range(len(calm.passed)), TWICE):
        then = chance.randrange(8)
        _, found = way.run(children, at, then)
        assert found == end, f"killed at {at}, and whoever came next at {then}"
    way.look_once_more()
