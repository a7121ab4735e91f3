"""A database that takes nothing more keeps no machine alive: what the rows say already is acted on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlmodel import Session, col, delete

from jobs import db
from jobs.db import Database
from jobs.engine import DEFAULT_PATIENCE
from jobs.errors import NotWritten
from jobs.lifecycle import JobState
from jobs.model import Attempt
from jobs.providers import LaunchOrder
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import START, FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.mortal import Killed
from tests.support.world import World


class Full(Database):
    """Another door to the same rows, through which nothing can be written."""

    @contextmanager
    def write(self, patience: float = DEFAULT_PATIENCE) -> Iterator[Session]:
        raise NotWritten("Nothing was written (database or disk is full).")
        yield  # the mark of a generator


def on_a_full_disk(world: World) -> World:
    """Start the bot anew over a database that takes nothing."""
    world.db = Full(world.db.engine)  # type: ignore[assignment]  # its one difference is what this is about
    world.restart()
    return world


def test_sqlites_word_for_a_full_disk_is_told_and_nothing_of_the_transaction_stands(tmp_path: Path) -> None:
    rows = Database.open(f"sqlite:///{tmp_path / 'rows.db'}")
    with rows.engine.connect() as connection:  # the one connection of the pool: it is taken again
        (pages,) = connection.exec_driver_sql("PRAGMA page_count").one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def write(length: int) -> None:
        with rows.write() as tx:
            db.set_mark(tx, "small", "x", START)
            tx.flush()
            db.set_mark(tx, "large", "x" * length, START)

    with pytest.raises(NotWritten, match="full"):
        write(100_000)
    with rows.read() as tx:
        assert [db.mark(tx, "small"), db.mark(tx, "large")] == [None, None]
    with rows.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={2 * pages + 100}")
    write(100_000)
    with rows.read() as tx:
        assert len(db.mark(tx, "large") or "") == 100_000
    rows.close()


def test_a_full_disk_does_not_keep_a_machine_past_its_deadline(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    rows = world.db
    on_a_full_disk(world)
    world.clock.advance(minutes=61)
    world.rentals.attend(job_id)
    assert world.cloud.alive() == []
    assert world.job(job_id).state is JobState.RUNNING  # nothing could be written of it

    world.db = rows
    world.restart()
    world.tick()
    assert world.job(job_id).state is JobState.TIMED_OUT
    assert world.balanced()


def test_a_machine_that_cannot_be_adopted_does_not_keep_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    deadline = world.job(job_id).deadline
    assert deadline is not None
    tags = {"home": world.ports.home, "job": job_id, "attempt": "9", "key": "stray", "deadline": "9999999999"}
    stray = LaunchOrder(
        launch_key="stray",
        tags=tags,
        deadline=deadline,
        image=None,
        store="file:///s",
        job=job_id,
        attempt=9,
        rank=0,
        env={},
        gpus=1,
        disk_gb=1,
        shm_gb=1,
    )
    world.cloud.launch(an_offer(), stray)
    on_a_full_disk(world)
    world.clock.advance(minutes=61)
    with suppress(NotWritten):  # the mark of the pass
        world.rentals.enforce()
    assert [machine.order.launch_key for machine in world.cloud.alive()] == ["stray"]


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_machine_whose_name_could_not_be_written_ends_at_its_deadline(tmp_path: Path, idempotent: bool) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, traits=some_traits(idempotent=idempotent)), clock=clock)
    world.fate.dies("after launch")
    with pytest.raises(Killed):
        world.launch(a_spec(minutes=60))
    rows = world.db
    on_a_full_disk(world)
    for _ in range(4):
        with suppress(NotWritten):  # the mark of the pass
            world.rentals.enforce()
        assert len(world.cloud.alive()) == 1
        world.clock.advance(minutes=15)
    world.clock.advance(minutes=11)
    with suppress(NotWritten):
        world.rentals.enforce()
    assert world.cloud.alive() == []

    world.db = rows
    world.restart()
    world.pass_time(minutes=2)
    assert world.job("job0001").state is JobState.TIMED_OUT
    assert world.balanced()


def test_a_machine_without_a_row_ends_at_its_tags_deadline_though_no_row_can_be_written(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    with world.db.write() as tx:
        tx.exec(delete(Attempt).where(col(Attempt.job_id) == job_id))  # as in a backup from before its launch
    on_a_full_disk(world)
    for minutes, alive in ((30, 1), (60, 0)):
        world.clock.advance(minutes=minutes)
        with suppress(NotWritten):
            world.rentals.enforce()
        assert len(world.cloud.alive()) == alive
