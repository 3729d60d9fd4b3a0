"""The intake without its bell: the row is the job, so a Redis that is away, hung or talking nonsense costs nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing.config import Config
from tests.intake import RECEIVED, another_app, emptied, paid, stored, the_row
from tests.support import deliver
from tests.watching import Lines


class Port:
    """A port where Redis should be. It says ``reply`` to whatever it is sent; None: it hangs, "": it hangs up.

    ``asked``: what ``look`` gave, each time that somebody connected.
    """

    def __init__(self, reply: str | None, look: Callable[[], Any] = lambda: None) -> None:
        self.asked: list[Any] = []
        self._reply, self._look = reply, look
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"

    def __enter__(self) -> Port:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed at the end of the test
                return
            with connection:
                self.asked.append(self._look())
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while self._reply != "" and connection.recv(65536):
            if self._reply is not None:
                connection.sendall(self._reply.encode())


@pytest.fixture
def config(app: Flask, db_session: Session) -> Config:
    emptied(db_session)
    found: Config = app.extensions["config"]
    return found


@contextmanager
def ringing(config: Config, redis_url: str) -> Iterator[Flask]:
    """The application with its real bell, at this address."""
    with another_app(replace(config, redis_url=redis_url)) as application:
        yield application
        application.extensions["bell"].connection.close()


def assert_taken(app: Flask, event: dict[str, Any]) -> None:
    with Lines() as log:
        answer = deliver(app, event)
    assert (answer.status_code, answer.get_json()) == (200, RECEIVED)
    assert the_row(event).state == "pending"
    assert [json.loads(line)["what"] for line in log.lines] == ["bell not rung"]


def test_without_redis_an_event_is_taken_and_waits_in_the_database(config: Config) -> None:
    with ringing(config, "redis://127.0.0.1:1/0") as app:
        assert_taken(app, paid())


def test_the_event_is_safe_before_a_hung_redis_is_asked(config: Config) -> None:
    event = paid()
    with Port(None, look=lambda: stored(config, event)) as redis, ringing(config, redis.url) as app:
        assert_taken(app, event)
    assert redis.asked == [1]


ANSWERS = {
    "hangs up": "",
    "is full": "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "is starting": "-LOADING Redis is loading the dataset in memory\r\n",
    "is a replica": "-READONLY You can't write against a read only replica.\r\n",
    "wants a password": "-NOAUTH Authentication required.\r\n",
    "is a web server": "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_redis_that_answers_with_trouble_costs_no_event(config: Config, name: str) -> None:
    with Port(ANSWERS[name]) as redis, ringing(config, redis.url) as app:
        assert_taken(app, paid())
    assert redis.asked, "Redis was not asked"


def test_a_redis_that_does_not_speak_tls_costs_no_event(config: Config) -> None:
    with Port("") as redis, ringing(config, redis.url.replace("redis:", "rediss:")) as app:
        assert_taken(app, paid())
    assert redis.asked, "Redis was not asked"


def test_redis_is_not_asked_for_what_is_known_or_not_acted_on(config: Config) -> None:
    event = paid()
    with ringing(config, "redis://127.0.0.1:1/0") as app:
        assert_taken(app, event)
    with Port(None) as redis, ringing(config, redis.url) as app:
        for again in (event, paid(type="nobody.knows_this")):
            answer = deliver(app, again)
            assert (answer.status_code, answer.get_json()) == (200, RECEIVED)
    assert redis.asked == []
