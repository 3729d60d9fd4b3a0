"""A cable between two programs, byte by byte: it can be slow, hold everything back, or lose one answer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Cable:
    """A port of this machine that leads to another one. Everything passes until a test says otherwise.

    ``delay``: seconds before each answer is passed on. ``hold()``: nothing passes, in either direction, until
    ``let_go()``; ``hold_at``: so it is from the answer to these bytes on. ``lose``: the server gets what contains
    these bytes and answers it, and then the cable breaks.
    """

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.lose: bytes | None = None
        self.lost = 0
        self.hold_at: bytes | None = None
        self._target = port
        self._flows = threading.Event()
        self._flows.set()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def hold(self) -> None:
        self._flows.clear()

    def let_go(self) -> None:
        self._flows.set()

    def __enter__(self) -> Cable:
        self._start(self._accept)
        return self

    def __exit__(self, *problem: object) -> None:
        self._flows.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        _cut(*self._ends)
        for thread in self._threads[1:]:
            thread.join()
        for end in (*self._ends, self._socket):
            end.close()

    def _start(self, work: object, *about: object) -> None:
        thread = threading.Thread(target=work, args=about)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:  # the end of the test
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [near, far]
            breaks = threading.Event()
            self._start(self._there, near, far, breaks)
            self._start(self._back, near, far, breaks)

    def _there(self, near: socket.socket, far: socket.socket, breaks: threading.Event) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                self._flows.wait()
                if self.lose and self.lose in data:
                    breaks.set()
                if self.hold_at and self.hold_at in data:
                    self.hold()
                far.sendall(data)
        _cut(near, far)

    def _back(self, near: socket.socket, far: socket.socket, breaks: threading.Event) -> None:
        with suppress(OSError):
            while data := far.recv(65536):
                self._flows.wait()
                if breaks.is_set():
                    self.lost += 1
                    break
                time.sleep(self.delay)
                near.sendall(data)
        _cut(near, far)


def _cut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):  # the other one may have hung up first
            end.shutdown(socket.SHUT_RDWR)
