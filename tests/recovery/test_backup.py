"""A copy is whole, checked, never laid over another file; put back, it is brought up to date by the recovery."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import update

from jobs.backup import backup, check, file_of, restore
from jobs.db import Database
from jobs.errors import Misconfigured
from jobs.lifecycle import JobState
from jobs.model import Team
from tests.recovery.loss import books, recovered
from tests.support.clock import START
from tests.support.databases import connection_of
from tests.support.mortal import MortalDatabase
from tests.support.world import World


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return an empty database of the newest schema, in a file."""
    path = tmp_path / "state" / "hourglass.db"
    Database.open(f"sqlite:///{path}").close()
    return path


def a_world_on_disk(folder: Path, path: Path) -> World:
    """Return a world whose rows lie in the file from now on."""
    world = World(folder)
    with closing(sqlite3.connect(path)) as file:
        connection_of(world.db.engine).backup(file)
    reopen(world, path)
    return world


def reopen(world: World, path: Path) -> None:
    """Start the bot over the file."""
    world.db = MortalDatabase(Database.open(f"sqlite:///{path}", migrate=False).engine, world.fate)
    world.restart()


def test_a_copy_is_made_while_somebody_writes(database: Path, tmp_path: Path) -> None:
    world = a_world_on_disk(tmp_path / "store", database)
    first = world.queued()
    with world.db.write() as tx:  # a writer in the middle of its transaction
        tx.exec(update(Team).values(cap=1))
        made = backup(database, tmp_path / "copy.db")
    assert (made.jobs, made.size) == (1, made.path.stat().st_size)
    with closing(sqlite3.connect(made.path)) as copy:
        assert copy.execute("SELECT id FROM job").fetchall() == [(first,)]
        assert copy.execute("SELECT cap FROM team").fetchall() == [(300_000_000,)]  # not what was never committed
    assert made.path.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "state"]


def test_a_copy_put_back_is_brought_up_to_date_and_balances(database: Path, tmp_path: Path) -> None:
    world = a_world_on_disk(tmp_path / "store", database)
    first, agent = world.running()
    world.rentals.enforce()
    made = backup(database, tmp_path / "copy.db")
    agent.ends()
    world.pass_time(minutes=5)
    second, _ = world.running()
    world.rentals.enforce()
    before = books(world)
    world.db.close()
    aside = restore(made.path, database, world.now())
    assert aside is not None
    assert check(aside) == 2  # the newer one was put aside, not thrown away
    reopen(world, database)
    assert (world.job(first).state, made.jobs) == (JobState.RUNNING, 1)
    assert recovered(world).report.added == [second]
    assert books(world) == before
    world.pass_time(timedelta(hours=5), every=900)
    assert (world.cloud.alive(), world.period().held, world.balanced()) == ([], 0, True)


def test_an_existing_file_is_never_written_over(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(Misconfigured, match=r"copy\.db is there already"):
        backup(database, target)
    assert target.read_text() == "precious"


def test_what_cannot_be_copied_or_put_back_is_said_in_a_sentence(database: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database\n" * 100)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE cats (name)")
    whole = database.read_bytes()
    for call, words in (
        (lambda: backup(text, tmp_path / "a"), "cannot be read as a SQLite database"),
        (lambda: backup(tmp_path / "none.db", tmp_path / "a"), "no database at .*none.db yet"),
        (lambda: backup(database, tmp_path / "no" / "a"), "no folder .*no to put a into"),
        (lambda: restore(text, database, START), "notes.txt cannot be read as a SQLite database"),
        (lambda: restore(tmp_path / "none.db", database, START), "no file .*none.db"),
        (lambda: restore(other, database, START), "none of Hourglass"),
        (lambda: file_of("postgresql://bot:pw@db/x"), "pg_dump"),
    ):
        with pytest.raises(Misconfigured, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
        assert "pw" not in str(raised.value)
    assert database.read_bytes() == whole
    assert not (tmp_path / "a").exists()


def test_a_damaged_copy_is_not_put_back(database: Path, tmp_path: Path) -> None:
    world = a_world_on_disk(tmp_path / "store", database)
    for _ in range(40):
        world.queued(hold=1)
    made = backup(database, tmp_path / "copy.db")
    data = bytearray(made.path.read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    made.path.write_bytes(data)
    with pytest.raises(Misconfigured, match=r"damaged|cannot be read"):
        restore(made.path, database, START)
    assert check(database) == 40
