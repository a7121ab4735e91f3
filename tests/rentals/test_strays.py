"""Machines of our home that the rows do not account for: adopted where their job is known, never killed early."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlmodel import delete

from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt, Job, MetricPoint, Note
from jobs.providers import LaunchOrder
from tests.support.builders import a_spec, an_offer
from tests.support.world import Agent, World

SPEC = a_spec(minutes=60)


def forget_attempts(world: World) -> None:
    """Take the database back to before the launch, as an old backup does."""
    with world.db.write() as tx:
        for table in (MetricPoint, Note, Attempt):
            tx.exec(delete(table))


def back_to_queued(world: World, job_id: str) -> None:
    """Let the job be QUEUED and its machine forgotten."""
    forget_attempts(world)
    with world.db.write() as tx:
        job = tx.get_one(Job, job_id)
        job.state, job.attempt, job.deadline, job.started_at = JobState.QUEUED, 0, None, None
        tx.add(job)


def order(world: World, **tags: str) -> LaunchOrder:
    """Return the order of a machine that somebody else launched."""
    deadline = world.now() + timedelta(hours=1)
    return LaunchOrder(
        launch_key=tags.get("key", "k"),
        tags={"home": world.ports.home, "deadline": str(int(deadline.timestamp())), **tags},
        deadline=deadline,
        image=None,
        store="file:///s",
        job=tags.get("job", "nobody"),
        attempt=1,
        rank=0,
        env={},
        gpus=1,
        disk_gb=1,
        shm_gb=1,
    )


def test_a_machine_of_a_restored_database_gets_its_row_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    deadline = world.job(job_id).deadline
    back_to_queued(world, job_id)
    world.restart()
    world.rentals.enforce()

    (attempt,) = world.attempts(job_id)
    assert (world.job(job_id).state, len(world.cloud.machines)) == (JobState.PROVISIONING, 1)
    assert (AttemptState.LAUNCHED, "i-0001", deadline) == (attempt.state, attempt.instance_id, attempt.deadline)
    Agent(world, job_id).says("stage", stage="run", note="").ends()
    world.tick()
    assert (world.job(job_id).state, world.cloud.alive()) == (JobState.SUCCEEDED, [])
    assert world.balanced()


def test_a_machine_of_a_job_that_moved_on_is_ended(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running(SPEC)
    agent.ends()
    world.tick()
    assert JobState.SUCCEEDED is world.job(job_id).state
    stray = order(world, job=job_id, attempt="7", rank="0", key="stray")
    world.cloud.launch(an_offer(), stray)
    world.pass_time(minutes=1)
    assert world.cloud.alive() == []


def test_a_machine_that_was_written_off_and_lives_is_ended(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, agent = world.running(SPEC)
    agent.ends()
    world.tick()
    world.cloud.machines[0].ends_at = None  # the provider had told an untruth
    world.tick()
    assert world.cloud.alive() == []


def test_a_machine_that_nobody_knows_lives_to_its_own_deadline(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.launch(an_offer(), order(world, job="another", attempt="1", key="stray"))
    world.pass_time(minutes=59, every=300)
    assert len(world.cloud.alive()) == 1
    world.pass_time(minutes=2)
    assert world.cloud.alive() == []


def test_machines_of_another_home_are_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.launch(an_offer(), order(world, job="another", attempt="1", key="stray", home="someone-elses"))
    world.pass_time(hours=3, every=1800)
    assert len(world.cloud.alive()) == 1


def test_a_machine_without_a_deadline_is_left_to_people(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.launch(an_offer(), order(world, job="another", key="stray", deadline="soon"))
    world.pass_time(hours=3, every=1800)
    assert len(world.cloud.alive()) == 1
