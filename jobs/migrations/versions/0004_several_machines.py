"""Several machines train together: what each of them told at its end, and since when one is missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("attempt", sa.Column("outcome", AutoString(), nullable=True))
    op.add_column("job", sa.Column("short_at", UTCDateTime(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("job", "short_at")
    op.drop_column("attempt", "outcome")
