"""Transactions, guarded updates, the schema."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from jobs import db as rows
from jobs import engine, schema
from jobs.db import Database
from jobs.errors import Misconfigured, NotFound, NotWritten, TooLate
from jobs.lifecycle import AttemptEventName, AttemptState, JobEventName, JobState
from jobs.model import NoteKind, Team
from tests.support.builders import a_team
from tests.support.clock import START
from tests.support.house import House


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'state' / 'hourglass.db'}")
    yield database
    database.close()


# ---------------------------------------------------------------- the schema


def test_the_migrated_schema_is_the_one_that_the_code_declares() -> None:
    database = Database.open("sqlite://")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_every_constraint_has_a_name() -> None:
    unnamed = [
        f"{table.name}: {constraint}"
        for table in SQLModel.metadata.tables.values()
        for constraint in table.constraints
        if constraint.name is None
    ]
    assert unnamed == []


def test_migrations_can_be_taken_back() -> None:
    connected = engine.connect("sqlite://")
    engine.upgrade(connected)
    with connected.begin() as connection:
        command.downgrade(schema.migrations(connection), "base")
        left = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
    assert list(left) == ["alembic_version"]


def test_revisions_form_one_line() -> None:
    assert ScriptDirectory.from_config(schema.migrations()).get_heads() == [engine.NEWEST]


def test_a_database_of_a_later_version_is_left_alone_and_says_so(file: Database) -> None:
    with file.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="another version of Hourglass"):
        engine.upgrade(file.engine)
    assert engine.revision(file.engine) == "9999"


def test_two_openings_at_once_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hourglass.db'}"
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Database.open(url), range(4)))
    assert [engine.revision(each.engine) for each in opened] == [engine.NEWEST] * 4
    for each in opened:
        each.close()


def test_a_file_is_opened_in_the_modes_that_survive_a_power_cut(file: Database) -> None:
    with file.write() as tx:
        pragmas = {
            name: tx.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize("url", ["not a url", "nosuch://x", "sqlite:////proc/nowhere/x.db"])
def test_a_database_that_cannot_be_opened_is_a_configuration_error(url: str) -> None:
    with pytest.raises(Misconfigured):
        Database.open(url)


# ---------------------------------------------------------------- transactions


def test_an_error_takes_the_whole_transaction_back(file: Database) -> None:
    with pytest.raises(ZeroDivisionError), file.write() as tx:
        tx.add(a_team())
        tx.flush()
        raise ZeroDivisionError
    with file.read() as tx, pytest.raises(NotFound):
        rows.get_team(tx, "vision")


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_look_never_writes(kind: str, tmp_path: Path) -> None:
    database = Database.open("sqlite://" if kind == "memory" else f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(OperationalError, match="write while reading"), database.read() as tx:
        tx.add(a_team())
        tx.flush()
    with database.write() as tx:
        tx.add(a_team())
    database.close()


def test_a_look_sees_one_state_while_others_write(file: Database) -> None:
    with file.write() as tx:
        tx.add(a_team(id="one"))
    with file.read() as tx:
        assert rows.get_team(tx, "one").id == "one"

        def add() -> None:
            with file.write() as other:
                other.add(a_team(id="two"))

        with ThreadPoolExecutor(1) as pool:
            pool.submit(add).result()
        with pytest.raises(NotFound):
            rows.get_team(tx, "two")


@pytest.mark.parametrize("outer", ["write", "read"])
@pytest.mark.parametrize("inner", ["write", "read"])
def test_a_transaction_inside_another_is_refused_not_deadlocked(outer: str, inner: str) -> None:
    database = Database.open("sqlite://")
    with getattr(database, outer)(), pytest.raises(RuntimeError, match="inside"), getattr(database, inner)():
        pass
    with database.write() as tx:  # and the database is usable after that
        tx.add(a_team())


def test_who_waits_too_long_is_told_that_nothing_was_written(tmp_path: Path) -> None:
    path = tmp_path / "hourglass.db"
    database = Database.open(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotWritten, match="Nothing was written"), database.write(patience=0.01) as tx:
        tx.add(a_team())
    other.execute("COMMIT")
    other.close()
    with database.read() as tx, pytest.raises(NotFound):
        rows.get_team(tx, "vision")
    database.close()


def test_a_thread_that_waits_too_long_for_its_turn_is_told_so(file: Database) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with file.write():
            inside.set()
            leave.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert inside.wait(10)
        with pytest.raises(NotWritten), file.write(patience=0.01):
            pass
        leave.set()
        holder.result()


def test_times_come_back_aware_and_in_utc(file: Database) -> None:
    berlin = datetime(2026, 11, 12, 11, 0, tzinfo=timezone(timedelta(hours=1)))
    with file.write() as tx:
        tx.add(a_team(created_at=berlin))
    with file.read() as tx:
        stored = rows.get_team(tx, "vision").created_at
    assert (berlin, UTC) == (stored, stored.tzinfo)


# ---------------------------------------------------------------- guarded updates


def test_whoever_moves_a_stale_row_comes_too_late() -> None:
    house = House()
    mine = house.asked()
    theirs = house.job(mine.id)
    with house.db.write() as tx:
        rows.move(tx, theirs, JobEventName.FAIL, START)
    with house.db.write() as tx, pytest.raises(TooLate, match="is failed by now"):
        rows.move(tx, mine, JobEventName.HOLD, START)
    assert house.job(mine.id).state == JobState.FAILED


def test_a_change_of_the_card_makes_a_decision_on_the_old_card_too_late() -> None:
    house = House()
    mine = house.asked()
    with house.db.write() as tx:
        rows.touch(tx, rows.get_job(tx, mine.id), START, stage_note="another hand")
    with house.db.write() as tx, pytest.raises(TooLate):
        rows.move(tx, mine, JobEventName.HOLD, START)


def test_touching_counts_up_from_whatever_the_version_is() -> None:
    house = House()
    mine = house.asked()
    theirs = house.job(mine.id)
    with house.db.write() as tx:
        rows.touch(tx, theirs, START, step=10)
    with house.db.write() as tx:
        rows.touch(tx, mine, START, loss=1.5)
    stored = house.job(mine.id)
    assert (stored.version, stored.step, stored.loss) == (3, 10, 1.5)
    assert mine.version == 3


def test_touching_a_job_that_moved_on_comes_too_late() -> None:
    house = House()
    mine = house.asked()
    with house.db.write() as tx:
        rows.move(tx, rows.get_job(tx, mine.id), JobEventName.FAIL, START)
    with house.db.write() as tx, pytest.raises(TooLate):
        rows.touch(tx, mine, START, step=1)


def test_moving_stamps_the_times_that_belong_to_the_event() -> None:
    house = House()
    job = house.with_machine(house.priced())
    assert job.started_at == START
    house.clock.advance(hours=1)
    house.settle(job, 1)
    assert START + timedelta(hours=1) == house.job(job.id).finished_at


def test_an_attempt_moves_under_the_same_guard() -> None:
    house = House()
    job = house.with_machine(house.priced(), running=False)
    with house.db.read() as tx:
        (mine,) = rows.attempts(tx, job.id)
    with house.db.write() as tx:
        (theirs,) = rows.attempts(tx, job.id)
        rows.move_attempt(tx, theirs, AttemptEventName.LAUNCHED, START, instance_id="i-1")
    assert (theirs.state, theirs.launched_at, theirs.instance_id) == (AttemptState.LAUNCHED, START, "i-1")
    with house.db.write() as tx, pytest.raises(TooLate, match="another hand"):
        rows.move_attempt(tx, mine, AttemptEventName.NEVER, START)
    with house.db.read() as tx:
        assert [attempt.state for attempt in rows.live_attempts(tx)] == [AttemptState.LAUNCHED]


# ---------------------------------------------------------------- written once, found again


def test_a_fact_is_written_once() -> None:
    house = House()
    job = house.asked()
    with house.db.write() as tx:
        first = rows.note_on(tx, job, NoteKind.WARNED, START, data={"deadline": 1})
        second = rows.note_on(tx, job, NoteKind.WARNED, START, data={"deadline": 2})
    assert (first, second) == (True, False)
    assert [note.data for note in house.notes(job.id) if note.kind == NoteKind.WARNED] == [{"deadline": 1}]


def test_a_delivery_is_new_once() -> None:
    house = House()
    with house.db.write() as tx:
        assert [rows.seen(tx, key, START) for key in ("a", "a", "b")] == [True, False, True]


def test_an_unknown_job_is_answered_with_the_nearest_one() -> None:
    house = House()
    house.asked()
    with house.db.read() as tx, pytest.raises(NotFound, match=r"`job0081`.*`job0001`"):
        rows.get_job(tx, "job0081")
    with house.db.read() as tx, pytest.raises(NotFound, match="/train list"):
        rows.get_job(tx, "zzzz")


def test_a_job_is_found_by_its_thread() -> None:
    house = House()
    job = house.asked()
    with house.db.write() as tx:
        rows.touch(tx, rows.get_job(tx, job.id), START, thread_ts="171.1")
    with house.db.read() as tx:
        found = rows.find_job_by_thread(tx, "C1TRAIN", "171.1")
        assert (job.id, None) == (found and found.id, rows.find_job_by_thread(tx, "C2OTHER", "171.1"))


def test_a_mark_is_what_it_was_last_set_to() -> None:
    house = House()
    for value in ("1", "2"):
        with house.db.write() as tx:
            rows.set_mark(tx, "notified", value, START)
    with house.db.read() as tx:
        assert (rows.mark(tx, "notified"), rows.mark(tx, "enforced")) == ("2", None)


@pytest.mark.parametrize(
    ("zone", "at", "month"),
    [
        ("UTC", datetime(2026, 11, 30, 23, 59, tzinfo=UTC), "2026-11"),
        ("Asia/Tokyo", datetime(2026, 11, 30, 15, 0, tzinfo=UTC), "2026-12"),
        ("America/Los_Angeles", datetime(2026, 12, 1, 7, 59, tzinfo=UTC), "2026-11"),
        ("America/Los_Angeles", datetime(2026, 12, 1, 8, 0, tzinfo=UTC), "2026-12"),
    ],
)
def test_a_month_begins_in_the_teams_own_zone(zone: str, at: datetime, month: str) -> None:
    assert month == rows.month_of(zone, at)


def test_a_new_month_has_the_cap_and_nothing_else() -> None:
    house = House()
    house.priced()
    house.clock.advance(timedelta(days=30))
    with house.db.write() as tx:
        team: Team = rows.get_team(tx, "vision")
        period = rows.period_of(tx, team, house.clock.now())
        assert (period.month, period.cap, period.held, period.spent) == ("2026-12", 300_000_000, 0, 0)
        assert period.id == rows.period_of(tx, team, house.clock.now()).id
