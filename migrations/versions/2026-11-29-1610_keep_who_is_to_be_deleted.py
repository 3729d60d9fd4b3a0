"""keep who is to be deleted

Revision: 0014. 2026-11-29. A new table, and two columns of people that may be empty: the code before neither knows nor
fills them. It would not stop somebody who waits to be deleted from buying; the new code ends what they bought.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _moment(name: str) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        _moment("begun_at"),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        _moment("next_try_at"),
        sa.Column("problem", sa.Text(), nullable=True),
        _moment("told_at"),
        _moment("undone_at"),
        _moment("done_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "uq_deletions_open",
        "deletions",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("undone_at is null and done_at is null"),
    )
    op.add_column("users", _moment("deletion_due_at"))
    op.add_column("users", _moment("deleted_at"))


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
