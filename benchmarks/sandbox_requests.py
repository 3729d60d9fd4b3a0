"""How fast the sandbox answers, beside a bare Flask endpoint on the same kind of server.

Run it as `python -m benchmarks.sandbox_requests`.
Both run in a process of their own on loopback, behind werkzeug's threaded server, and are asked by one client
over one kept connection, in turns. Printed: requests per second (median, least and most of the turns) and the
ratio to the bare endpoint, with 1,000,000 events in the store. It takes about a minute.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from local.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
KEY = {"Authorization": "Bearer sk_test_0123456789abcdefghij"}
FORM = {**KEY, "Content-Type": "application/x-www-form-urlencoded"}
BARE = """
import sys
from flask import Flask, jsonify
from werkzeug.serving import make_server
app = Flask("bare")
@app.get("/")
def hello():
    return jsonify(ok=True)
make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Requests per second of the sandbox and of a bare endpoint.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="of each turn of each kind of request")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.events, options.turns, options.seconds)
    return 0


def measure(folder: Path, events: int, turns: int, seconds: float) -> None:
    ours, bare = free_port(), free_port()
    sandbox = [sys.executable, "-m", "sandbox", "--port", str(ours), "--data", str(folder)]
    with Running(sandbox, ours) as first:
        customer = make_customer(ours)
        first.stop()
    fill(folder / "sandbox.db", events)
    with Running(sandbox, ours), Running([sys.executable, "-c", BARE, str(bare)], bare):
        to_sandbox, to_bare = (http.client.HTTPConnection("127.0.0.1", port) for port in (ours, bare))
        kinds: dict[str, Callable[[], None]] = {
            "bare Flask endpoint": lambda: ask(to_bare, "GET", "/"),
            "GET customer": lambda: ask(to_sandbox, "GET", f"/v1/customers/{customer}"),
            "POST customer": lambda: ask(to_sandbox, "POST", "/v1/customers", "name=A"),
            "list 10 events": lambda: ask(to_sandbox, "GET", "/v1/events"),
        }
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(turns):
            for name, request in kinds.items():
                found[name].append(rate(request, seconds))
        report(found, events)


def report(found: dict[str, list[float]], events: int) -> None:
    baseline = found["bare Flask endpoint"]
    write(f"{events:,} events in the store; {len(baseline)} turns")
    for name, rates in found.items():
        ratios = [each / base for each, base in zip(rates, baseline, strict=True)]
        write(
            f"{name:20} {statistics.median(rates):7.0f} requests/s ({min(rates):.0f} to {max(rates):.0f}),"
            f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def rate(request: Callable[[], None], seconds: float) -> float:
    """Requests per second, one after the other."""
    request()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        request()
        count += 1
    return count / (time.perf_counter() - started)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: str = "") -> None:
    connection.request(method, path, body or None, FORM if method == "POST" else KEY)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status}")


def make_customer(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/customers", "name=A", FORM)
    made = json.loads(connection.getresponse().read())
    connection.close()
    return str(made["id"])


def fill(database: Path, events: int) -> None:
    """As many copies of the one event that is there, a second apart, the newest now."""
    now = int(time.time())
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("PRAGMA synchronous=OFF")  # nobody depends on these data
        (body,) = store.execute("SELECT body FROM objects WHERE type='event' LIMIT 1").fetchone()
        event = json.loads(body)
        store.executemany(
            "INSERT INTO objects (id, type, created, customer, body) VALUES (?,'event',?,NULL,?)",
            (
                (f"evt_1{n:023}", now - (events - n) // 2, json.dumps(event | {"id": f"evt_1{n:023}"}))
                for n in range(events)
            ),
        )


class Running:
    """A server process that answers while the block runs."""

    def __init__(self, command: list[str], port: int) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.port = port

    def __enter__(self) -> Running:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise RuntimeError(f"nobody listens on port {self.port}")

    def __exit__(self, *_problem: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def write(line: str) -> None:
    sys.stdout.write(line + os.linesep)


if __name__ == "__main__":
    sys.exit(main())
