"""Each pass of the reconciler, and what it found."""

from __future__ import annotations

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class SyncRun(Model):
    """One look at everything. Asked for, then started, then ended; ``problem`` says why one came to no good end.

    ``full``: ended objects were compared too. ``missed``: events that had never reached us. ``compared``: objects
    that Stripe listed. ``looked``: those that were asked about because they differed or our row was old.
    ``healed``: rows that were not as Stripe said, each of them in the audit.
    """

    __tablename__ = "sync_runs"
    __table_args__ = (Index("ix_sync_runs_waiting", "id", postgresql_where=text("started_at is null")),)

    id: Mapped[Id]
    asked_at: Mapped[Made]
    actor: Mapped[Str]
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    missed: Mapped[Big] = mapped_column(default=0, server_default="0")
    full: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    compared: Mapped[Big] = mapped_column(default=0, server_default="0")
    looked: Mapped[Big] = mapped_column(default=0, server_default="0")
    healed: Mapped[Big] = mapped_column(default=0, server_default="0")
    problem: Mapped[Str | None]
