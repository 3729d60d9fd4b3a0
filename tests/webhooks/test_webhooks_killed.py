"""``kill -9`` of the web process at each step of a delivery: nothing was promised, and one row is there in the end."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.engine import make_url

from billing.config import Config
from tests.cable import HANG, Cable
from tests.conftest import make_config
from tests.intake import connect, paid, stored, waiting_for_a_lock
from tests.served import Served, served
from tests.support import wait_until

LOCK = 17
Event = dict[str, Any]
Place = AbstractContextManager[Callable[[], object]]


@pytest.fixture(scope="module")
def cable(app: Flask) -> Iterator[Cable]:
    with Cable(make_url(app.extensions["config"].database_url).port or 5432) as found:
        yield found


@pytest.fixture(scope="module")
def web(app: Flask, cable: Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process; its database is at the other end of the cable."""
    url = make_url(app.extensions["config"].database_url)
    far = url.set(host="127.0.0.1", port=cable.port, drivername="postgresql")
    config = make_config(far.render_as_string(hide_password=False))
    with served(config, tmp_path_factory.mktemp("web"), workers=1) as running:
        yield running


@contextmanager
def standing_still(config: Config, trigger: str) -> Iterator[Callable[[], object]]:
    """The insert waits in the database for as long as it may, at this trigger."""
    with connect(config) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK])
        other.execute(
            "create function stand_still() returns trigger language plpgsql as $$ begin"
            " perform set_config('lock_timeout', '0', true);"
            f" perform pg_advisory_xact_lock({LOCK}); return new; end $$"
        )
        other.execute(f"create {trigger} for each row execute function stand_still()")
        try:
            yield lambda: waiting_for_a_lock(config)
        finally:
            other.execute("select pg_advisory_unlock(%s)", [LOCK])
            wait_until(lambda: not waiting_for_a_lock(config), "the insert to end")
            other.execute("drop function stand_still cascade")


def before_the_insert(config: Config, cable: Cable, event: Event) -> Place:
    return standing_still(config, "trigger stands before insert on stripe_events")


def before_the_commit(config: Config, cable: Cable, event: Event) -> Place:
    deferred = "constraint trigger stands after insert on stripe_events initially deferred"
    return standing_still(config, deferred)


@contextmanager
def after_the_commit(config: Config, cable: Cable, event: Event) -> Iterator[Callable[[], object]]:
    """The row is committed, and the process has not heard of it."""
    cable.strike(HANG, b"INSERT INTO stripe_events")
    try:
        yield lambda: stored(config, event)
    finally:
        cable.mend()


@pytest.mark.parametrize("step", [before_the_insert, before_the_commit, after_the_commit])
def test_a_web_process_that_is_killed_at_any_step_has_promised_nothing_and_left_one_row_in_the_end(
    config: Config, web: Served, cable: Cable, step: Callable[[Config, Cable, Event], Place]
) -> None:
    event = paid()
    body = json.dumps(event).encode()
    with ThreadPoolExecutor(1) as pool, step(config, cable, event) as there:
        answer = pool.submit(web.deliver, body)
        wait_until(lambda: there() or answer.done(), "the delivery to be there")
        web.kill()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            answer.result(30)
    if step is after_the_commit:
        assert stored(config, event) == 1
    assert web.deliver(body).status == 200
    assert stored(config, event) == 1
