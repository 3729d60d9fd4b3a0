"""keep who pays with what, and until when a plan rests

Revision: 0007. 2026-11-29. Two columns that may be empty: code before it neither knows nor fills them, and a row
without them was not looked at since.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("payment_methods", postgresql.JSONB(), nullable=True))
    op.add_column("subscriptions", sa.Column("resumes_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
