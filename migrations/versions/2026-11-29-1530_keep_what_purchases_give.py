"""keep what purchases give

Revision: 0010. 2026-11-29. A ledger of what people hold for what they bought once, and columns that may be empty for
what an order promises: the code before neither knows nor fills them, and gives nothing for its own orders.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("checkout_sessions", "payments"):
        op.add_column(table, sa.Column("credits", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("gives", sa.Text(), nullable=True))
    op.add_column("payments", sa.Column("refunded_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("cause_event_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind in ('granted','taken_back','given_back','spent')", name=op.f("ck_grants_kind")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_grants_user_id")),
        sa.ForeignKeyConstraint(
            ["cause_event_id"], ["stripe_events.event_id"], name=op.f("fk_grants_cause_event_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint("key", name=op.f("uq_grants_key")),
    )
    op.create_index(op.f("ix_grants_user_id"), "grants", ["user_id"])
    op.create_index(op.f("ix_grants_payment_intent"), "grants", ["payment_intent"])


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
