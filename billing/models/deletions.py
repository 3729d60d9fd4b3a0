"""Accounts that are to be deleted, and how far that has come."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class Deletion(Model):
    """Somebody asked for their account to be deleted, once for each time that they did; at most one is open.

    ``due_at``: when it is done, also on the person's row while it is open. ``begun_at``: from when on it can't be taken
    back, since their plans are being ended. ``tries``, ``next_try_at``, ``problem``: what stands in the way.
    ``told_at``: when the person was told of that. It ends with ``undone_at`` or ``done_at``.
    """

    __tablename__ = "deletions"
    __table_args__ = (
        Index(
            "uq_deletions_open",
            "user_id",
            unique=True,
            postgresql_where=text("undone_at is null and done_at is null"),
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    asked_at: Mapped[Made]
    due_at: Mapped[Moment]
    begun_at: Mapped[Moment | None]
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    next_try_at: Mapped[Moment | None]
    problem: Mapped[Str | None]
    told_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]
    done_at: Mapped[Moment | None]

    @property
    def open(self) -> bool:
        return self.undone_at is None and self.done_at is None
