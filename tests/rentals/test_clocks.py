"""A wall clock that jumps ends, launches and bills nothing by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from jobs import policy
from jobs.lifecycle import AttemptState, JobState
from jobs.values import DOLLAR
from tests.support.builders import a_spec
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World

HOUR = a_spec(minutes=60)


def running_as_the_clock_jumps(folder: Path) -> tuple[World, str]:
    """Let a job run, and the bot's clock be set five hours ahead behind a pass."""
    world = World(folder)
    job_id, _ = world.running(HOUR)
    world.rentals.enforce()
    world.clock.jump(timedelta(hours=5))
    return world, job_id


def test_a_clock_that_jumps_ahead_ends_nothing_in_that_pass(tmp_path: Path) -> None:
    world, job_id = running_as_the_clock_jumps(tmp_path)
    world.rentals.enforce()
    assert (world.job(job_id).state, len(world.cloud.alive())) == (JobState.RUNNING, 1)

    world.clock.jump(timedelta(hours=-5))  # it was corrected
    world.pass_time(minutes=5)
    assert (world.job(job_id).state, len(world.cloud.alive())) == (JobState.RUNNING, 1)


def test_what_is_woken_by_a_jump_before_the_next_pass_ends_nothing(tmp_path: Path) -> None:
    world, job_id = running_as_the_clock_jumps(tmp_path)
    world.rentals.attend(job_id)  # a trigger that the jump made due
    assert (world.job(job_id).state, len(world.cloud.alive())) == (JobState.RUNNING, 1)


def test_nothing_is_launched_by_a_clock_that_jumped_until_it_is_believed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rentals.enforce()
    job_id = world.queued(HOUR)
    world.clock.jump(timedelta(hours=5))
    world.rentals.launch_due()
    world.rentals.launch(job_id)  # a wake that came before the next pass
    assert (world.rentals.due(), world.cloud.machines) == ([], [])
    world.rentals.enforce()
    assert world.rentals.due() == []
    world.clock.jump(timedelta(hours=-5))  # it was corrected
    world.rentals.enforce()
    world.rentals.enforce()
    world.rentals.launch_due()
    (attempt,) = world.attempts(job_id)
    assert attempt.deadline - world.clock.now() <= timedelta(hours=1, minutes=15)


def test_a_jump_that_stays_is_believed_from_the_next_pass_on(tmp_path: Path) -> None:
    world, job_id = running_as_the_clock_jumps(tmp_path)
    world.rentals.enforce()
    world.pass_time(60)
    assert (world.job(job_id).state, world.cloud.alive()) == (JobState.TIMED_OUT, [])


def an_end_while_the_clock_is_wrong(folder: Path, cloud: FakeProvider, truth: FakeClock) -> tuple[World, str]:
    """Let a job finish after half an hour, and the bot's clock be set back before it looks."""
    world = World(folder, cloud)
    job_id, agent = world.running(HOUR)
    world.rentals.enforce()
    truth.advance(timedelta(minutes=30))
    world.clock.advance(timedelta(minutes=30))
    world.clock.jump(timedelta(hours=-2))
    agent.ends()
    world.follow.round()
    world.rentals.enforce()
    return world, job_id


def test_what_ended_while_the_clock_is_wrong_is_billed_by_its_provider(tmp_path: Path) -> None:
    truth = FakeClock()
    cloud = FakeProvider(truth)
    world, job_id = an_end_while_the_clock_is_wrong(tmp_path, cloud, truth)
    (attempt,) = world.attempts(job_id)
    ran = truth.now() - (attempt.launched_at or truth.now())
    half_an_hour = policy.bill(micros_per_hour=2 * DOLLAR, ran=ran, traits=cloud.traits)
    assert (world.job(job_id).state, world.job(job_id).charged) == (JobState.SUCCEEDED, half_an_hour)


def test_what_is_missing_while_the_clock_is_wrong_is_written_off_once_it_is_right(tmp_path: Path) -> None:
    truth = FakeClock()
    cloud = FakeProvider(truth, forget_after=timedelta(0))
    world, job_id = an_end_while_the_clock_is_wrong(tmp_path, cloud, truth)
    world.rentals.attend(job_id)
    (attempt,) = world.attempts(job_id)
    assert (attempt.state, attempt.absent_at, cloud.alive()) == (AttemptState.ENDING, None, [])

    world.clock.jump(timedelta(hours=2))  # it was corrected
    world.pass_time(minutes=3)
    least = policy.bill(micros_per_hour=2 * DOLLAR, ran=timedelta(minutes=30), traits=cloud.traits)
    assert JobState.SUCCEEDED is world.job(job_id).state
    assert least <= (world.job(job_id).charged or 0) <= least * 11 // 10
