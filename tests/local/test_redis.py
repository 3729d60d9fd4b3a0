"""A real Redis on loopback, behind a password, that keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from local.environment import Kept
from local.processes import Children
from local.redis import LocalRedis


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    found = Children(tmp_path)
    yield found
    found.stop(found.running, 10)
    found.end()


def test_it_answers_only_with_its_password_and_starts_empty_again(tmp_path: Path, children: Children) -> None:
    folder = tmp_path / "a folder"
    server = LocalRedis(folder, Kept(tmp_path / "env"))
    child = server.start(children)
    server.wait(child)
    with redis.Redis.from_url(server.url) as client:
        client.set("bell", "rung")
    with (
        redis.Redis.from_url(server.url.replace("redis://:", "redis://:not")) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    children.stop([child], 10)
    again = LocalRedis(folder, Kept(tmp_path / "env"))
    assert again.url == server.url
    again.wait(again.start(children))
    with redis.Redis.from_url(again.url) as client:
        assert client.get("bell") is None


def test_its_password_is_for_its_owner_only(tmp_path: Path, children: Children) -> None:
    server = LocalRedis(tmp_path / "redis", Kept(tmp_path / "env"))
    child = server.start(children)
    server.wait(child)
    assert (tmp_path / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
    assert server.url.split("@")[0].rpartition(":")[2] not in str(child.process.args)
