"""Requests as bytes on a socket, some of them no HTTP at all, and what a server says to them."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from tests import mangles
from tests.forgeries import PATH, Delivery, flip, right_answers

# What a server may say to what breaks HTTP's rules. None: it hangs up, as on somebody who never ends a sentence.
NO: set[int | None] = {400, 404, 405, 411, 413, 414, 417, 431, None}
MOST, LONGEST_LINE = 1 << 20, 8000
BROKEN = {chr(number) for number in (*range(32), 127)} - {"\t"}


@dataclass(frozen=True)
class Sent:
    """``end``: nothing comes after it, and the client says so. ``right``: what it may be answered with. ``body``: of
    the event, whatever was done to the bytes around it."""

    raw: bytes
    body: bytes
    right: set[int | None]
    end: bool = False


@dataclass(frozen=True)
class Answer:
    """None: the server hung up without a word."""

    status: int | None
    body: bytes = b""


@dataclass(frozen=True)
class Parts:
    """A request before it is written: ``target`` and ``headers`` as they stand on the wire."""

    method: bytes
    target: bytes
    version: bytes
    headers: list[bytes]
    body: bytes

    def written(self, line_end: bytes = b"\r\n") -> bytes:
        first = b" ".join([self.method, self.target, self.version])
        return line_end.join([first, b"Host: localhost", *self.headers, b"", b""]) + self.body


def parts_of(it: Delivery) -> Parts:
    said = str(len(it.body)) if it.said is None else it.said
    headers = [f"Content-Length: {said}"]
    headers += [
        f"{name.removeprefix('HTTP_').replace('_', '-')}: {value}" for name, value in it.environ.items()
    ]
    if it.header is not None:
        headers.append(f"Stripe-Signature: {it.header}")
    target = it.path.encode("latin-1")
    return Parts(
        it.method.encode(), target, b"HTTP/1.1", [line.encode("latin-1") for line in headers], it.body
    )


def plain(it: Delivery) -> Sent:
    return Sent(parts_of(it).written(), it.body, set(right_answers(it)))


# What is done to the bytes. A right signature may still be taken where the request can be read in one way only.

Break = Callable[[random.Random, Parts], bytes]


def _more(*headers: bytes) -> Break:
    return lambda rng, it: replace(it, headers=[*it.headers, *headers]).written()


def _instead(rng: random.Random, it: Parts, *framing: bytes, body: bytes | None = None) -> bytes:
    """With another word on how long the body is."""
    kept = [line for line in it.headers if not line.startswith(b"Content-Length")]
    return replace(it, headers=[*kept, *framing], body=it.body if body is None else body).written()


def _chunked(body: bytes, step: int = 500) -> bytes:
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _header_of(rng: random.Random, it: Parts, change: Callable[[bytes], bytes]) -> bytes:
    """One of its headers is changed."""
    at = rng.randrange(len(it.headers))
    headers = [change(line) if number == at else line for number, line in enumerate(it.headers)]
    return replace(it, headers=headers).written()


def _flipped(rng: random.Random, raw: bytes) -> bytes:
    head = raw.partition(b"\r\n\r\n")[0]
    return flip(raw, rng.randrange(8 * len(head)))


def _said(name: bytes, *ways: bytes) -> Break:
    """How long the body is, in another word: one of these ways to say it."""
    return lambda rng, it: _instead(rng, it, name + rng.choice(ways))


def _in_chunks(change: Callable[[random.Random, bytes], bytes]) -> Break:
    """In chunks, as ``change`` makes them of the body."""
    return lambda rng, it: _instead(rng, it, CHUNKED, body=change(rng, it.body))


def _other(**parts: list[bytes]) -> Break:
    """Another first line."""
    return lambda rng, it: replace(it, **{name: rng.choice(ways) for name, ways in parts.items()}).written()


def _in_a_header(change: Callable[[random.Random, bytes], bytes]) -> Break:
    return lambda rng, it: _header_of(rng, it, lambda line: change(rng, line))


def _one_more(*ways: bytes) -> Break:
    return lambda rng, it: _more(rng.choice(ways))(rng, it)


CHUNKED = b"Transfer-Encoding: chunked"
SIGNATURES = (b"Stripe-Signature: t=1,v1=00", b"stripe_signature: t=1,v1=00")
NO_VERSIONS = [b"HTTP/0.9", b"HTTP/9.9", b"HTTP/1.1 ", b"", b"HTCPCP/1.0"]
NO_METHODS = [b"post", b"P\0ST", b"", b"POST POST", b"A" * 200]
NO_TARGETS = [b"", b"*", b"\\", b"/\xff", b"/%00", b"//", b"/.." * 9]
HERE = PATH.encode()
BREAKS: tuple[Break, ...] = (
    lambda rng, it: it.written()[: rng.randrange(1, len(it.written()))],
    lambda rng, it: _flipped(rng, it.written()),
    lambda rng, it: it.written(b"\n"),
    lambda rng, it: it.written(b"\r"),
    lambda rng, it: rng.randbytes(rng.randrange(1, 300)),
    lambda rng, it: b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + rng.randbytes(200),  # TLS
    lambda rng, it: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(30),
    lambda rng, it: it.body,
    lambda rng, it: b"\r\n" * rng.randrange(1, 20) + it.written(),
    _other(version=NO_VERSIONS),
    _other(version=[b"HTTP/1.0"]),
    _other(method=NO_METHODS),
    _other(target=NO_TARGETS),
    _other(target=[HERE + b"?" + b"a" * length for length in (100, 5000, 20_000)]),
    _other(target=[b"http://elsewhere.example" + HERE]),
    lambda rng, it: _instead(rng, it),
    _in_chunks(lambda rng, body: _chunked(body)),
    _in_chunks(lambda rng, body: _chunked(body)[: rng.randrange(1, 400)]),
    _in_chunks(lambda rng, body: rng.choice([b"zz\r\n", b"-1\r\n", b"f" * 40 + b"\r\n", b"\0"]) + body),
    _in_chunks(lambda rng, body: _chunked(b" " * MOST, MOST // 4) + body),
    _said(b"Transfer-Encoding: ", b"xchunked", b"gzip, chunked", b"chunked, x"),
    _said(b"Transfer_Encoding: ", b"chunked"),
    _said(b"Content_Length: ", b"1"),
    _said(b"Content-Length: ", b"-1", b"1e3", b"all", b"+5", b"9" * 30, b"0x10"),
    _one_more(b"Content-Length: 1", CHUNKED),
    lambda rng, it: _more(*[b"X-A: 1"] * rng.choice([50, 200]))(rng, it),
    _one_more(*(b"X-A: " + b"a" * length for length in (5000, 9000, 70_000))),
    _one_more(b"Host: other.example", b"Expect: 100-continue", b"Expect: canary", b": x", b"X"),
    _one_more(b"SCRIPT_NAME: /x", b"SCRIPT_NAME: /webhooks", b"PATH_INFO: /admin"),
    _more(b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"),
    _more(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    _one_more(*SIGNATURES),
    _in_a_header(lambda rng, line: line.replace(b":", rng.choice([b" :", b"", b"\t:", b":\r\n "]), 1)),
    _in_a_header(lambda rng, line: line + rng.choice([b"\0", b"\r", b"\n", b"\x7f", b"\xff", b"\r\nX"])),
    _in_a_header(lambda rng, line: line.lower()),
)


def made(number: int) -> Sent:
    """The request of this number: a forged delivery, and every other time its bytes are broken as well."""
    it, rng = mangles.made(number)
    if rng.random() < 0.5:
        sent = plain(it)
        return sent if _readable(it) else Sent(sent.raw, it.body, NO | sent.right, end=True)
    raw = rng.choice(BREAKS)(rng, parts_of(it))
    return Sent(raw, it.body, NO | {200} if right_answers(it) & {200} else NO, end=True)


def _readable(it: Delivery) -> bool:
    """Whether the delivery is HTTP as it stands, so that the application itself answers."""
    header = it.header or ""
    return (
        len(header) < LONGEST_LINE and not set(header) & BROKEN and it.said is None and it.path.isprintable()
    )


# How it is said.


class Line:
    """A connection that is kept from one request to the next, and made anew where the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *problem: object) -> None:
        self._socket.close()

    def say(self, sent: Sent) -> list[Answer]:
        """Send it and hear what is answered; after ``end`` all of it, until the server hangs up."""
        answers = self._say(sent)
        if answers or sent.end:
            return answers or [Answer(None)]
        return self._say(sent) or [
            Answer(None)
        ]  # the server may close a connection that was silent for a while

    def _say(self, sent: Sent) -> list[Answer]:
        with suppress(OSError):  # the server may have heard enough before we end
            self._socket.sendall(sent.raw)
            if sent.end:
                self._socket.shutdown(socket.SHUT_WR)
        answers: list[Answer] = []
        while sent.end or not answers:
            answer, stays = self._hear(sent.raw[:5] == b"HEAD ")
            if answer is not None and answer.status != 100:
                answers.append(answer)
            if answer is None or not (stays or sent.end):
                self._open()
                break
        return answers

    def _open(self) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        self._rest = b""

    def _hear(self, bare: bool) -> tuple[Answer | None, bool]:
        """One answer, and whether the connection stays; ``bare``: it has no body, whatever it says."""
        while b"\r\n\r\n" not in self._rest:
            if not self._read():
                return None, False
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        status = int(lines[0].split()[1])
        fields = dict(line.split(b": ", 1) for line in lines[1:])
        length = 0 if bare else int(fields.get(b"content-length", b"0"))
        while len(self._rest) < length:
            if not self._read():
                return None, False
        body, self._rest = self._rest[:length], self._rest[length:]
        return Answer(status, body), fields.get(b"connection") != b"close"

    def _read(self) -> bool:
        try:
            more = self._socket.recv(65_536)
        except ConnectionResetError:
            return False
        self._rest += more
        return bool(more)
