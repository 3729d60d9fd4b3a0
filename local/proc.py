"""What /proc knows about processes, and ending those that are proved to be ours."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")


def started(pid: int) -> str:
    """The moment a process started, in the kernel's ticks; "" for none. With its pid, it is unique."""
    try:
        after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in "ZX" else after_name[19]


def kill_group(group: int) -> None:
    """Kill what is left of a process group; nothing where it is empty."""
    _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def end_group(leader: int, started_at: str, seconds: float = 8.0) -> bool:
    """Ask the group of this very process to end, then kill it. False where the process is gone."""
    if not started_at or started(leader) != started_at:
        return False
    # SIGINT is a fast shutdown for PostgreSQL and for Redis; the rest of ours read it as SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        _signal_group(leader, number)
        end = time.monotonic() + seconds / 2
        while started(leader) == started_at and time.monotonic() < end:
            time.sleep(0.05)
    kill_group(leader)
    return True


def marked(name: str, value: str) -> list[int]:
    """The processes that have NAME=value in their environment, us and those we may not read left out."""
    mark = f"{name}={value}".encode()
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in variables and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def kill_marked(name: str, value: str) -> None:
    """Kill every process that carries the mark, until none is left."""
    for _ in range(20):
        pids = [pid for pid in marked(name, value) if started(pid)]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.05)
