"""The bot's database on its bad days: locked for longer than anybody waits, or on a disk that is full.

A full disk is SQLite's own doing as far as it can be: no page may be added to the file, so that what needs one fails
in the middle of its transaction, with SQLite's own error. What would fit into the pages that are there fails at its
commit, as it does where the journal has no room either. A transaction that changes nothing goes through, as it does
on a disk.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from jobs.engine import DEFAULT_PATIENCE
from jobs.errors import NotWritten
from tests.support.databases import connection_of
from tests.support.mortal import Fate, MortalDatabase

UNBOUNDED = 2**32 - 2  # pages, the most that SQLite can count
FULL = "database or disk is full"


class Disk(MortalDatabase):
    """A database with faults that can be switched on, whose process may die around each commit."""

    def __init__(self, engine: Engine, fate: Fate, chance: random.Random) -> None:
        super().__init__(engine, fate)
        self.rows = connection_of(engine)
        self.locked = 0.0  # chance of one transaction
        self.refused = 0  # transactions that came to nothing for want of room
        self.befell: Counter[str] = Counter()
        self._full = False
        self._chance = chance

    @property
    def full(self) -> bool:
        """Whether nothing more can be written."""
        return self._full

    @full.setter
    def full(self, full: bool) -> None:
        (pages,) = self.rows.execute("PRAGMA page_count").fetchone()
        self.rows.execute(f"PRAGMA max_page_count={pages if full else UNBOUNDED}")
        self._full = full

    @contextmanager
    def write(self, patience: float = DEFAULT_PATIENCE) -> Iterator[Session]:
        """Open a transaction, or find the database locked for longer than anybody waits; it may not be committed."""
        if self.locked and self._chance.random() < self.locked:
            self.befell["the database is locked"] += 1
            raise NotWritten("Nothing was written (database is locked). Try again in a moment.")
        before = self.rows.total_changes
        try:
            with super().write(patience) as tx:
                yield tx
                tx.flush()
                if self._full and self.rows.total_changes != before:
                    raise OperationalError("COMMIT", None, sqlite3.OperationalError(FULL))
        except NotWritten:
            self.refused += self._full
            self.befell["no room for a transaction"] += self._full
            raise
