"""What was said about one job, and of one fact, is found without looking through everything that was ever said."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_index("ix_outbox_job", "outbox", ["job_id"])
    op.create_index("ix_outbox_note", "outbox", ["note_id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_outbox_note", "outbox")
    op.drop_index("ix_outbox_job", "outbox")
