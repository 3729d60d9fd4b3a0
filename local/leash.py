"""Run a command that can't outlive its starter: `python leash.py SIGNAL PARENT USER -- command…`.

The kernel sends SIGNAL to this process when PARENT dies, however it dies; then we become the command.
Its own session keeps the terminal's Ctrl-C away from it: the starter decides when it ends. USER is
``uid:gid`` to become first, or ``-``. Standard library only, and run as a file, to be quick.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    signal_number, parent, user, _separator, *command = arguments
    if user != "-":
        uid, gid = (int(part) for part in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user: the kernel forgets the wish when credentials change.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the starter has ended")
    try:
        os.execvp(command[0], command)  # noqa: S606 - that is what this file is for
    except OSError as problem:
        sys.exit(f"{command[0]} can’t be started: {problem.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
