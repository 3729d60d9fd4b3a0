"""An SMTP server that misbehaves at the step that a test names: refuses, hangs up, or never answers."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

HANG_UP = "hang up"
STALL = "never answer"
END = "."  # the end of the message
GREETING = "220"
FINE = {"DATA": "354 Go on", GREETING: "220 here"}


class SmtpTrouble:
    """``replies``: what is said at a step (GREETING, EHLO, MAIL, RCPT, DATA, END) instead of yes.

    ``heard``: the commands that came. ``wrap``: what is done with a connection first, such as TLS.
    ``taken``: messages handed over. ``kept``: those of them that were not refused, so that they may be delivered.
    """

    def __init__(self) -> None:
        self.replies: dict[str, str] = {}
        self.taken: list[bytes] = []
        self.kept: list[bytes] = []
        self.heard: list[str] = []
        self.wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain
        self._server = _Server(("127.0.0.1", 0), _Conversation)
        self._server.trouble = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> SmtpTrouble:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    trouble: SmtpTrouble

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        return self.trouble.wrap(plain), address


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        if not self._answer(GREETING):
            return
        while line := self.rfile.readline():
            verb = line.decode().strip().partition(" ")[0].partition(":")[0].upper()
            self.server.trouble.heard.append(verb)
            if not self._answer(verb):
                return
            if verb == "STARTTLS":
                self._say("and no TLS follows")
                return
            if verb == "DATA" and "DATA" not in self.server.trouble.replies:
                self.server.trouble.taken.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                if self.server.trouble.replies.get(END, HANG_UP) in (HANG_UP, STALL):
                    self.server.trouble.kept.append(self.server.trouble.taken[-1])
                if not self._answer(END):
                    return

    def _answer(self, step: str) -> bool:
        """Whether the conversation goes on."""
        reply = self.server.trouble.replies.get(step, FINE.get(step, "250 yes"))
        if reply == STALL:
            self.rfile.read()  # until the other side is gone
        if reply in (HANG_UP, STALL):
            return False
        self._say(reply)
        return True

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
