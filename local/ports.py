"""TCP ports of 127.0.0.1: who has one, and which is free."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass

from local.errors import CannotStart

LOOPBACK = "127.0.0.1"
# Below the range from which the system picks ports for outgoing connections: none of them takes ours.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(preferred: str = "") -> int:
    """``preferred`` where it is a free port, else another one, which nobody else is given while this process lives.
    Raises CannotStart where none is left."""
    if preferred.isdecimal() and 1024 <= int(preferred) <= 65535 and is_free(int(preferred)):
        return int(preferred)
    for _ in range(200):
        port = random.SystemRandom().randrange(LOWEST, HIGHEST)
        if _hold(port):
            return port
    raise CannotStart("No free port was found on 127.0.0.1; end some programs and run again.")


def _hold(port: int) -> bool:
    """Until who is to listen there does, some seconds pass, in which another process would pick it too. Bound without
    SO_REUSEADDR it is this process's alone; with it from then on, servers, which all set it, may listen there."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((LOOPBACK, port))
    except OSError:
        held.close()
        return False
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.detach()  # it stays open, and nobody closes it
    return True


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ports:
    """The three ports that people open in a browser."""

    web: int
    sandbox: int
    inbox: int

    @classmethod
    def free(cls) -> Ports:
        """Three free ones."""
        return cls(free_port(), free_port(), free_port())

    @classmethod
    def wanted(cls, web: str, sandbox: str, inbox: str) -> Ports:
        """From PORT, SANDBOX_PORT and INBOX_PORT; the two after PORT by default. Raises CannotStart."""
        first = _number("PORT", web or "8000")
        ports = cls(
            first,
            _number("SANDBOX_PORT", sandbox or str(first + 1)),
            _number("INBOX_PORT", inbox or str(first + 2)),
        )
        if len({ports.web, ports.sandbox, ports.inbox}) < 3:
            raise CannotStart("PORT, SANDBOX_PORT and INBOX_PORT must be three different numbers.")
        return ports

    def check(self) -> None:
        """Raises CannotStart, naming the first port that somebody else has."""
        names = {"PORT": self.web, "SANDBOX_PORT": self.sandbox, "INBOX_PORT": self.inbox}
        for name, port in names.items():
            if not is_free(port):
                raise CannotStart(
                    f"Port {port} ({name}) is in use by another program; end that one, or choose others: "
                    f"make run PORT={_three_in_a_row()}"
                )


def _three_in_a_row() -> int:
    starts = range(8100, 10_000, 100)
    return next((port for port in starts if all(is_free(port + step) for step in range(3))), 8100)


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or not 1024 <= int(value) <= 65535:
        raise CannotStart(f"{name} must be a number from 1024 to 65535, not “{value}”.")
    return int(value)
