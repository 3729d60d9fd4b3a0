"""The worker that gunicorn runs (``Procfile``): no client holds one of its threads by being slow.

gunicorn's threaded worker waits without end for the rest of a request that was begun, keeps a thread for a
connection on which nothing was sent yet, and closes connections in the loop that accepts them, which waits
2 seconds for a client that does not close its own end. Eight such clients would stop the intake. Here a request
is read within ``SECONDS``, a silent connection costs no thread, and the loop never waits.

What is no HTTP is refused with a bare 4xx. gunicorn would answer some of it 501 or 500, as if we had failed, and
quote it in the log: behind a wrong length that is the body of an event.

TLS and HTTP/2 end in front of Dunlin: this worker speaks plain HTTP/1.1.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

log = logging.getLogger(__name__)
SECONDS = 5.0  # for the whole request, and for each part of the answer
LINGER = 1.0  # seconds for the client to close its end, so that the answer is not torn from it

# What is said to a client that breaks HTTP's rules in one of these ways; in any other, 400.
REFUSALS = {
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
}
# An answer of ours that breaks them is our own mistake.
OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class Reader(SocketUnreader):
    """Reads one request after the other from a socket, each by its deadline."""

    def begin(self) -> None:
        self.deadline = monotonic() + SECONDS

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes. Raises NoMoreData when the request took too long, as when the client went away."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise NoMoreData
        self.sock.settimeout(left)
        try:
            return bytes(super().chunk(size_hint))
        except TimeoutError as problem:
            raise NoMoreData from problem
        finally:
            self.sock.settimeout(SECONDS)


class Connection(gthread.TConn):
    """A connection that is closed without waiting: a thread has waited for the client, the loop must not."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.parser = RequestParser(self.cfg, self.sock, self.client)
        self.parser.unreader = Reader(self.sock)

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002 the loop asks for it; a thread has done it
        util.close(self.sock)


class Worker(gthread.ThreadWorker):
    """gunicorn's threaded worker with such connections."""

    def accept(self, listener: Any) -> None:
        """As gunicorn's own, whose name for the connection's class can't be set."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process took it, or the client left
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))

    def handle(self, conn: Connection) -> Any:
        """Read and answer one request, in a thread."""
        if not conn.initialized and not conn.wait_for_data(0):
            return gthread._DEFER  # nothing was sent yet: the loop waits, and closes it in the end
        conn.parser.unreader.begin()
        keep = super().handle(conn)
        if not keep:
            util.close_graceful(conn.sock, timeout=LINGER)
        return keep

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Refuse what is no HTTP, and log which rule it breaks and nothing of what was sent."""
        if not isinstance(exc, errors.ParseException) or isinstance(exc, OURS):
            super().handle_error(req, client, addr, exc)
            return
        log.warning("not HTTP", extra={"reason": type(exc).__name__, "address": addr[0] if addr else ""})
        with suppress(OSError):  # the client may be gone
            util.write_error(client, *REFUSALS.get(type(exc), (400, "Bad Request")), "")
