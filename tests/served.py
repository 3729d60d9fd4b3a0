"""The web processes as the Procfile starts them, on a port of this machine, and what they wrote to their log."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from billing.config import Config
from local.ports import free_port
from tests.processes import environ_of
from tests.support import signed, wait_until

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: http.client.HTTPMessage


@dataclass(frozen=True)
class Served:
    """gunicorn with its workers. ``log``: their standard error."""

    port: int
    log: Path
    secret: str
    process: subprocess.Popen[bytes]

    def stop(self) -> int:
        """Tell every process to stop, as the platform does; the exit code. Fails where one still runs too long."""
        os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(timeout=25)

    def answers(self, *, within: float) -> bool:
        """Whether a new request is answered, in so many seconds."""
        try:
            return self.ask("GET", "/healthz", seconds=within).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """``kill -9`` of the process that answers; gunicorn starts another one."""
        [worker] = self._workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self._workers() not in ([], [worker]), "another process")

    def most_memory(self) -> int:
        """The most bytes that the answering processes have held so far, together."""
        said = [Path(f"/proc/{pid}/status").read_text() for pid in self._workers()]
        return sum(int(text.partition("VmHWM:")[2].split()[0]) * 1024 for text in said)

    def _workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = 30,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers)
        finally:
            connection.close()

    def deliver(self, body: bytes) -> Answer:
        """Send a body as Stripe does, signed."""
        return self.ask("POST", "/webhooks/stripe", body, {"Stripe-Signature": signed(body, self.secret)})


@contextmanager
def served(config: Config, folder: Path, *, workers: int = 2) -> Iterator[Served]:
    """Serve until the block ends. The database must have been set up with ``installation.record``."""
    [line] = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
    port, log = free_port(), folder / "web.log"
    command = shlex.split(
        line.removeprefix("web:").replace("0.0.0.0", "127.0.0.1").replace("$PORT", str(port))
    )
    command = [word.replace("${WEB_CONCURRENCY:-1}", str(workers)) for word in command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environ_of(config),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    web = Served(port, log, config.stripe_webhook_secrets[0].value, process)
    try:
        wait_until(lambda: web.answers(within=30) or process.poll() is not None, "gunicorn to answer")
        assert process.poll() is None, log.read_text()
        yield web
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
