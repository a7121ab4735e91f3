"""Databases in memory, migrated once a process and copied from then on: migrating takes longer than most tests.

They share their dialect and its compiled statements too. A bot compiles each statement once in its life; with a
dialect of its own, each test would compile them all anew, which takes longer than running them.
"""

from __future__ import annotations

from functools import cache
from sqlite3 import Connection
from typing import Any

from sqlalchemy import Engine

from jobs import engine
from jobs.db import Database

_STATEMENTS: dict[Any, Any] = {}  # compiled ones, by SQLAlchemy's own keys


def memory_database() -> Database:
    """Return an empty database in memory with the newest schema, as `Database.open("sqlite://")` makes it."""
    return Database(memory_engine())


def memory_engine(content: bytes | None = None) -> Engine:
    """Return the engine of a database in memory: an empty one with the newest schema, or a copy of `content`."""
    connected = engine.connect("sqlite://")
    connected.dialect = _template().dialect
    connected.update_execution_options(compiled_cache=_STATEMENTS)
    connection_of(connected).deserialize(_migrated() if content is None else content)
    return connected


def connection_of(connected: Engine) -> Connection:
    """Return the one connection of a database in memory."""
    connection = connected.raw_connection().driver_connection
    assert isinstance(connection, Connection)
    return connection


@cache
def _template() -> Engine:
    return Database.open("sqlite://").engine


@cache
def _migrated() -> bytes:
    return connection_of(_template()).serialize()
