"""say more of a standing

Revision: 0004. 2026-11-29. A table of its own for access that admins give, and columns that may be empty or have a
default: the code before neither knows nor needs them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("trial_end_behavior", sa.Text(), nullable=True))
    op.add_column("subscriptions", sa.Column("known", postgresql.JSONB(), nullable=True))
    op.add_column("invoices", sa.Column("due_date", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "invoices", sa.Column("processing", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "comps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.BigInteger(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_comps_user_id")),
        sa.ForeignKeyConstraint(["given_by"], ["users.id"], name=op.f("fk_comps_given_by")),
        sa.ForeignKeyConstraint(["ended_by"], ["users.id"], name=op.f("fk_comps_ended_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comps")),
    )
    op.create_index(op.f("ix_comps_user_id"), "comps", ["user_id"])
    op.create_index(
        "uq_comps_open", "comps", ["user_id"], unique=True, postgresql_where=sa.text("ended_at is null")
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
