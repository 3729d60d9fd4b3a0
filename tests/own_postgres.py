"""A PostgreSQL of a module's own, which may crash and be started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import flask_migrate
import psycopg

import app as dunlin
from billing import installation
from billing.config import Config
from billing.extensions import db
from local.postgres import EphemeralPostgres
from tests.conftest import dispose, make_config

ROOT = Path(__file__).parent.parent


class OwnPostgres(EphemeralPostgres):
    """It syncs nothing, like the tests' server: what a crash of the server alone spares is on disk or in the
    kernel, and what it loses is what PostgreSQL itself had not written yet."""

    config: Config

    @property
    def cluster(self) -> Path:
        return (self._folder / "postgres").resolve() / "cluster"

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group that the server runs as."""
        status = self.cluster.stat()
        return status.st_uid, status.st_gid

    def crash(self) -> None:
        """As ``pg_ctl stop -m immediate``: no checkpoint, nothing is written any more. It may have ended before."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.cluster / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        for child in list(self._children.running):
            child.process.wait(timeout=60)
        self._children.stop(self._children.running, 10)

    def said(self) -> str:
        """The last lines of its log."""
        return "".join(child.last_lines(40) for child in self._children.running)

    def start(self) -> None:
        """Until it answers."""
        self.server.released()
        self.server.wait(self.server.start(self._children), database="dunlin")

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url("dunlin"), autocommit=True)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """With the schema in its database, and ``config`` for an application on it."""
    with OwnPostgres() as server:
        server.config = make_config(server.url("dunlin"))
        application = dunlin.create_app(server.config)
        with application.app_context():
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            installation.record(db.session(), server.config, "acct_tests")
            db.session.commit()
            db.session.remove()
            dispose()
        with server.connect() as other:
            other.execute("checkpoint")  # it commits without waiting for its log, and may crash at once
        yield server


class SmallDisk:
    """A file system in memory, mounted at ``folder`` while the block runs. PermissionError where we may not."""

    def __init__(self, folder: Path, owner: tuple[int, int], megabytes: int) -> None:
        self.folder, self._owner, self._megabytes = folder, owner, megabytes

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir()
        options = f"size={self._megabytes}m,uid={self._owner[0]},gid={self._owner[1]},mode=700"
        if not _mounted("-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)):
            self.folder.rmdir()
            raise PermissionError("a file system may not be mounted here")
        return self

    def __exit__(self, *problem: object) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)
        self.folder.rmdir()

    def grow(self, megabytes: int) -> None:
        """Give it more room, as an operator would."""
        assert _mounted("-o", f"remount,size={megabytes}m", str(self.folder))


def _mounted(*words: str) -> bool:
    return shutil.which("mount") is not None and not subprocess.run(["mount", *words], check=False).returncode
