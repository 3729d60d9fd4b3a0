"""``flask`` commands as the platform runs and stops them, and a Redis that can go away."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from billing.config import Config
from local.ports import free_port
from local.redis import server_program
from tests.processes import ROOT, command, environ_of
from tests.support import wait_until


@dataclass(frozen=True)
class Running:
    """A command that runs. ``log``: what it has written."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        """Tell it to stop; its exit code. Fails where it still runs shortly before the platform would kill."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=25)


@contextmanager
def started(name: str, config: Config, folder: Path, **changes: str) -> Iterator[Running]:
    """``flask NAME`` with these settings, killed at the end of the block if it still runs."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command(name)],
            cwd=ROOT,
            env=environ_of(config, **changes),
            stdout=output,
            stderr=output,
        )
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait(timeout=20)


@dataclass(frozen=True)
class OwnRedis:
    """A Redis of one test alone."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def answers(self) -> bool:
        with Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    def vanish(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


@contextmanager
def own_redis(folder: Path, port: int | None = None) -> Iterator[OwnRedis]:
    """It begins with what was saved in ``folder``. ``port``: where one was before."""
    port = port or free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([server_program(), *options], stdout=subprocess.DEVNULL)
    redis = OwnRedis(f"redis://127.0.0.1:{port}/0", process)
    try:
        wait_until(redis.answers, "Redis to answer")
        yield redis
    finally:
        redis.vanish()
