"""How a database is opened: connections that begin when told to, a journal that survives, the newest schema.

Python's SQLite driver opens transactions by itself, and only before it writes: two readers then race to become
writers, and one of them fails. Here every transaction is begun by name: `BEGIN IMMEDIATE` to write (writers
queue before they read), a plain `BEGIN` on a connection that refuses to write to read one consistent state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.pool import StaticPool

from jobs.errors import Misconfigured

NEWEST = "0002"  # the last revision under migrations/versions

READS = "hourglass_reads"  # an execution option: this engine's transactions never write

PATIENCE = "hourglass_patience"  # an execution option: seconds to wait for another process that writes
DEFAULT_PATIENCE = 5.0
_MODE = "hourglass_mode"  # of a connection's `info`: what its pragmas say now

_PRAGMAS = (
    f"PRAGMA busy_timeout={DEFAULT_PATIENCE * 1000:.0f}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a committed hold must survive a power cut
    "PRAGMA foreign_keys=ON",
)


def in_memory(url: URL) -> bool:
    """Say whether this database lives in one connection and dies with it."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def connect(address: str) -> Engine:
    """Return the engine for a database URL; makes the folder of a SQLite file. Raises `Misconfigured`."""
    try:
        url = make_url(address)
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)
        if in_memory(url):
            options: dict[str, Any] = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        else:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
            # One connection a thread that reads: Bolt's ten, the scheduler's, the notifier's.
            options = {"pool_size": 8, "max_overflow": 24}
        engine = create_engine(url, **options)
    except (ArgumentError, ModuleNotFoundError, OSError) as error:
        raise Misconfigured(f"DATABASE_URL cannot be used: {error}. Leave it unset for a SQLite file.") from error
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    reads = options.get(READS, False)
    patience = options.get(PATIENCE, DEFAULT_PATIENCE)
    if connection.info.get(_MODE) != (reads, patience):  # most transactions are like the last one
        connection.exec_driver_sql(f"PRAGMA busy_timeout={patience * 1000:.0f}")
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
        connection.info[_MODE] = (reads, patience)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction: a second process waits, then finds it done."""
    try:
        if revision(engine) == NEWEST:
            return  # as at nearly every start, which Alembic's import would make a quarter of a second longer
        from jobs import schema

        with engine.begin() as connection:
            schema.upgrade(connection)
    except DatabaseError as error:
        raise Misconfigured(f"The database {engine.url.render_as_string()} cannot be opened: {error.orig}.") from error


def revision(engine: Engine) -> str | None:
    """Return the schema's revision, None for an empty database."""
    with engine.connect().execution_options(**{READS: True}) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return found
