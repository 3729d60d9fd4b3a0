"""Withdrawals from contracts that were made at a distance."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Str


class Withdrawal(Model):
    """Somebody withdrew from the contract behind a subscription: once, and it never changes.

    ``reference``: the number of the first paid invoice. ``name`` and ``email``: as they were given for the receipt.
    """

    __tablename__ = "withdrawals"

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    subscription: Mapped[Str] = mapped_column(unique=True)
    reference: Mapped[Str | None]
    name: Mapped[Str]
    email: Mapped[Str]
    withdrawn_at: Mapped[Made]
