"""The official Stripe CLI, which the tests let loose on the sandbox: from npm, where npm is here.

`python -m local.stripe_cli` makes sure that it is there, or says why not; tests that need it are then skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from local import npm

PACKAGE = "@stripe/cli"
VERSION = "1.52.0"
FOLDER = Path(sys.prefix) / "stripe-cli"


def find() -> Path | None:
    """The program of the pinned version, or None."""
    programs = [*FOLDER.glob("node_modules/@stripe/cli-*/bin/stripe")]
    return programs[0] if programs and _version(programs[0]) == VERSION else None


def why_not() -> str:
    """One sentence for whoever reads that tests were skipped."""
    if shutil.which("npm") is None:
        return f"needs npm, which would install {PACKAGE} {VERSION}"
    return f"npm could not install {PACKAGE} {VERSION}: run `make test` with a network once"


def ensure() -> Path | None:
    """The program, installed first where that is possible."""
    if find() is None and shutil.which("npm"):
        print(f"Installing the Stripe CLI {VERSION} with npm…", flush=True)
        # its install script only fetches what the package for this platform carries already
        npm.install(FOLDER, f"{PACKAGE}@{VERSION}")
    return find()


def _version(program: Path) -> str:
    try:
        asked = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return ""
    return asked.stdout.partition("version ")[2].partition("\n")[0].strip()


def main() -> int:
    found = ensure()
    print(f"Stripe CLI: {found or 'not here; ' + why_not()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
