"""A launch whose answer was lost comes to an end on paper too, also where everybody who knew of it has forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from jobs.errors import Unknown
from jobs.lifecycle import AttemptState, JobState
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import Agent, World
from trainer.storage import FolderStore, StoreFault

HOUR = a_spec(minutes=60)


def forgetful(clock: FakeClock, *, idempotent: bool = True) -> FakeProvider:
    """Return a cloud that shows nothing of a machine an hour after its end, nor knows its key then."""
    traits = some_traits(idempotent=idempotent)
    return FakeProvider(clock, traits=traits, native_end=True, forget_after=timedelta(hours=1))


def test_a_machine_that_spoke_and_was_forgotten_while_the_bot_was_down_is_written_off(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, forgetful(clock), clock=clock)
    world.cloud.lose_answers()
    job_id = world.launch(HOUR)
    Agent(world, job_id).says("stage", stage="run", note="").ends()
    world.clock.advance(hours=6)
    world.restart()
    world.pass_time(minutes=15, every=60)

    assert world.states(job_id) == (JobState.SUCCEEDED, [AttemptState.GONE])
    assert world.balanced() and world.period().held == 0


def test_a_machine_that_spoke_and_was_forgotten_is_not_launched_once_more(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, forgetful(clock), clock=clock)
    world.cloud.lose_answers()
    job_id = world.launch(a_spec(minutes=600))
    Agent(world, job_id).says("stage", stage="run", note="").ends()
    world.cloud.machines.clear()  # it ended by itself long ago
    world.clock.advance(hours=3)
    world.restart()
    world.pass_time(minutes=15, every=60)

    assert world.cloud.machines == []
    assert world.states(job_id) == (JobState.SUCCEEDED, [AttemptState.GONE])


class Gone(FolderStore):
    """A store that is away, or gone for ever."""

    def get(self, key: str, most: int = -1) -> bytes | None:
        raise StoreFault("there is no such bucket")

    def size(self, key: str) -> int | None:
        raise StoreFault("there is no such bucket")

    def put(self, key: str, data: bytes) -> None:
        raise StoreFault("there is no such bucket")


def stopped_without_a_store(tmp_path: Path) -> tuple[World, str]:
    """Return a job whose launch nobody answered, stopped while the store is away."""
    world = World(tmp_path)
    world.cloud.fail("launch", Unknown("timed out"))
    job_id = world.launch(HOUR)
    world.store = Gone(tmp_path)
    world.restart()
    world.stop(job_id)
    world.pass_time(minutes=90, every=60)
    return world, job_id


def test_a_launch_that_nobody_answered_ends_though_the_store_is_gone_for_ever(tmp_path: Path) -> None:
    world, job_id = stopped_without_a_store(tmp_path)
    assert world.job(job_id).state is JobState.STOPPING
    world.pass_time(hours=1, every=60)

    assert world.job(job_id).state is JobState.CANCELLED
    assert (world.job(job_id).charged or 0) > 0  # for what may have stood
    assert world.balanced() and world.period().held == 0


def test_a_store_that_is_away_makes_nobody_pay_for_a_machine_that_never_was(tmp_path: Path) -> None:
    world, job_id = stopped_without_a_store(tmp_path)
    world.store = FolderStore(tmp_path)
    world.restart()
    world.pass_time(minutes=10, every=60)

    assert world.states(job_id) == (JobState.CANCELLED, [AttemptState.NEVER])
    assert (world.job(job_id).charged, world.period().held) == (0, 0)


def test_a_provider_that_never_answers_is_not_asked_for_ever(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, forgetful(clock, idempotent=False), clock=clock)
    world.cloud.fail("launch", *[Unknown("timed out") for _ in range(1000)])
    job_id = world.launch(HOUR)
    world.pass_time(hours=3, every=120)

    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "launch_failed")
    assert world.balanced() and world.period().held == 0
