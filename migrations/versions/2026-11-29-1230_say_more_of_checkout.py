"""say more of checkout

Revision: 0006. 2026-11-29. What a Checkout Session was asked for with, so that it is the same at every try, and what
Stripe says of it; and what is taken off a subscription's price. Each column may be empty: the code before neither
knows nor needs them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("trial_end_behavior", sa.Text(), nullable=True),
        sa.Column("promotion_codes", sa.Boolean(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("amount_total", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("checkout_sessions", column)
    op.add_column("subscriptions", sa.Column("discounts", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
