"""Children that always end.

Each runs in its own session behind ``leash.py`` (it ends when we do, even by kill -9), writes to
its own log, and is recorded in ``run.json`` together with a random token that it and everything it
starts carry in their environment. By record and token the next run finds what a power cut of ours
left behind, and nothing that is not ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import proc
from local.errors import CannotStart, ChildDied

TOKEN = "DUNLIN_RUN"  # noqa: S105 - the name of a mark, not a secret
LEASH = Path(__file__).with_name("leash.py")
LOG_LIMIT = 5_000_000  # bytes after which a log moves to NAME.log.1


@dataclass
class Child:
    """A process of ours and how it likes to be asked to end."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    log_start: int  # where in the log its own lines begin

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, count: int = 15) -> str:
        try:
            text = self.log.read_bytes()[self.log_start :].decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-count:])

    def obituary(self) -> ChildDied:
        """What to say of a child that ended by itself."""
        code = self.process.poll()
        how = (
            f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        )
        return ChildDied(f"{self.name} ended {how}. The last lines of {self.log}:\n{self.last_lines()}")


class Children:
    """Everything one run has started. Not thread-safe: one thread starts and stops."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "run.json"
        self._logs = folder / "log"
        self._token = secrets.token_hex(16)
        self.running: list[Child] = []
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str = "/",
        user: tuple[int, int] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stdin: bytes | None = None,
    ) -> Child:
        """Start a command; ``user`` is (uid, gid) where root should become somebody else.

        Its output is added to ``log/NAME.log``. ``stdin`` (a few lines at most) is all it can read.
        """
        log = self._log_of(name)
        words = [
            str(int(stop_signal)),
            str(os.getpid()),
            f"{user[0]}:{user[1]}" if user else "-",
            "--",
            *command,
        ]
        with log.open("ab") as output:
            log_start = output.tell()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LEASH), *words],
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**(os.environ if env is None else env), TOKEN: self._token},
                cwd=cwd,
                start_new_session=True,
            )
        child = Child(name, process, log, stop_signal, log_start)
        self.running.append(child)
        self._write_record()
        if stdin is not None and process.stdin:
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(stdin)
        return child

    def finish(self, child: Child, seconds: float = 60.0) -> None:
        """Wait until a command has ended well. Raises CannotStart with its last lines otherwise."""
        try:
            child.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop([child], 2)
            raise CannotStart(
                f"{child.name} did not finish within {seconds:.0f} s. "
                f"The last lines of {child.log}:\n{child.last_lines()}"
            ) from None
        self.stop([child], 1)
        if child.process.returncode != 0:
            raise child.obituary()

    def check(self) -> None:
        """Raises ChildDied for the first child that has ended by itself."""
        for child in self.running:
            if not child.running:
                raise child.obituary()

    def stop(self, children: Iterable[Child], seconds: float) -> None:
        """Ask these to end, wait, and kill what is left of their sessions at the deadline."""
        chosen = list(children)
        for child in chosen:
            if child.running:
                child.process.send_signal(child.stop_signal)
        end = time.monotonic() + seconds
        for child in chosen:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, end - time.monotonic()))
        for child in chosen:
            proc.kill_group(child.process.pid)
            child.process.wait()
            if child in self.running:
                self.running.remove(child)
        self._write_record()

    def end(self) -> None:
        """After the last stop: kill whatever our children started elsewhere, and forget the record."""
        self.stop(self.running, 0.0)
        proc.kill_marked(TOKEN, self._token)
        self._record.unlink(missing_ok=True)

    def _log_of(self, name: str) -> Path:
        log = self._logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        return log

    def _write_record(self) -> None:
        rows = [
            {"name": child.name, "pid": child.process.pid, "started": proc.started(child.process.pid)}
            for child in self.running
        ]
        temporary = self._record.with_suffix(".new")
        temporary.write_text(json.dumps({"token": self._token, "children": rows}), encoding="utf-8")
        temporary.replace(self._record)


def clean_leftovers(folder: Path) -> list[str]:
    """End what a killed run of this folder left; its names. Call only while holding the folder's lock."""
    record = folder / "run.json"
    try:
        kept = json.loads(record.read_text(encoding="utf-8"))
        rows, token = list(kept["children"]), str(kept["token"])
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        record.unlink()
        return []
    ended = [row["name"] for row in rows if proc.end_group(row["pid"], row["started"])]
    proc.kill_marked(TOKEN, token)
    record.unlink()
    return ended
