"""What the app stands on: PostgreSQL, Redis, the mail inbox and the sandbox, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from local.environment import Kept
from local.parts import PYTHON, REPOSITORY, Addresses, Needs
from local.ports import LOOPBACK, Ports, free_port
from local.postgres import LocalPostgres
from local.processes import Child, Children
from local.redis import LocalRedis
from local.waiting import says_ok, until


class Ground:
    """The parts of these four that the operator did not bring. ``urls`` says where they are once started."""

    def __init__(
        self, folder: Path, kept: Kept, children: Children, ports: Ports, needs: Needs, *, durable: bool
    ) -> None:
        self.urls: dict[str, str] = {}
        self._folder = folder
        self._kept = kept
        self._children = children
        self._ports = ports
        self._needs = needs
        self._addresses = Addresses.of(ports, needs)
        self._durable = durable
        self._postgres: LocalPostgres | None = None

    def start(self) -> None:
        """Start all, then wait for each. Raises CannotStart."""
        waits: list[Callable[[], None]] = []
        if self._needs.postgres:
            waits.append(self._start_postgres())
        if self._needs.redis:
            waits.append(self._start_redis())
        if self._needs.inbox:
            waits.append(self._start_inbox())
        if self._needs.sandbox:
            self.start_sandbox()
            waits.append(lambda: self._wait_for("The sandbox", self._addresses.sandbox))
        for wait in waits:
            wait()

    def start_sandbox(self) -> Child:
        """Start the sandbox; for tests also again after it was stopped."""
        folder = self._folder.resolve() / "sandbox"
        command = [*PYTHON, "sandbox", "--port", str(self._ports.sandbox), "--data", str(folder)]
        return self._children.start("sandbox", command, cwd=REPOSITORY)

    def released(self) -> None:
        """After everything has ended: let others use the data, or delete them where nobody keeps them."""
        if self._postgres is None:
            return
        if self._durable:
            self._postgres.released()
        else:
            self._postgres.remove()

    def _start_postgres(self) -> Callable[[], None]:
        # A database belongs to one Stripe account: the sandbox's and the operator's have one each.
        database = "dunlin" if self._needs.sandbox else "dunlin_stripe"
        server = LocalPostgres(self._folder / "postgres", self._kept, durable=self._durable)
        self._postgres = server
        child = server.start(self._children)
        self.urls["DATABASE_URL"] = server.url(database)
        return lambda: server.wait(child, database=database)

    def _start_redis(self) -> Callable[[], None]:
        server = LocalRedis(self._folder / "redis", self._kept)
        child = server.start(self._children)
        self.urls["REDIS_URL"] = server.url
        return lambda: server.wait(child)

    def _start_inbox(self) -> Callable[[], None]:
        port = free_port(self._kept.get("LOCAL_SMTP_PORT"))
        self._kept.put("LOCAL_SMTP_PORT", str(port))
        command = [
            *PYTHON, "local.inbox", "--smtp-port", str(port), "--http-port", str(self._ports.inbox),
            "--folder", str(self._folder.resolve() / "mail"),
        ]  # fmt: skip
        self._children.start("inbox", command, cwd=REPOSITORY)
        self.urls["SMTP_URL"] = f"smtp://{LOOPBACK}:{port}"
        return lambda: self._wait_for("The inbox", self._addresses.inbox)

    def _wait_for(self, what: str, address: str) -> None:
        until(what, lambda: says_ok(f"{address}/healthz"), self._children.check, 30)
