"""A Stripe that takes a stated time for each answer, and counts: the sandbox's own answers, for any number of people.

What one subscription of the sandbox looks like is asked once, in whatever version and with whatever is expanded; for
``sub_1BENCH…7`` the same is said with the ids of number 7. So a thousand subscriptions cost the sandbox one, and the
answers cost the machine little beside what is measured. ``GET /requests`` says how many were asked for so far.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.ports import answers, free_port
from local.waiting import until

ROOT = Path(__file__).resolve().parents[1]
NUMBERED = re.compile(r"\b([a-z]+)_1BENCH(\d{18})\b")
KEY = "sk_test_0123456789abcdefghij"


def numbered(prefix: str, number: int) -> str:
    """The id of the person, subscription or invoice of this number."""
    return f"{prefix}_1BENCH{number:018}"


@dataclass
class StandIn:
    """``originals``: the ids at the sandbox by their prefix, such as ``sub``."""

    sandbox: str
    originals: Mapping[str, str]
    seconds: float
    requests: int = 0
    known: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                writer.write(await self.answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):  # whoever asked has gone
            writer.close()

    async def answer(self, head: str) -> bytes:
        path = head.split(" ", 2)[1]
        if path == "/requests":
            status, body = 200, str(self.requests)
        else:
            self.requests += 1
            version = re.search(r"^stripe-version: (\S+)", head, re.MULTILINE | re.IGNORECASE)
            status, body = self._say(path, version[1] if version else "")
            await asyncio.sleep(self.seconds)
        said = body.encode()
        start = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\n"
        return f"{start}Content-Length: {len(said)}\r\n\r\n".encode() + said

    def _say(self, path: str, version: str) -> tuple[int, str]:
        asked = NUMBERED.search(path)
        original = NUMBERED.sub(lambda found: self.originals.get(found[1], found[0]), path)
        if (original, version) not in self.known:
            self.known[original, version] = self._ask(original, version)
        status, body = self.known[original, version]
        if asked:
            for prefix, mine in self.originals.items():
                body = body.replace(mine, f"{prefix}_1BENCH{asked[2]}")
        return status, body

    def _ask(self, path: str, version: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {KEY}", **({"Stripe-Version": version} if version else {})}
        request = urllib.request.Request(self.sandbox + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, problem.read().decode()


@contextmanager
def standing_in(sandbox: str, originals: Mapping[str, str], seconds: float) -> Iterator[str]:
    """The address of a stand-in in a process of its own."""
    port = free_port()
    words = ["--port", str(port), "--sandbox", sandbox, "--seconds", str(seconds)]
    words += [word for pair in originals.items() for word in ("--original", "=".join(pair))]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.stand_in", *words], cwd=ROOT)

    def check() -> None:
        if process.poll() is not None:
            raise RuntimeError("the stand-in ended")

    try:
        until("The stand-in", lambda: answers(port), check)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(20)


def asked(address: str) -> int:
    """How many requests it had."""
    with urllib.request.urlopen(f"{address}/requests", timeout=10) as answer:
        return int(answer.read())


async def _run(stand_in: StandIn, port: int) -> None:
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description="A Stripe that takes a stated time.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--original", action="append", default=[])
    given = parser.parse_args()
    originals = dict(one.split("=", 1) for one in given.original)
    asyncio.run(_run(StandIn(given.sandbox, originals, given.seconds), given.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
