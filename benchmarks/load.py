"""The load: deliveries signed beforehand, sent over kept connections, one after the other on each.

It runs as a process of its own (``python -m benchmarks.load``), so that its threads take nothing from a server's
interpreter, and prints one line of JSON: answers per second, milliseconds until the middle one and until 99 of 100
were there, and how many were not answered 2xx.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
SUBJECTS = 1000
# In the sample event; each delivery has numbers of its own in their places.
EVENT, SUBJECT = "evt_1BENCH000000000000000000", "sub_1BENCH000000000000000000"


def measured(
    port: int, path: str, sample: Path, secret: str, *, connections: int, seconds: float, most: int
) -> dict[str, float]:
    """Run the load in a process of its own. Raises RuntimeError where anything was not answered 2xx."""
    words = [
        "--port", str(port), "--path", path, "--sample", str(sample), "--secret", secret,
        "--connections", str(connections), "--seconds", str(seconds), "--most", str(most),
    ]  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + 60, check=False,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(run.stderr[-2000:])
    found: dict[str, float] = json.loads(run.stdout)
    if found["refused"]:
        raise RuntimeError(f"{found['refused']:.0f} of {found['answers']:.0f} were not answered 2xx")
    return found


def requests(sample: bytes, path: str, secret: str, count: int) -> list[bytes]:
    """Whole HTTP requests, each with an event of its own, about ``SUBJECTS`` subscriptions in turn."""
    start = time.time_ns() // 1000
    return [_request(_event(sample, start + each), path, secret) for each in range(count)]


def _event(sample: bytes, number: int) -> bytes:
    subject = f"sub_1BENCH{number % SUBJECTS:018}"
    return sample.replace(EVENT.encode(), f"evt_1BENCH{number:018}".encode()).replace(
        SUBJECT.encode(), subject.encode()
    )


def _request(body: bytes, path: str, secret: str) -> bytes:
    stamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Stripe-Signature: t={stamp},v1={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Line:
    """One connection, and the answer that it waits for."""

    port: int
    sock: socket.socket = field(init=False)
    asked: float = 0.0
    said: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection((HOST, self.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> None:
        self.said, self.asked = b"", time.perf_counter()
        self.sock.sendall(request)

    def heard(self) -> int | None:
        """The status, once the whole answer is there. A server may close a connection after it: then there is another.

        Raises RuntimeError where the answer broke off.
        """
        part = self.sock.recv(65536)
        self.said += part
        head, found, body = self.said.partition(b"\r\n\r\n")
        if not found or not _whole(head.lower(), body):
            if not part:
                raise RuntimeError("the server closed the connection before it had answered")
            return None
        return int(self.said[9:12])

    @property
    def over(self) -> bool:
        return b"connection: close" in self.said.lower()


def _whole(head: bytes, body: bytes) -> bool:
    """Whether the body is complete, by its stated length or its last chunk."""
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = next((line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b"0")
    return len(body) >= int(length)


def press(port: int, prepared: Sequence[bytes], connections: int, seconds: float) -> dict[str, float]:
    """Keep every connection asking until the time is over or nothing is left to send."""
    waiting, times, refused = selectors.DefaultSelector(), [], 0
    todo = iter(prepared)
    begun = time.perf_counter()
    for _ in range(connections):
        line = Line(port)
        line.ask(next(todo))
        waiting.register(line.sock, selectors.EVENT_READ, line)
    while waiting.get_map():
        for key, _ in waiting.select(30):
            line = key.data
            status = line.heard()
            if status is None:
                continue
            now = time.perf_counter()
            times.append(now - line.asked)
            refused += not 200 <= status < 300
            request = next(todo, None) if now - begun < seconds else None
            if request is None or line.over:
                waiting.unregister(line.sock)
                line.sock.close()
            if request is not None:
                if line.over:
                    line = Line(port)
                    waiting.register(line.sock, selectors.EVENT_READ, line)
                line.ask(request)
    took = time.perf_counter() - begun
    centiles = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
    return {
        "rate": len(times) / took,
        "p50": centiles[49] * 1000,
        "p99": centiles[98] * 1000,
        "answers": len(times),
        "refused": refused,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Send signed deliveries and say how they were answered.")
    for name, kind in (("port", int), ("path", str), ("sample", Path), ("secret", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--most", type=int, default=10_000, help="deliveries at most")
    asked = parser.parse_args()
    prepared = requests(asked.sample.read_bytes(), asked.path, asked.secret, asked.most)
    sys.stdout.write(json.dumps(press(asked.port, prepared, asked.connections, asked.seconds)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
