"""The worker that gunicorn runs (``Procfile``): no client holds one of its threads by being slow.

gunicorn's threaded worker waits without end for the rest of a request that was begun, keeps a thread for a
connection on which nothing was sent yet, and closes connections in the loop that accepts them, which waits
2 seconds for a client that does not close its own end. Eight such clients would stop the intake. Here a request
is read within ``SECONDS``, a silent connection costs no thread, and the loop never waits.

TLS and HTTP/2 end in front of Dunlin: this worker speaks plain HTTP/1.1.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from gunicorn import util
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

SECONDS = 5.0  # for the whole request, and for each part of the answer
LINGER = 1.0  # seconds for the client to close its end, so that the answer is not torn from it


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
