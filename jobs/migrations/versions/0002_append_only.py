"""What was written down about money and decisions stays as it was written: no row is changed or taken away."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("note", "entry")
CHANGES = ("update", "delete")


def upgrade() -> None:
    """Apply this revision."""
    for table in TABLES:
        for change in CHANGES:
            op.execute(
                f"CREATE TRIGGER tr_{table}_no_{change} BEFORE {change.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: a correction is a new row'); END"
            )


def downgrade() -> None:
    """Take it back."""
    for table in TABLES:
        for change in CHANGES:
            op.execute(f"DROP TRIGGER tr_{table}_no_{change}")
