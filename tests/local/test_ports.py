"""Ports: which are free, and what is said of one that is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from local.errors import CannotStart
from local.ports import LOOPBACK, Ports, free_port, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_listening_port_is_not_free(taken: int) -> None:
    assert not is_free(taken)


def test_a_preferred_port_is_kept_while_it_is_free(taken: int) -> None:
    free = free_port()
    assert free_port(str(free)) == free
    assert free_port(str(taken)) != taken


def test_nobody_else_is_given_a_port_that_was_chosen_and_who_is_to_listen_there_can() -> None:
    chosen, other = free_port(), socket.socket()
    with other, pytest.raises(OSError, match="in use"):
        other.bind((LOOPBACK, chosen))
    assert is_free(chosen)
    with socket.create_server((LOOPBACK, chosen)), socket.create_connection((LOOPBACK, chosen), timeout=5):
        assert not is_free(chosen)


def test_the_other_two_follow_the_first() -> None:
    assert Ports.wanted("8100", "", "") == Ports(8100, 8101, 8102)
    assert Ports.wanted("", "", "") == Ports(8000, 8001, 8002)
    assert Ports.wanted("8000", "9001", "9002") == Ports(8000, 9001, 9002)


@pytest.mark.parametrize("value", ["eighty", "80", "70000", "-1"])
def test_a_port_that_is_none_is_named(value: str) -> None:
    with pytest.raises(CannotStart, match="PORT must be a number"):
        Ports.wanted(value, "", "")


def test_three_different_ports_are_needed() -> None:
    with pytest.raises(CannotStart, match="three different numbers"):
        Ports.wanted("8000", "8000", "")


def test_a_taken_port_is_named_with_a_way_out(taken: int) -> None:
    ports = Ports(free_port(), taken, free_port())
    with pytest.raises(CannotStart, match=rf"Port {taken} \(SANDBOX_PORT\) is in use.*make run PORT=\d+"):
        ports.check()
