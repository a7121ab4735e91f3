"""How a database is opened: connections that begin when told to, a journal that survives, the newest schema.

Python's SQLite driver opens transactions by itself, and only before it writes: two readers then race to become
writers, and one of them fails. Here every transaction is begun by name: `BEGIN IMMEDIATE` to write (writers
queue before they read), a plain `BEGIN` to read one consistent state. Whether somebody who only reads has written is
seen by the count of changed rows: a pragma that forbids it makes SQLite prepare every statement anew, which takes
longer than running them.

It is the dialect that begins, not a listener: an engine that has one asks about listeners at each statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, PoolProxiedConnection, create_engine, event, inspect
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from jobs.errors import Misconfigured

NEWEST = "0008"  # the last revision under migrations/versions

DEFAULT_PATIENCE = 5.0
_PATIENCE = "hourglass_patience"  # of a connection's `info`: what its pragma says now

_CACHE = {"cached_statements": 512}  # prepared ones a connection; a pass and a round of messages have more than 128

_PRAGMAS = (
    f"PRAGMA busy_timeout={DEFAULT_PATIENCE * 1000:.0f}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a committed hold must survive a power cut
    "PRAGMA foreign_keys=ON",
)


class BegunByName(SQLiteDialect_pysqlite):
    """SQLite, whose transactions are begun to write unless `transaction` began them otherwise."""

    driver = "begun"
    supports_statement_cache = True

    def do_begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Begin a transaction."""
        if not _driver(dbapi_connection).in_transaction:
            _begin(dbapi_connection, reads=False, patience=DEFAULT_PATIENCE)


registry.register("sqlite.begun", __name__, BegunByName.__name__)


def in_memory(url: URL) -> bool:
    """Say whether this database lives in one connection and dies with it."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def connect(address: str) -> Engine:
    """Return the engine for a database URL; makes the folder of a SQLite file. Raises `Misconfigured`."""
    try:
        url = make_url(address)
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True, json_deserializer=from_json)
        if in_memory(url):
            options: dict[str, Any] = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False, **_CACHE}}
        else:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
            # One connection a thread that reads: Bolt's ten, the scheduler's, the notifier's.
            options = {"pool_size": 8, "max_overflow": 24, "connect_args": _CACHE}
        # Each transaction is ended by name, too: nothing is left to be rolled back when its connection is given back.
        options["pool_reset_on_return"] = None
        engine = create_engine(url.set(drivername="sqlite+begun"), json_deserializer=from_json, **options)
    except (ArgumentError, ModuleNotFoundError, OSError) as error:
        raise Misconfigured(f"DATABASE_URL cannot be used: {error}. Leave it unset for a SQLite file.") from error
    event.listen(engine, "connect", _prepare)
    return engine


@contextmanager
def transaction(engine: Engine, *, reads: bool = False, patience: float = DEFAULT_PATIENCE) -> Iterator[Connection]:
    """Open one transaction: committed at the end of the block, rolled back when it raises.

    `patience` are the seconds for which another process that writes is waited for; then
    `sqlalchemy.exc.OperationalError` is raised. With `reads` nothing is committed, and the same is raised at the end
    where rows were changed.
    """
    with engine.connect() as connection:
        ours = isinstance(engine.dialect, BegunByName)
        changes = _begin(connection.connection, reads=reads, patience=patience) if ours else 0
        begun = connection.begin()
        if not reads:
            with begun:
                yield connection
            return
        yield connection
        if ours and _driver(connection.connection).total_changes != changes:
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("attempt to write while reading"))


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: PoolProxiedConnection, *, reads: bool, patience: float) -> int:
    """Begin by name; return how many rows were changed through this connection so far."""
    driver, info = _driver(connection), connection.info
    try:
        # Most transactions are like the last one; whoever reads waits for nobody.
        if not reads and info.get(_PATIENCE) != patience:
            driver.execute(f"PRAGMA busy_timeout={patience * 1000:.0f}")
            info[_PATIENCE] = patience
        driver.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise OperationalError("BEGIN", None, error) from error
    return driver.total_changes


def _driver(connection: PoolProxiedConnection) -> sqlite3.Connection:
    driver = connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # the dialect's own  # noqa: S101
    return driver


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction: a second process waits, then finds it done."""
    try:
        if revision(engine) == NEWEST:
            return  # as at nearly every start, which Alembic's import would make a quarter of a second longer
        from jobs import schema

        with transaction(engine) as connection:
            schema.upgrade(connection)
    except DatabaseError as error:
        address = engine.url.set(drivername=engine.url.get_backend_name()).render_as_string()
        raise Misconfigured(f"The database {address} cannot be opened: {error.orig}.") from error


def revision(engine: Engine) -> str | None:
    """Return the schema's revision, None for an empty database."""
    with transaction(engine, reads=True) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return found
