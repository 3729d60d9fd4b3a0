"""Which migration the database is at, and which one this code needs."""

from __future__ import annotations

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
    return _scripts().get_current_head()


def is_too_old(session: Session) -> bool:
    """Whether this code needs a migration that the database has not had.

    The release before goes on serving after a migration, so a newer schema, which this code doesn't know, is as good.
    """
    version = found(session)
    return version != wanted() and (version is None or version in _known())


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    folder = current_app.extensions["migrate"].directory
    return ScriptDirectory(f"{current_app.root_path}/{folder}")
