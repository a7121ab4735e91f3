"""Machines of our home that the rows do not account for: adopted where their job is known, never killed early."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from jobs.lifecycle import AttemptState, JobState
from jobs.providers import LaunchOrder
from tests.recovery.loss import copy, lose
from tests.support.builders import a_spec, an_offer
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import Agent, World

SPEC = a_spec(minutes=60)


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
    job_id = world.queued(SPEC)
    backup = copy(world)
    world.rentals.launch(job_id)
    Agent(world, job_id).says("stage", stage="run", note="")
    world.follow.round()
    deadline = world.job(job_id).deadline
    lose(world, backup)
    assert world.states(job_id) == (JobState.QUEUED, [])
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


def test_a_stray_that_is_said_to_be_ending_is_asked_again(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, end_lag=timedelta(hours=5)), clock=clock)
    world.cloud.launch(an_offer(), order(world, job="another", attempt="1", key="stray"))
    world.pass_time(minutes=63, every=60)
    asked = [call for call in world.cloud.calls if call == ("terminate", "i-0001")]
    assert len(asked) > 1


def test_what_a_machine_cost_that_was_found_after_the_end_is_in_the_months_books(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running(SPEC)
    agent.ends()
    world.tick()
    charged, spent = world.job(job_id).charged or 0, world.period().spent
    stray = order(world, job=job_id, attempt="7", rank="0", key="stray")
    world.cloud.launch(an_offer(), stray)
    world.clock.advance(minutes=30)
    world.pass_time(minutes=1)

    (late,) = [row.billed or 0 for row in world.attempts(job_id) if row.number == 7]
    assert late > 0
    assert spent + late == world.period().spent
    assert charged + late == world.job(job_id).charged
    assert world.balanced() and world.period().held == 0


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
