"""keep each reader's language

Revision: 0009. 2026-11-29. New columns that may be empty: the code before neither knows nor breaks them, and what it
writes without them is read as what it is, English and UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("locale", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("time_zone", sa.Text(), nullable=True))
    op.add_column("notices", sa.Column("locale", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
