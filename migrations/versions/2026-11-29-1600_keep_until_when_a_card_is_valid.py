"""keep until when a card is valid

Revision: 0012. 2026-11-29. One column that may be empty: code before it neither knows nor fills it, and a row without
it has no card, or was not looked at since.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("card_expires_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
