"""The fault proxy does what it says, at the byte that it was told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.cable import CUT_ANSWERED, CUT_ASKED, DELAY, HANG, LOSE, REFUSE, Cable
from tests.support import wait_until


class Echo:
    """A server that keeps what it is told and says it back."""

    def __init__(self) -> None:
        self.heard = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _serve(self) -> None:
        with suppress(OSError):  # the end of the test
            while True:
                line, _ = self._socket.accept()
                with line:
                    while data := line.recv(100):
                        self.heard += data
                        line.sendall(data)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    found = Echo()
    yield found
    found.close()


@pytest.fixture
def cable(echo: Echo) -> Iterator[Cable]:
    with Cable(echo.port) as found:
        yield found


def call(cable: Cable) -> socket.socket:
    return socket.create_connection(("127.0.0.1", cable.port), timeout=20)


def say(line: socket.socket, words: bytes) -> bytes:
    """What comes back, until as much came or the connection is cut."""
    line.sendall(words)
    back = b""
    while len(back) < len(words) and (data := line.recv(100)):
        back += data
    return back


def test_all_passes_until_a_test_says_otherwise(cable: Cable) -> None:
    with call(cable) as line:
        assert [say(line, b"one"), say(line, b"three")] == [b"one", b"three"]
    assert cable.passed == {"asked": 8, "answered": 8}


def test_what_is_refused_is_refused_until_it_is_mended(cable: Cable) -> None:
    with call(cable) as line:
        cable.strike(REFUSE, 4)
        assert (say(line, b"one"), say(line, b"two")) == (b"one", b"")
    with pytest.raises(ConnectionRefusedError):
        call(cable)
    cable.mend()
    with call(cable) as line:
        assert say(line, b"three") == b"three"


@pytest.mark.parametrize(
    ("fault", "heard", "back"),
    [(CUT_ASKED, b"on", {b"", b"on"}), (CUT_ANSWERED, b"one", {b"on"}), (LOSE, b"one", {b""})],
)
def test_a_connection_is_cut_at_its_byte_and_the_next_one_is_whole(
    cable: Cable, echo: Echo, fault: str, heard: bytes, back: set[bytes]
) -> None:
    cable.strike(fault, 2)
    with call(cable) as line:
        assert say(line, b"one") in back
    wait_until(lambda: echo.heard == heard, "the server to have heard it")
    assert (cable.struck, cable.lost) == (True, int(fault == LOSE))
    with call(cable) as line:
        assert say(line, b"two") == b"two"


def test_what_hangs_has_arrived_and_is_answered_when_it_is_mended(cable: Cable, echo: Echo) -> None:
    with call(cable) as line, call(cable) as other:
        cable.strike(HANG, b"wo")
        assert say(line, b"one") == b"one"
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            say(line, b"two")
        assert echo.heard == b"onetwo"
        cable.mend()
        line.settimeout(20)
        assert line.recv(100) == b"two"
        line.shutdown(socket.SHUT_RDWR)
        assert say(other, b"four") == b"four"


def test_what_hangs_for_a_while_goes_on_by_itself_and_what_is_late_is_whole(cable: Cable) -> None:
    with call(cable) as line:
        cable.strike(HANG, 0, seconds=0.05)
        assert say(line, b"one") == b"one"
        cable.strike(DELAY, 0, seconds=0.01)
        assert (say(line, b"two"), cable.delay) == (b"two", 0.01)
        cable.mend()
        assert cable.delay == 0.0
