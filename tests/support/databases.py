"""Databases in memory, migrated once a process and copied from then on: migrating takes longer than most tests."""

from __future__ import annotations

from functools import cache
from sqlite3 import Connection

from sqlalchemy import Engine

from jobs import engine
from jobs.db import Database


def memory_database() -> Database:
    """Return an empty database in memory with the newest schema, as `Database.open("sqlite://")` makes it."""
    connected = engine.connect("sqlite://")
    _sqlite(connected).deserialize(_migrated())
    return Database(connected)


@cache
def _migrated() -> bytes:
    return _sqlite(Database.open("sqlite://").engine).serialize()


def _sqlite(connected: Engine) -> Connection:
    connection = connected.raw_connection().driver_connection
    assert isinstance(connection, Connection)
    return connection
