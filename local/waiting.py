"""Waiting for what was started to answer, with a deadline and an eye on the processes."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from local.errors import CannotStart


def until(
    what: str, condition: Callable[[], bool], check: Callable[[], None], seconds: float = 180.0
) -> None:
    """Ask ``condition`` until it holds; ``check`` raises where waiting has become pointless.

    Raises CannotStart, naming ``what``, at the deadline.
    """
    end = time.monotonic() + seconds
    while not condition():
        check()
        if time.monotonic() > end:
            raise CannotStart(
                f"{what} did not answer within {seconds:.0f} s; the logs in the data folder say why."
            )
        time.sleep(0.05)


def says_ok(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return False
