"""Several machines train together: when the command of each ended, and that of the first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("attempt", sa.Column("left_at", UTCDateTime(), nullable=True))
    op.add_column("job", sa.Column("first_left_at", UTCDateTime(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("job", "first_left_at")
    op.drop_column("attempt", "left_at")
