"""Copies of people's data that they asked for."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class DataExport(Model):
    """One copy: asked for, ready until ``expires_at``, then expired, when ``content`` (a zip) is erased.

    At most one of a person's is asked for or ready: the partial unique index is what stops two. ``next_attempt_at``:
    from when on somebody may make it; later while somebody does. ``problem``: why it could not be made at all.
    """

    __tablename__ = "data_exports"
    __table_args__ = (
        CheckConstraint("state in ('asked','ready','expired')", name="state"),
        Index(
            "uq_data_exports_open",
            "user_id",
            unique=True,
            postgresql_where=text("state in ('asked','ready')"),
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    state: Mapped[Str] = mapped_column(default="asked")
    asked_at: Mapped[Made]
    next_attempt_at: Mapped[Made]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    ready_at: Mapped[Moment | None]
    expires_at: Mapped[Moment | None]
    problem: Mapped[Str | None]
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
