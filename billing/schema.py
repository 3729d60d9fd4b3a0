"""Which migration the database is at, and which one this code needs."""

from __future__ import annotations

from functools import cache

from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session


def found(session: Session) -> str | None:
    """The migration that the database is at; None for an empty one."""
    if session.execute(select(func.to_regclass("alembic_version"))).scalar() is None:
        return None
    return session.execute(text("select version_num from alembic_version")).scalar()


def wanted() -> str | None:
    """The newest migration of this code."""
    return _revisions(_folder())[0]


def is_too_old(session: Session) -> bool:
    """Whether this code needs a migration that the database has not had.

    The release before goes on serving after a migration, so a newer schema, which this code doesn't know, is as good.
    """
    version, (newest, known) = found(session), _revisions(_folder())
    return version != newest and (version is None or version in known)


@cache
def _revisions(folder: str) -> tuple[str | None, frozenset[str]]:
    """The newest of the migrations in this folder, and all of them. Read once: who asks for deep health asks often."""
    scripts = ScriptDirectory(folder)
    return scripts.get_current_head(), frozenset(one.revision for one in scripts.walk_revisions())


def _folder() -> str:
    return f"{current_app.root_path}/{current_app.extensions['migrate'].directory}"
