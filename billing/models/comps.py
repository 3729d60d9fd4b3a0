"""Access that an admin gave, beside whatever Stripe has."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class Comp(Model):
    """A plan that an admin gave free of charge ``until`` a moment, and why.

    At most one of a person's is open: the partial unique index is what stops two. ``ended_at``: when it was taken
    back or replaced; one that is over by its date alone stays open here, and ``until`` says so.
    """

    __tablename__ = "comps"
    __table_args__ = (
        Index("uq_comps_open", "user_id", unique=True, postgresql_where=text("ended_at is null")),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    plan: Mapped[Str]
    until: Mapped[Moment]
    reason: Mapped[Str]
    given_by: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    given_at: Mapped[Made]
    ended_at: Mapped[Moment | None]
    ended_by: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
