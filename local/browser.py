"""The browser of the end-to-end tests: Debian's chromium if it is here or can be, else Playwright's own.

The headless shell, which is the same browser without its windows, comes first: it needs a quarter less time.

`python -m local.browser` makes sure that there is one, and says which.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.errors import CannotStart

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
# No call home, so that a test sees only what it caused.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


@dataclass(frozen=True)
class Browser:
    """What Playwright's ``launch`` needs; ``executable`` is None for Playwright's own."""

    executable: str | None
    arguments: tuple[str, ...]


def find() -> Browser | None:
    """The browser that is there, None where there is none."""
    # As root, and in most containers, chromium's own sandbox can't be set up.
    arguments = (*QUIET, "--no-sandbox") if os.geteuid() == 0 else QUIET
    for name in NAMES:
        program = shutil.which(name)
        if program:
            return Browser(program, arguments)
    return Browser(None, arguments) if _playwrights_own() else None


def ensure() -> Browser:
    """The browser, installed first where there is none. Raises CannotStart."""
    attempts = [_install_with_apt] if os.geteuid() == 0 and shutil.which("apt-get") else []
    for install in (*attempts, _install_with_playwright):
        found = find()
        if found:
            return found
        install()
    found = find()
    if found:
        return found
    raise CannotStart(
        "The browser tests need chromium, and it could not be installed; run `sudo apt install chromium` "
        "or `.venv/bin/python -m playwright install chromium`, and run again."
    )


def _playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def _install_with_apt() -> None:
    print("Installing chromium with apt-get…", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in ("update", *(f"install --yes --no-install-recommends {package}" for package in NAMES[:2])):
        if shutil.which(NAMES[0]):
            return
        subprocess.run(
            ["apt-get", "--quiet=2", *words.split()],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=600,
            check=False,
        )


def _install_with_playwright() -> None:
    print("Installing Playwright’s chromium…", flush=True)
    try:
        subprocess.run(
            [sys.executable, "-m", "playwright", "install", "chromium"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return


def main() -> int:
    try:
        found = ensure()
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"Browser: {found.executable or 'Playwright’s chromium'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
