"""keep refunds and fraud warnings

Revision: 0011. 2026-11-29. Two new tables, which code before it does not know; and what became of the money of a
dispute, which may be empty. They are filled by events, and for what is past by the reconciler's next full pass.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("stripe_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fetch_no", sa.BigInteger(), nullable=False),
        sa.Column("cause_event_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_refunds_user_id")),
        sa.ForeignKeyConstraint(
            ["cause_event_id"], ["stripe_events.event_id"], name=op.f("fk_refunds_cause_event_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        sa.UniqueConstraint("stripe_id", name=op.f("uq_refunds_stripe_id")),
    )
    op.create_index("ix_refunds_user_id", "refunds", ["user_id"])
    op.create_index("ix_refunds_payment_intent", "refunds", ["payment_intent"])
    op.create_table(
        "fraud_warnings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("stripe_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_intent", sa.Text(), nullable=True),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("actionable", sa.Boolean(), nullable=False),
        sa.Column("fraud_type", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fetch_no", sa.BigInteger(), nullable=False),
        sa.Column("cause_event_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fraud_warnings_user_id")),
        sa.ForeignKeyConstraint(
            ["cause_event_id"], ["stripe_events.event_id"], name=op.f("fk_fraud_warnings_cause_event_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_warnings")),
        sa.UniqueConstraint("stripe_id", name=op.f("uq_fraud_warnings_stripe_id")),
    )
    op.create_index("ix_fraud_warnings_user_id", "fraud_warnings", ["user_id"])
    op.add_column("disputes", sa.Column("funds", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
