"""find a write by what it made

Revision: 0015, after 0014. 2026-11-30. One index more, made while everything goes on. One that was broken off leaves an
index that is not valid and only costs; it is dropped, and made anew.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
NAME = "ix_stripe_writes_stripe_object_id"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "stripe_writes", postgresql_concurrently=True, if_exists=True)
        op.create_index(NAME, "stripe_writes", ["stripe_object_id"], postgresql_concurrently=True)


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
