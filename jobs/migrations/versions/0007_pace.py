"""How fast a training goes, in steps a second."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("job", sa.Column("pace", sa.Float(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("job", "pace")
