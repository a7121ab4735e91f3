"""A run that goes quiet: its card says since when there was no step, and promises no end any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot import facts
from bot.catalogue import Catalogue
from bot.views import card
from jobs.lifecycle import JobState
from tests.support.world import Agent, World

SAY = Catalogue.load()


def told(world: World, job_id: str) -> str:
    """Return the card's line as it is now."""
    while world.follow.round():
        pass
    with world.db.read() as tx:
        return str(card.text(SAY, facts.read(tx, job_id, {}, world.now())))


def trains(world: World, agent: Agent, *, every: float, steps: range, rate: float = 2.0) -> None:
    """Let a step be told of every so many seconds, the last of them now."""
    for step in steps:
        if step != steps[0]:
            beats(world, agent, every)
        agent.says("progress", step=step, total=4000, eta=7200, rate=rate)


def beats(world: World, agent: Agent, seconds: float) -> None:
    """Let so much time pass in which the agent lives."""
    for _ in range(max(1, int(seconds // 60))):
        world.clock.advance(min(60.0, seconds))
        agent.says("heartbeat", uptime=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def running(world: World) -> tuple[str, Agent]:
    job_id, agent = world.running()
    agent.says("stage", stage="run", note="")
    return job_id, agent


def test_a_run_that_hangs_goes_at_no_pace_and_has_no_end(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    assert "2 steps a second, about 2 h to go" in told(world, job_id)
    beats(world, agent, 120)
    assert "2 steps a second, about" in told(world, job_id)
    beats(world, agent, 60)
    line = told(world, job_id)
    assert "step 8 of 4,000, last step 3 min ago, " in line
    assert "a second" not in line
    assert "to go" not in line
    beats(world, agent, 3600)
    assert "last step 63 min ago" in told(world, job_id)


def test_a_run_that_goes_on_has_its_pace_and_its_end_again(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    beats(world, agent, 600)
    assert "last step 10 min ago" in told(world, job_id)
    trains(world, agent, every=10, steps=range(9, 10))
    assert "2 steps a second, about 2 h to go" in told(world, job_id)


def test_what_tells_of_a_step_each_quarter_of_an_hour_is_quiet_after_three_of_them(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=900, steps=range(1, 5), rate=0.001)
    beats(world, agent, 2640)
    assert "to go" in told(world, job_id)
    beats(world, agent, 120)
    assert "last step 46 min ago" in told(world, job_id)


def test_a_slow_run_of_which_one_step_is_known_is_measured_by_its_pace(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=1, steps=range(1, 2), rate=0.005)
    beats(world, agent, 540)
    assert "3 min a step, about" in told(world, job_id)
    beats(world, agent, 120)
    assert "last step 11 min ago" in told(world, job_id)


def test_one_long_evaluation_does_not_make_a_quick_run_quiet_only_after_hours(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    beats(world, agent, 1800)
    trains(world, agent, every=10, steps=range(9, 40))
    beats(world, agent, 180)
    assert "last step 3 min ago" in told(world, job_id)


def test_a_step_that_is_told_again_is_no_step(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    for _ in range(5):
        beats(world, agent, 60)
        trains(world, agent, every=10, steps=range(8, 9))
    assert "last step 5 min ago" in told(world, job_id)


def test_a_machine_whose_clock_is_wrong_is_not_quiet_for_that(world: World) -> None:
    job_id, agent = running(world)
    wrong = world.now() - timedelta(minutes=20)
    events = [
        {"t": (wrong + timedelta(seconds=10 * step)).timestamp(), "kind": "progress", "data": data}
        for step in range(1, 9)
        for data in [{"step": step, "total": 4000, "eta": 7200, "rate": 2.0}]
    ]
    agent.writes(events)
    assert "2 steps a second" in told(world, job_id)
    beats_wrong = {"t": (wrong + timedelta(seconds=80 + 300)).timestamp(), "kind": "heartbeat", "data": {}}
    world.clock.advance(300)
    agent.writes([beats_wrong])
    assert "last step 5 min ago" in told(world, job_id)


def test_what_was_said_while_the_bot_was_away_is_as_old_as_it_is(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    beats(world, agent, 3600)
    assert "last step 1 h ago" in told(world, job_id)


def test_a_machine_that_says_nothing_any_more_is_quiet_as_well(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    told(world, job_id)
    world.clock.advance(600)
    assert "last step 10 min ago" in told(world, job_id)


def test_another_machine_begins_without_the_pace_of_the_one_before(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    beats(world, agent, 600)
    agent.says("stage", stage="run", note="")
    line = told(world, job_id)
    assert "ago" not in line
    assert "a second" not in line
    assert "to go" not in line


def test_once_the_training_has_ended_neither_is_told(world: World) -> None:
    job_id, agent = running(world)
    trains(world, agent, every=10, steps=range(1, 9))
    agent.says("stage", stage="save", note="")
    assert "to go" not in told(world, job_id)
    beats(world, agent, 600)
    assert "ago" not in told(world, job_id)
    agent.ends()
    line = told(world, job_id)
    assert world.job(job_id).state is not JobState.RUNNING
    assert not any(words in line for words in ("ago", "a second", "to go"))
