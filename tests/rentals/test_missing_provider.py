"""A provider that is no longer configured while a machine of it stands: loud, held for, never settled in silence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from jobs import policy
from jobs.lifecycle import AttemptState, JobState
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World

HOUR = a_spec(minutes=60, providers=("cloud",))


def without_its_provider(world: World) -> FakeProvider:
    """Start the bot anew without the first provider; return that."""
    gone, world.clouds = world.clouds[0], world.clouds[1:]
    world.restart()
    return gone


def two_clouds(tmp_path: Path) -> World:
    clock = FakeClock()
    other = FakeProvider(clock, traits=some_traits(name="other"), catalogue=[an_offer(provider="other")])
    return World(tmp_path, FakeProvider(clock), other, clock=clock)


def test_people_are_told_once_that_nobody_can_end_the_machine(tmp_path: Path) -> None:
    world = two_clouds(tmp_path)
    job_id, _ = world.running(HOUR)
    without_its_provider(world)
    world.pass_time(minutes=5)

    (told,) = [note for note in world.notes(job_id, "trouble") if note.data["code"] == "no_provider"]
    assert "`cloud`" in told.data["text"]
    assert "HOURGLASS_PROVIDERS" in told.data["text"]


def test_its_job_waits_for_it_and_money_that_may_be_owed_is_held(tmp_path: Path) -> None:
    world = two_clouds(tmp_path)
    job_id, _ = world.running(HOUR, ceiling=2_000_000)
    gone = without_its_provider(world)
    world.pass_time(hours=3, every=600)

    assert world.states(job_id) == (JobState.STOPPING, [AttemptState.UP])
    assert world.job(job_id).charged is None
    assert world.period().held == world.job(job_id).hold
    assert world.job(job_id).hold >= 3 * 2_000_000 - 20_000
    assert len(world.notes(job_id, "overdue")) == 2  # at the first look, and an hour later

    world.clouds.insert(0, gone)
    world.restart()
    world.pass_time(minutes=2)
    assert (world.job(job_id).state, gone.alive()) == (JobState.TIMED_OUT, [])
    charged = world.job(job_id).charged or 0
    assert charged >= policy.bill(micros_per_hour=2_000_000, ran=timedelta(hours=3), traits=gone.traits)
    assert world.balanced()
