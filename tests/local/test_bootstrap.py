"""What a newcomer is told when something is missing, and that the pins agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import bootstrap

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        ("fatal error: Python.h: No such file or directory", "apt install python3-dev"),
        ("error: [Errno 2] No such file or directory: 'gcc'", "apt install build-essential"),
        ("NewConnectionError: Failed to establish a new connection", "check the network"),
        ("OSError: [Errno 28] No space left on device", "free about 1 GB"),
        ("ERROR: something new\nand its end", "and its end"),
    ],
)
def test_a_failed_installation_says_what_to_do(log: str, advice: str) -> None:
    assert advice in bootstrap._reason(log)


def test_an_old_python_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 18))
    assert bootstrap.main() == 1
    assert "Dunlin needs Python 3.11 or newer" in capsys.readouterr().err


def test_a_python_without_ensurepip_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(bootstrap.Missing, match="apt install python3-venv"):
        bootstrap._check_ensurepip()


def test_it_needs_nothing_but_the_standard_library() -> None:
    program = "import runpy; runpy.run_path('local/bootstrap.py', run_name='looked at')"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], cwd=REPOSITORY, check=True)


def test_every_requirement_is_pinned_and_pinned_once() -> None:
    pins = dict(_pins("constraints.txt"))
    for file in ("requirements.txt", "requirements-dev.txt"):
        for name, version in _pins(file):
            assert pins.get(name) == version, f"{file} and constraints.txt disagree about {name}"


def _pins(file: str) -> list[tuple[str, str]]:
    lines = (REPOSITORY / file).read_text().splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines]
    found = []
    for line in wanted:
        if line and not line.startswith("-"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[\w+\])?==([\w.]+)", line)
            assert match, f"{file}: {line} is not an exact pin"
            found.append((re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]))
    return found
