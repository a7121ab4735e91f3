"""Machines that need nothing cost a pass next to nothing: what it asks the database does not grow with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlmodel import Session

from jobs import db, glances
from jobs.lifecycle import JobState
from tests.support.builders import a_spec
from tests.support.databases import connection_of
from tests.support.world import World

SPEC = a_spec(minutes=600)


def statements_of(world: World, work: Callable[[], object]) -> int:
    """Return how many statements the work sent."""
    sent: list[str] = []
    connection = connection_of(world.db.engine)
    connection.set_trace_callback(sent.append)  # the driver's own, which misses nothing
    work()
    connection.set_trace_callback(None)
    return len(sent)


@pytest.mark.parametrize("part", ["enforce", "follow"])
def test_a_quiet_round_sends_as_many_statements_for_nine_machines_as_for_three(tmp_path: Path, part: str) -> None:
    world = World(tmp_path)
    work = world.rentals.enforce if part == "enforce" else world.follow.round
    sent: list[int] = []
    for _ in range(2):
        for _ in range(3 if not sent else 6):
            world.running(SPEC)
        world.tick()
        sent.append(statements_of(world, work))
    assert sent[0] == sent[1]


def test_a_machine_that_needs_a_hand_among_many_gets_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    ids = [world.running(SPEC)[0] for _ in range(4)]
    world.tick()
    world.stop(ids[2])
    world.tick()
    told = [world.told_to_stop(job_id) for job_id in ids]
    assert [control and control.stop for control in told] == [None, None, "stopped", None]
    world.cloud.reclaim(world.attempts(ids[1])[0].launch_key)
    world.tick()
    assert [world.attempts(job_id)[0].gone_at is not None for job_id in ids] == [False, True, False, False]


def test_a_glance_refuses_what_it_did_not_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.running(SPEC)
    with world.db.read() as tx:
        (job,) = glances.jobs_with_machine(tx)
        assert job.state is JobState.RUNNING
        with pytest.raises(DetachedInstanceError):
            _ = job.request


def test_a_row_of_an_earlier_look_and_the_transactions_own_are_both_brought_up_to_date(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    earlier = world.job(job_id)
    with world.db.write() as tx:
        own = db.get_job(tx, job_id)
        db.touch(tx, earlier, world.now(), step=7)
        assert (earlier.step, earlier.version) == (own.step, own.version) == (7, version_of(tx, job_id))


def version_of(tx: Session, job_id: str) -> int:
    """Return the version in the database itself."""
    found: int = tx.connection().exec_driver_sql("SELECT version FROM job WHERE id = ?", (job_id,)).scalar_one()
    return found
