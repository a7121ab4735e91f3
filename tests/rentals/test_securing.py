"""Where timers stand beside the machines: no verified timer, no running job; and each layer alone ends a machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.errors import Throttled, Unauthorized, Unknown
from jobs.lifecycle import AttemptState, JobState
from jobs.providers import Guarantee
from jobs.reaper import Reaper
from jobs.values import JobSpec
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import Agent, World

SPEC: JobSpec = a_spec(minutes=60, providers=("cloud",))
DENIED = Unauthorized("AWS did not allow it (AccessDeniedException). Check the bot's policy.")


@pytest.fixture
def world(tmp_path: Path) -> World:
    clock = FakeClock()
    return World(tmp_path, FakeProvider(clock, traits=some_traits(guarantee=Guarantee.EXTERNAL)), clock=clock)


def refused(world: World, error: Exception = DENIED, times: int = 1000) -> None:
    world.cloud.fail("extend", *[error] * times)


def spoken(world: World) -> str:
    """Launch a job whose agent has spoken, and that nobody has looked at since."""
    job_id = world.launch(SPEC)
    Agent(world, job_id).says("stage", stage="run", note="")
    return job_id


def test_a_machine_is_not_heard_before_its_timer_was_seen_to_stand(world: World) -> None:
    job_id = spoken(world)
    assert world.follow.round() == 0
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])
    world.rentals.enforce()
    assert world.cloud.machines[0].limit == world.job(job_id).deadline
    world.follow.round()
    assert world.states(job_id) == (JobState.RUNNING, [AttemptState.UP])


def test_looked_at_once_the_timer_costs_no_further_call(world: World) -> None:
    job_id = spoken(world)
    world.pass_time(minutes=5)
    assert [call for call in world.cloud.calls if call[0] == "extend"] == [("extend", "i-0001")]
    assert world.attempts(job_id)[0].unsecured_since is None


@pytest.mark.parametrize("error", [DENIED, Unknown("no answer"), Throttled("slower")], ids=lambda e: type(e).__name__)
def test_a_machine_that_gets_no_timer_ends_before_its_job_ran(world: World, error: Exception) -> None:
    refused(world, error)
    job_id = spoken(world)
    world.pass_time(minutes=2)
    assert len(world.cloud.alive()) == 1, "it may come yet"
    world.pass_time(minutes=4)
    assert world.cloud.alive() == []
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "unsecured")
    assert world.notes(job_id, "running") == []
    assert (world.job(job_id).charged or 0) > 0, "the minutes in which it stood are paid"
    assert world.balanced()


def test_people_are_told_once_what_to_do_about_a_refusal(world: World) -> None:
    refused(world)
    job_id = spoken(world)
    world.pass_time(minutes=6)
    (told,) = [note.data for note in world.notes(job_id, "trouble")]
    assert told["code"] == "unsecured" and "Check the bot's policy" in told["text"]
    assert "Check the bot's policy" in world.job(job_id).error


def test_a_timer_that_comes_in_time_is_enough(world: World) -> None:
    refused(world, Unknown("no answer"), times=3)
    job_id = spoken(world)
    world.pass_time(minutes=4)
    assert world.states(job_id) == (JobState.RUNNING, [AttemptState.UP])


def test_killed_between_the_timer_and_its_commit_the_next_bot_sees_that_it_stands(world: World) -> None:
    job_id = spoken(world)
    instance = world.cloud.find(world.attempts(job_id)[0].launch_key)
    assert instance is not None
    world.cloud.extend(instance, world.attempts(job_id)[0].deadline)
    world.restart()
    before = len(world.cloud.calls)
    world.tick()
    world.tick()
    assert world.job(job_id).state is JobState.RUNNING
    assert "extend" not in [verb for verb, _ in world.cloud.calls[before:]]


# ---------------------------------------------------------------- while it runs


def running(world: World) -> str:
    job_id = spoken(world)
    world.rentals.enforce()
    world.tick()
    assert world.job(job_id).state is JobState.RUNNING
    return job_id


@pytest.mark.parametrize("off", [None, timedelta(hours=5), -timedelta(minutes=5)])
def test_a_timer_that_went_or_says_another_time_is_put_right_in_the_next_pass(
    world: World, off: timedelta | None
) -> None:
    job_id = running(world)
    deadline = world.job(job_id).deadline
    assert deadline is not None
    world.cloud.machines[0].limit = None if off is None else deadline + off
    world.pass_time(seconds=30)
    assert world.cloud.machines[0].limit == deadline


def test_a_tag_that_says_another_time_is_put_right_for_the_reaper_and_the_machine(world: World) -> None:
    job_id = running(world)
    deadline = world.job(job_id).deadline
    assert deadline is not None
    world.cloud.machines[0].tags["deadline"] = str(int((deadline + timedelta(hours=3)).timestamp()))
    world.pass_time(seconds=30)
    assert world.cloud.machines[0].tags["deadline"] == str(int(deadline.timestamp()))


def test_a_job_whose_timer_went_for_good_is_asked_to_save_and_stop(world: World) -> None:
    job_id = running(world)
    world.cloud.machines[0].limit = None
    refused(world)
    world.pass_time(minutes=9)
    assert world.job(job_id).state is JobState.RUNNING
    world.pass_time(minutes=2)
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.STOPPING, "unsecured")
    assert len(world.cloud.alive()) == 1, "its grace to save in"
    control = world.told_to_stop(job_id)
    assert control is not None and control.stop == "unsecured"


def test_a_scheduler_that_does_not_answer_changes_nothing_for_a_job_that_runs(world: World) -> None:
    job_id = running(world)
    world.cloud.limits_seen = False
    refused(world, Unknown("no answer"))
    world.pass_time(minutes=40)
    assert world.job(job_id).state is JobState.RUNNING
    assert [call for call in world.cloud.calls if call[0] == "extend"] == [("extend", "i-0001")]


def test_the_timer_of_a_machine_that_is_gone_is_cleared_away_though_its_end_was_asked_for_before(world: World) -> None:
    job_id = running(world)
    world.stop(job_id)
    world.pass_time(minutes=10)
    assert world.job(job_id).state is JobState.CANCELLED
    ends = [call for call in world.cloud.calls if call[0] == "terminate"]
    assert len(ends) == 2, "once to end it, once when it was gone"


# ---------------------------------------------------------------- each layer alone


def by_its_timer(world: World) -> None:
    """Nobody is left but the cloud."""


def by_the_pass(world: World) -> None:
    world.rentals.enforce()


def by_the_reaper(world: World) -> None:
    home = world.ports.home
    Reaper({"cloud": world.cloud}, world.clock, home).round()


@pytest.mark.parametrize("layer", [by_its_timer, by_the_pass, by_the_reaper], ids=lambda one: one.__name__)
def test_each_layer_alone_ends_the_machine_at_its_deadline(world: World, layer: Callable[[World], None]) -> None:
    job_id = running(world)
    deadline = world.job(job_id).deadline
    assert deadline is not None
    if layer is not by_its_timer:
        world.cloud.machines[0].limit = None
    world.clock.advance((deadline - world.now()).total_seconds() - 1)
    assert len(world.cloud.alive()) == 1
    world.clock.advance(62)
    layer(world)
    assert world.cloud.alive() == []
