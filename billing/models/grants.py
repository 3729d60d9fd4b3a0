"""What people hold for what they bought once."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Str


class Grant(Model):
    """One change of what somebody holds. Rows are only ever added: what a person has is the sum of them.

    ``feature``: the one that is given for life (``amount`` 1, or -1 where it is taken back); "" for credits, of which
    ``amount`` is the change. ``key`` is what makes each change happen once. ``payment_intent`` None: credits spent.
    """

    __tablename__ = "grants"
    __table_args__ = (CheckConstraint("kind in ('granted','taken_back','given_back','spent')", name="kind"),)

    id: Mapped[Id]
    key: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    kind: Mapped[Str]
    feature: Mapped[Str]
    amount: Mapped[Big]
    payment_intent: Mapped[Str | None] = mapped_column(index=True)
    product: Mapped[Str | None]
    made_at: Mapped[Made]
    cause_event_id: Mapped[Str | None] = mapped_column(ForeignKey("stripe_events.event_id"))
