"""The one fault proxy: a cable between two programs, byte by byte, and whatever may be wrong with it.

It knows no protocol, so it stands at each of the four doors: PostgreSQL, Redis, SMTP and Stripe. (``wire.py`` reads
HTTP, and ``smtp.py`` speaks SMTP: they are for what the other side says.)
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

ASKED, ANSWERED = "asked", "answered"
REFUSE, HANG, DELAY = "refuse", "hang", "delay"
CUT_ASKED, CUT_ANSWERED, LOSE = "cut what is asked", "cut the answer", "cut after the effect"
FAULTS = (REFUSE, HANG, DELAY, CUT_ASKED, CUT_ANSWERED, LOSE)


@dataclass(frozen=True)
class _Strike:
    """A fault that waits for its place: the number of a byte in its direction, or bytes that are said there."""

    fault: str
    at: int | bytes
    seconds: float | None

    @property
    def side(self) -> str:
        return ANSWERED if self.fault == CUT_ANSWERED else ASKED


class _Line:
    """One connection: both of its ends. ``loses``: the next answer is lost."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far, self.loses = near, far, False

    def cut(self) -> None:
        for end in (self.near, self.far):
            with suppress(OSError):  # the other one may have hung up first
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.near.close()
        self.far.close()


class Cable:
    """A port of this machine that leads to another one. Everything passes until a test says otherwise.

    ``passed``: how many bytes went each way so far. ``struck``: whether the fault that was asked for has come.
    ``lost``: answers that nobody heard. ``delay``: seconds before each answer is passed on.
    """

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self.lost = 0
        self.struck = False
        self.passed = {ASKED: 0, ANSWERED: 0}
        self._target = target
        self._strike: _Strike | None = None
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._lines: list[_Line] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        # It keeps the port ours while nobody listens there; then whoever comes is refused.
        self._place = _bound(0)
        self.port = int(self._place.getsockname()[1])

    def strike(self, fault: str, at: int | bytes, seconds: float | None = None) -> None:
        """Have this fault once, where the ``at``-th byte from now on passes, or where these bytes are said.

        REFUSE: all connections break, and new ones are refused. HANG: what is asked there arrives, and from then on
        nothing passes either way, for ``seconds`` if given. DELAY: from there on each answer comes ``seconds`` late.
        CUT_ASKED, CUT_ANSWERED: the connection breaks after that byte. LOSE: what is asked there arrives and is
        done, and its answer is lost with the connection. ``mend`` ends what lasts.
        """
        with self._lock:
            self.struck = False
            self._strike = _Strike(fault, at, seconds)
            if isinstance(at, int):
                self._strike = _Strike(fault, self.passed[self._strike.side] + at, seconds)

    def mend(self) -> None:
        """Everything passes again."""
        with self._lock:
            self._strike = None
        self.delay = 0.0
        self._flows.set()
        self._listen()

    def hold(self) -> None:
        """Nothing passes, in either direction, until ``mend``."""
        self._flows.clear()

    def refuse(self) -> None:
        """Whoever is connected is cut off, and nobody is let in until ``mend``."""
        self._deaf()
        for line in list(self._lines):
            line.cut()

    def __enter__(self) -> Cable:
        self._listen()
        return self

    def __exit__(self, *problem: object) -> None:
        self._flows.set()
        self.refuse()
        for thread in self._threads:
            thread.join()
        for line in self._lines:
            line.close()
        self._place.close()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(128)
            self._start(self._accept, self._listener)

    def _deaf(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits there
            listener.close()

    def _start(self, work: Callable[..., None], *about: object) -> None:
        thread = threading.Thread(target=work, args=about)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # nobody is let in any more
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # nobody is there
                near.close()
                continue
            line = _Line(near, far)
            self._lines.append(line)
            self._start(self._carry, line, ASKED, near, far)
            self._start(self._carry, line, ANSWERED, far, near)

    def _carry(self, line: _Line, side: str, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if side == ANSWERED:
                    if line.loses:
                        self.lost += 1
                        break
                    time.sleep(self.delay)
                strike, before = self._meets(side, data)
                if strike is None:
                    target.sendall(data)
                elif not self._suffers(strike, line, target, data, before):
                    break
        line.cut()

    def _meets(self, side: str, data: bytes) -> tuple[_Strike | None, int]:
        """The fault that strikes at these bytes, if one does, and how many had passed before them."""
        with self._lock:
            before, strike = self.passed[side], self._strike
            self.passed[side] += len(data)
            if strike is None or strike.side != side:
                return None, before
            here = strike.at in data if isinstance(strike.at, bytes) else strike.at < self.passed[side]
            if here:
                self._strike, self.struck = None, True
            return (strike if here else None), before

    def _suffers(self, strike: _Strike, line: _Line, target: socket.socket, data: bytes, before: int) -> bool:
        """Whether the connection lives on."""
        if strike.fault == REFUSE:
            self.refuse()
            return False
        if strike.fault in (CUT_ASKED, CUT_ANSWERED):
            passes = strike.at - before if isinstance(strike.at, int) else len(data)
            target.sendall(data[:passes])
            return False
        if strike.fault == HANG:
            self.hold()
        if strike.fault == DELAY:
            self.delay = strike.seconds or 0.0
        line.loses = strike.fault == LOSE
        target.sendall(data)
        if strike.fault == HANG and strike.seconds is not None:
            self._flows.wait(strike.seconds)
            self._flows.set()
        return True


def _bound(port: int) -> socket.socket:
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    end.bind(("127.0.0.1", port))
    return end
