"""`make run`: the whole product on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from local.environment import Operator
from local.errors import CannotStart
from local.leash import PR_SET_PDEATHSIG
from local.parts import REPOSITORY
from local.ports import Ports
from local.stack import Stack

CARDS = """\
  4242 4242 4242 4242  is paid                4000 0025 0000 3155  asks for 3D Secure
  4000 0000 0000 0002  is declined            4000 0000 0000 9995  lacks the money
  with any date to come and any three digits"""


class Stopped(BaseException):
    """Somebody asked us to end: Ctrl-C, SIGTERM, or the terminal was closed."""


def main() -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 where something can't run or has ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m local.run", description=__doc__)
    parser.add_argument("--data", type=Path, help="keep the data there, and do not read .env")
    folder: Path | None = parser.parse_args().data
    _end_with_make()
    _listen_for_stop()
    stack: Stack | None = None
    try:
        stack = _wanted_stack(folder)
        _say("Starting Dunlin…")
        stack.start()
        _say(block(stack))
        _say(f"READY {stack.addresses.portal}")
        while True:
            time.sleep(0.5)
            stack.check()
    except CannotStart as problem:
        _say(f"\n{problem}", to_stderr=True)
        return 1
    except Stopped:
        _say("\nStopping…")
        _finish(stack)
        _say("Dunlin has stopped.")
        return 0
    finally:
        _finish(stack)


def _wanted_stack(folder: Path | None) -> Stack:
    operator = Operator.of_this_process(None if folder else REPOSITORY / ".env")
    names = ("PORT", "SANDBOX_PORT", "INBOX_PORT")
    ports = Ports.wanted(*(operator.value(name) for name in names))
    data = folder.resolve() if folder else REPOSITORY / ".data"
    return Stack(data, ports=ports, operator=operator, keep=True)


def _finish(stack: Stack | None) -> None:
    _ignore_signals()
    if stack is not None:
        stack.stop()


def block(stack: Stack) -> str:
    """What a person needs to know, on one screen."""
    addresses = stack.addresses
    lines = ["", f"  Portal   {addresses.portal}/", f"  Admin    {addresses.admin}"]
    if addresses.sandbox:
        lines += [
            f"  Sandbox  {addresses.sandbox}/  (plays Stripe; no money moves)",
            f"  Clock    {addresses.clock}  (lets time pass)",
        ]
    if addresses.inbox:
        lines.append(f"  Inbox    {addresses.inbox}/  (every mail that Dunlin sends)")
    lines += ["", *(f"  {who.email:<18} password {who.password}" for who in (stack.admin, stack.demo))]
    if addresses.sandbox:
        lines += ["", CARDS]
    return "\n".join([*lines, "", "  Ctrl-C stops everything."])


def _say(text: str, *, to_stderr: bool = False) -> None:
    try:
        print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)
    except OSError:
        # The terminal is gone; there is nobody to tell, and everything must still be stopped.
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _listen_for_stop() -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _ignore_signals() -> None:
    """Impatient second Ctrl-Cs change nothing: the stop has a deadline. (SIG_IGN would be inherited.)"""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)


def _end_with_make() -> None:
    """Where `make` started us, its death is our SIGTERM."""
    if sys.platform == "linux" and os.environ.get("MAKELEVEL"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
