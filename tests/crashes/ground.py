"""Where histories take place: a folder on a disk of memory, with the database as it is before a story, ready to copy.

Migrating takes longer than a whole history, so it is done once; a team with its month is written by the product's own
code. A commit waits for no disk here: what is on trial is what was committed, not how a disk keeps it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs import db
from jobs.db import Database
from jobs.engine import connect
from tests.crashes.scenarios import Scenario
from tests.crashes.world import House
from tests.support.builders import a_team
from tests.support.clock import START

MEMORY = Path("/dev/shm")


@contextmanager
def ground() -> Iterator[House]:
    """Make a place for histories, one after the other, and clear it away afterwards."""
    root = Path(tempfile.mkdtemp(prefix="hourglass-crashes-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield _house(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _house(root: Path) -> House:
    file = root / "rows.db"
    empty = root / "empty.db"
    Database.open(f"sqlite:///{empty}").close()
    schema = empty.read_bytes()
    made: dict[str, bytes] = {}

    def template(scenario: Scenario) -> bytes:
        if scenario.name not in made:
            made[scenario.name] = _with_team(root / "team.db", schema, scenario)
        return made[scenario.name]

    return House(engine=connect(f"sqlite:///{file}"), file=file, folder=root / "store", template=template)


def _with_team(file: Path, schema: bytes, scenario: Scenario) -> bytes:
    file.write_bytes(schema)
    database = Database.open(f"sqlite:///{file}")
    with database.write() as tx:
        team = a_team(**scenario.team)
        tx.add(team)
        tx.flush()
        db.period_of(tx, team, START)
    database.close()
    return file.read_bytes()
