"""Clients that hold on to a connection, more of them than the web process has threads: the intake goes on."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from flask import Flask

from tests.intake import PATH, RECEIVED, paid
from tests.served import Served, served
from tests.support import signed

CLIENTS = 16
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n".encode()
DRIPS: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "nothing": (b"", lambda _: b""),
    "half a head, and no more": (HEAD, lambda _: b""),
    "a head byte by byte": (HEAD, lambda _: b"a"),
    "a head line by line": (HEAD, lambda number: b"X-Line-%d: 1\r\n" % number),
    "half a body, and no more": (HEAD + b"Content-Length: 9000\r\n\r\n{", lambda _: b""),
    "a body byte by byte": (HEAD + b"Content-Length: 900000\r\n\r\n{", lambda _: b" "),
    "chunks without end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", lambda _: b"1\r\n \r\n"),
}


@pytest.fixture(scope="module")
def web(app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process, as the Procfile starts it: 8 threads."""
    with served(app.extensions["config"], tmp_path_factory.mktemp("web"), workers=1) as running:
        yield running


@contextmanager
def stalled(web: Served) -> Iterator[list[socket.socket]]:
    """So many clients, of every kind in turn, which go on dripping while the block runs."""
    over = threading.Event()
    with ExitStack() as stack:
        clients = []
        for (begin, drip), _ in zip(itertools.cycle(DRIPS.values()), range(CLIENTS), strict=False):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            client.sendall(begin)
            clients.append((client, drip))

        def work() -> None:
            number = 0
            while not over.wait(0.1):
                number += 1
                for client, drip in clients:
                    with suppress(OSError):  # the server hung up: what it is here for
                        client.sendall(drip(number))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield [client for client, _ in clients]
        finally:
            over.set()
            thread.join()


def delivered(web: Served) -> int:
    return web.deliver(json.dumps(paid()).encode()).status


def test_clients_that_never_finish_what_they_say_do_not_stop_the_intake(web: Served) -> None:
    with stalled(web) as clients:
        assert [delivered(web) for _ in range(3)] == [200] * 3
        for client in clients:
            client.settimeout(60)
            with suppress(ConnectionResetError):
                while client.recv(4096):  # until the server has hung up
                    pass


def test_clients_that_do_not_hang_up_after_their_answer_do_not_stop_the_intake(web: Served) -> None:
    request = HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    with ExitStack() as stack:
        clients = []
        for _ in range(2 * CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=30))
            client.sendall(request)
            clients.append(client)
        assert delivered(web) == 200
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a_connection_that_stripe_keeps_open_takes_one_delivery_after_the_other(web: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)) as connection:
        for _ in range(3):
            body = json.dumps(paid()).encode()
            connection.request("POST", PATH, body, {"Stripe-Signature": signed(body, web.secret)})
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == (200, RECEIVED)
            assert connection.sock is not None, "the server hung up"
