"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}. ${create_date.strftime("%Y-%m-%d")}.

Before you write this migration:
* The code of the release before runs while it runs, and after it: add first, stop using, remove in a later release.
* It waits at most 2 s for a lock (migrations/env.py). No rewrite of a large table; a new column has no volatile default.
* An index on a table with rows is made CONCURRENTLY, in an autocommit block, alone in its migration.
* There is no way back: a mistake is mended by the next migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only; write another one.")
