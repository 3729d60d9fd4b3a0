"""An SMTP server that is away now and then, and what it took."""

from __future__ import annotations

import threading
from collections import Counter

from local.mailsink import ACCEPTED, Received, SmtpServer
from local.ports import LOOPBACK, free_port


class Post:
    """``taken``: how often each message was taken, by its id."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._server: SmtpServer | None = None

    @property
    def url(self) -> str:
        return f"smtp://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Post:
        self.open()
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def open(self) -> None:
        """Listen, where it does not yet."""
        self._server = self._server or SmtpServer(self._keep, self.port)

    def close(self) -> None:
        """Nobody listens any more, and conversations break off where they are."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _keep(self, received: Received) -> str:
        with self._guard:
            self.taken["".join(str(received.message["Message-ID"]).split())] += 1
        return ACCEPTED
