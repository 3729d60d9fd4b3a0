"""What npm installs, where npm is here: each thing into a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

WITHIN = 300.0  # seconds


def install(folder: Path, *packages: str) -> None:
    """These packages, each with its version; none of their install scripts is run.

    Nothing is raised where npm is not here, or fails: whoever wants them looks whether they are there.
    """
    if shutil.which("npm") is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    words = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
    quiet = subprocess.DEVNULL
    try:
        subprocess.run(
            [*words, "--no-save", *packages],
            stdin=quiet, stdout=quiet, stderr=quiet, timeout=WITHIN, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"npm did not answer within {WITHIN:.0f} seconds.", flush=True)
