"""keep evidence and guard the mode

Revision: 0003. 2026-11-28. New columns that may be empty or have a default, and two guards: the code before
neither knows nor breaks them. Events of the other mode were always refused before they were stored.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A database belongs to one mode, which `flask setup` writes down; a CHECK can't know it before.
GUARDS = (
    """
    create function guard_mode() returns trigger language plpgsql as $$
    begin
      if exists (select from installation where livemode <> new.livemode) then
        raise exception 'a row of the other mode can not be kept in %', tg_table_name;
      end if;
      return new;
    end $$
    """,
    """
    create trigger stripe_event_is_of_our_mode before insert or update of livemode on stripe_events
    for each row execute function guard_mode()
    """,
    """
    create trigger subscription_is_of_our_mode before insert or update of livemode on subscriptions
    for each row execute function guard_mode()
    """,
    # The trigger refuses already; without the right nobody gets as far. An owner may give it back to itself,
    # so where a role of its own runs the application, that role should not be the owner (docs/deploy.md).
    "revoke update, delete, truncate on audit from public",
    "revoke update, delete, truncate on audit from current_user",
)


def upgrade() -> None:
    op.add_column("stripe_events", sa.Column("took_ms", sa.Integer(), nullable=True))
    op.add_column(
        "sync_runs", sa.Column("full", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("sync_runs", sa.Column("compared", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("checkout_sessions", sa.Column("once", sa.Text(), nullable=True))
    op.add_column("subscriptions", sa.Column("coming", postgresql.JSONB(), nullable=True))
    op.add_column("users", sa.Column("mail_refused_at", sa.DateTime(timezone=True), nullable=True))
    for guard in GUARDS:
        op.execute(guard)


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
