"""Bringing the schema to its newest revision, with Alembic; imported only where a revision is missing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from jobs import model  # noqa: F401  # its import fills SQLModel.metadata, which the migrations compare with
from jobs.errors import Misconfigured


def migrations(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for the migrations in this package, run over `connection`."""
    config = Config()
    config.set_main_option("script_location", (Path(__file__).parent / "migrations").as_posix().replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Apply the revisions that are missing, in the connection's transaction; raises `Misconfigured`."""
    try:
        command.upgrade(migrations(connection), "head")
    except CommandError as error:
        raise Misconfigured(
            f"The database was written by another version of Hourglass: {error}. Start the version that wrote it."
        ) from error
