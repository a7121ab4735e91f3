"""Alembic's entry: runs the revisions over the connection that `jobs.engine` hands in, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

connection = context.config.attributes["connection"]
# SQLite cannot alter a table: Alembic copies it instead.
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
context.run_migrations()
