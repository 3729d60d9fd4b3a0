"""A real PostgreSQL that starts, keeps, recovers and says what is wrong, for root and for everybody else."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local import pghome, proc
from local.environment import Kept
from local.errors import CannotStart
from local.postgres import EphemeralPostgres, LocalPostgres
from local.processes import Children


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    found = Children(tmp_path)
    yield found
    found.stop(found.running, 10)
    found.end()
    pghome.remove_home(tmp_path / "postgres")


def server_of(folder: Path) -> LocalPostgres:
    return LocalPostgres(folder / "postgres", Kept(folder / "env"), durable=False)


def ask(server: LocalPostgres, query: str) -> object:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type, unused-ignore]
    return row[0] if row else None


def change(server: LocalPostgres, query: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(query)  # type: ignore[arg-type, unused-ignore]


def start(folder: Path, children: Children) -> LocalPostgres:
    server = server_of(folder)
    server.wait(server.start(children))
    return server


def test_it_is_postgresql_18_with_utf8_and_passwords(tmp_path: Path, children: Children) -> None:
    server = start(tmp_path, children)
    assert str(ask(server, "SHOW server_version")).startswith("18.")
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SELECT upper('é')") == "É"
    assert ask(server, "SHOW timezone") == "UTC"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url().replace(":", ":not", 2).replace("not//", "//"))


def test_a_kept_server_waits_for_the_disk(tmp_path: Path, children: Children) -> None:
    server = LocalPostgres(tmp_path / "postgres", Kept(tmp_path / "env"), durable=True)
    server.wait(server.start(children))
    assert [ask(server, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["on", "on"]


def test_data_are_there_after_a_stop_and_after_a_kill(tmp_path: Path, children: Children) -> None:
    server = start(tmp_path, children)
    change(server, "CREATE TABLE ledger (amount int)")
    change(server, "INSERT INTO ledger VALUES (900)")
    children.stop(children.running, 10)
    server.released()
    again = start(tmp_path, children)
    assert again.url() == server.url()
    os.killpg(children.running[0].process.pid, signal.SIGKILL)
    children.stop(children.running, 10)
    again.released()
    assert ask(start(tmp_path, children), "SELECT sum(amount) FROM ledger") == 900


def test_a_pid_file_whose_number_is_someone_elses_does_no_harm(tmp_path: Path, children: Children) -> None:
    server = start(tmp_path, children)
    children.stop(children.running, 10)
    server.released()
    cluster = (tmp_path / "postgres").resolve() / "cluster"
    (cluster / "postmaster.pid").write_text(f"{os.getppid()}\n{cluster}\n1\n1\n\n127.0.0.1\n\n")
    assert ask(start(tmp_path, children), "SELECT 1") == 1
    assert proc.started(os.getppid())


def test_only_its_user_can_read_the_data(tmp_path: Path, children: Children) -> None:
    start(tmp_path, children)
    home = (tmp_path / "postgres").resolve()
    status = home.stat()
    assert stat.S_IMODE(status.st_mode) == 0o700
    assert status.st_uid != 0
    assert not (home / "password").exists()


def test_other_peoples_folders_keep_their_permissions(tmp_path: Path, children: Children) -> None:
    tmp_path.chmod(0o700)
    before = [(parent, parent.stat().st_mode) for parent in (tmp_path, *tmp_path.parents)]
    start(tmp_path, children)
    assert [(parent, parent.stat().st_mode) for parent, _mode in before] == before


def test_a_damaged_cluster_is_told_in_a_sentence(tmp_path: Path, children: Children) -> None:
    server = start(tmp_path, children)
    children.stop(children.running, 10)
    server.released()
    ((tmp_path / "postgres").resolve() / "cluster" / "global" / "pg_control").unlink()
    server = server_of(tmp_path)
    child = server.start(children)
    with pytest.raises(
        CannotStart, match=r"postgres can’t be started: .*pg_control.*Move it away \(mv .*\.broken\)"
    ):
        server.wait(child)
    server.released()


@pytest.mark.parametrize(
    ("content", "reason"), [("16\n", "made by PostgreSQL 16"), (None, "PG_VERSION can’t be read")]
)
def test_a_cluster_of_another_version_is_told(
    tmp_path: Path, children: Children, content: str | None, reason: str
) -> None:
    server = start(tmp_path, children)
    children.stop(children.running, 10)
    server.released()
    version = (tmp_path / "postgres").resolve() / "cluster" / "PG_VERSION"
    version.write_text(content) if content else version.unlink()
    with pytest.raises(CannotStart, match=reason):
        server_of(tmp_path).start(children)


def test_data_without_their_password_are_told(tmp_path: Path, children: Children) -> None:
    start(tmp_path, children)
    (tmp_path / "env").unlink()
    with pytest.raises(CannotStart, match="its password is missing"):
        server_of(tmp_path)


def test_two_copies_do_not_share_one_cluster(tmp_path: Path, children: Children) -> None:
    start(tmp_path, children)
    with pytest.raises(CannotStart, match=rf"in use by another copy of Dunlin \(process {os.getpid()}\)"):
        server_of(tmp_path).start(children)


def test_a_test_server_leaves_nothing_behind() -> None:
    with EphemeralPostgres() as server:
        folder = (server.server.folder).parent
        home = server.server.folder.resolve()
        with psycopg.connect(server.create_database("tests")) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("tests",)
    assert not folder.exists()
    assert not home.exists()
