"""A folder of data that one program at a time may use."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from local import envfile
from local.errors import CannotStart


class Lock:
    """Held until ``release`` or until this process ends, however it ends."""

    def __init__(self, path: Path, taken: str) -> None:
        """Take it. Raises CannotStart with ``taken`` (where {pid} is its holder) when somebody has it."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise CannotStart(taken.format(pid=holder)) from problem
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_folder(folder: Path) -> Lock:
    """Make the folder, private to its owner, and lock it. Raises CannotStart."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Lock(
            folder / "lock",
            f"Dunlin is running from this folder already (process {{pid}}, data in {folder}); "
            "stop it with Ctrl-C in its terminal, or with `kill {pid}`.",
        )
    except NotADirectoryError as problem:
        raise CannotStart(f"{folder} is a file; move it away and run again.") from problem
    except FileExistsError as problem:
        raise CannotStart(f"{folder} is a file; move it away and run again.") from problem
    except OSError as problem:
        raise CannotStart(
            f"{folder} can’t be used ({problem.strerror}); {envfile.advice(folder / 'lock')}"
        ) from problem
