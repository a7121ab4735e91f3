"""When a training last told of a step, and how regularly it does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("job", sa.Column("said_at", UTCDateTime(), nullable=True))
    op.add_column("job", sa.Column("stepped_at", UTCDateTime(), nullable=True))
    op.add_column("job", sa.Column("step_gap", sa.Float(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    for column in ("step_gap", "stepped_at", "said_at"):
        op.drop_column("job", column)
