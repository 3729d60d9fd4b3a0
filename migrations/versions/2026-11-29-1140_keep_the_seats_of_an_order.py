"""keep the seats of an order, and withdrawals

Revision: 0008. 2026-11-29. A new column with a default; the code before writes rows without it, for one seat each.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "checkout_sessions", sa.Column("quantity", sa.Integer(), server_default="1", nullable=False)
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
