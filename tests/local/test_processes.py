"""No process outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import proc
from local.errors import CannotStart, ChildDied
from local.processes import TOKEN, Children, clean_leftovers

REPOSITORY = Path(__file__).resolve().parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# Ignores SIGTERM and SIGINT, and says when it does.
STUBBORN_PROGRAM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready")
time.sleep(600)
"""
STUBBORN = [sys.executable, "-uc", STUBBORN_PROGRAM]
# Starts a grandchild in a session of its own, which a signal to the parent's group does not reach.
PARENT_PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid)
time.sleep(600)
"""
WITH_GRANDCHILD = [sys.executable, "-uc", PARENT_PROGRAM]


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def test_a_child_writes_to_its_log_and_ends_when_asked(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("talker", [sys.executable, "-uc", "print('hello'); import time; time.sleep(600)"])
    eventually(lambda: child.last_lines() == "hello")
    children.stop([child], 10)
    children.end()
    assert child.process.returncode == -signal.SIGTERM
    assert not (tmp_path / "run.json").exists()


def test_a_child_that_will_not_end_is_killed_at_the_deadline(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("stubborn", STUBBORN)
    eventually(lambda: child.last_lines() == "ready")
    children.stop([child], 0.2)
    assert child.process.returncode == -signal.SIGKILL
    children.end()


def test_a_grandchild_in_another_session_ends_too(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("parent", WITH_GRANDCHILD)
    eventually(child.last_lines)
    grandchild = int(child.last_lines())
    assert proc.started(grandchild)
    children.stop([child], 5)
    children.end()
    eventually(lambda: not proc.started(grandchild))


def test_a_child_that_ends_by_itself_is_told_with_its_last_lines(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("worker", [sys.executable, "-c", "import sys; sys.exit('out of ink')"])
    eventually(lambda: not child.running)
    with pytest.raises(ChildDied, match=r"worker ended with exit code 1(.|\n)*out of ink"):
        children.check()
    children.end()


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    children = Children(tmp_path)
    with pytest.raises(CannotStart, match="no such table"):
        children.finish(children.start("step", [sys.executable, "-c", "raise SystemExit('no such table')"]))
    children.end()


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    children = Children(tmp_path)
    with pytest.raises(CannotStart, match="/no/such/program can’t be started"):
        children.finish(children.start("step", ["/no/such/program"]))
    children.end()


def test_a_command_reads_what_it_was_given(tmp_path: Path) -> None:
    children = Children(tmp_path)
    program = "import sys; print(sys.stdin.read().upper())"
    child = children.start("step", [sys.executable, "-c", program], stdin=b"quiet")
    children.finish(child)
    children.end()
    assert "QUIET" in child.last_lines()


def _run_and_be_killed(folder: Path, command: list[str]) -> int:
    """A runner that starts ``command`` and is then killed with no chance to clean up; the child's pid."""
    program = f"""
        import os, signal, sys, time
        from pathlib import Path
        from local.processes import Children
        children = Children(Path({str(folder)!r}))
        child = children.start("child", {command!r})
        while not child.last_lines():
            time.sleep(0.02)
        print(child.process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stdout)


def test_a_child_ends_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    program = [sys.executable, "-uc", "print('up'); import time; time.sleep(600)"]
    pid = _run_and_be_killed(tmp_path, program)
    eventually(lambda: not proc.started(pid))


def test_the_next_run_ends_what_outlived_a_killed_one(tmp_path: Path) -> None:
    pid = _run_and_be_killed(tmp_path, STUBBORN)
    assert proc.started(pid), "it ignores what the leash sends"
    assert clean_leftovers(tmp_path) == ["child"]
    eventually(lambda: not proc.started(pid))
    assert clean_leftovers(tmp_path) == []


def test_the_next_run_finds_grandchildren_by_their_mark(tmp_path: Path) -> None:
    _run_and_be_killed(tmp_path, WITH_GRANDCHILD)
    grandchild = int((tmp_path / "log" / "child.log").read_text())
    assert proc.started(grandchild)
    clean_leftovers(tmp_path)
    eventually(lambda: not proc.started(grandchild))


def test_a_number_that_now_belongs_to_another_process_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        row = f'{{"name": "old", "pid": {stranger.pid}, "started": "1"}}'
        (tmp_path / "run.json").write_text(f'{{"token": "none", "children": [{row}]}}')
        assert clean_leftovers(tmp_path) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_broken_record_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    assert clean_leftovers(tmp_path) == []
    assert not (tmp_path / "run.json").exists()


def test_only_our_own_mark_is_found() -> None:
    assert proc.marked(TOKEN, f"nobody has this {os.getpid()}") == []
