"""The bot dies anywhere; a new one over the same rows goes on, and no machine is doubled, lost or left unpaid."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.lanes import SideBySide
from jobs.lifecycle import TERMINAL, AttemptState, JobState
from jobs.rentals import Rentals
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.mortal import Killed
from tests.support.world import Agent, World, key_of

SPEC = a_spec(minutes=60)
AFTER_INTENT, AFTER_CALLED = 1, 2  # the first commits of a launch


def a_world(folder: Path, *, idempotent: bool = True) -> World:
    clock = FakeClock()
    return World(folder, FakeProvider(clock, traits=some_traits(idempotent=idempotent)), clock=clock)


def dies_launching(world: World, job_id: str, name: str, *, nth: int = 1) -> None:
    """Let the bot die at a point of its launch, and start a new one."""
    world.fate.dies(name, nth=nth)
    with pytest.raises(Killed):
        world.rentals.launch(job_id)
    world.restart()


def test_killed_after_the_hold(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    job_id = world.queued(SPEC)
    world.restart()
    world.tick()
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])


@pytest.mark.parametrize("idempotent", [True, False])
def test_killed_after_the_intent_the_same_machine_is_asked_for(tmp_path: Path, idempotent: bool) -> None:
    world = a_world(tmp_path, idempotent=idempotent)
    job_id = world.queued(SPEC)
    dies_launching(world, job_id, "after a commit", nth=AFTER_INTENT)
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.INTENT])

    world.tick()
    assert [key_of(job_id, 1)] == [machine.order.launch_key for machine in world.cloud.machines]
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])


@pytest.mark.parametrize("idempotent", [True, False])
def test_killed_after_the_launch_the_machine_is_adopted(tmp_path: Path, idempotent: bool) -> None:
    world = a_world(tmp_path, idempotent=idempotent)
    job_id = world.queued(SPEC)
    dies_launching(world, job_id, "after launch")
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.INTENT])

    world.tick()
    assert len(world.cloud.machines) == 1
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])


def test_killed_between_the_word_of_a_call_and_the_call_without_idempotency(tmp_path: Path) -> None:
    world = a_world(tmp_path, idempotent=False)
    job_id = world.queued(SPEC)
    dies_launching(world, job_id, "before launch")

    world.pass_time(minutes=4, every=60)
    assert world.cloud.machines == []  # nobody knows that it was not called
    world.pass_time(minutes=3, every=60)
    assert [key_of(job_id, 2)] == [machine.order.launch_key for machine in world.cloud.machines]


def test_down_for_six_hours_past_the_deadline(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    job_id, _ = world.running(SPEC)
    world.clock.advance(hours=7)
    assert len(world.cloud.alive()) == 1  # a cloud without a limit of its own

    world.restart()
    world.rentals.enforce()
    assert world.cloud.alive() == []
    assert (world.job(job_id).state, world.balanced()) == (JobState.TIMED_OUT, True)


STEP = 45.0  # seconds between the ticks of a story
COURSE = (("run", 0.0), ("save", STEP), ("end", 2 * STEP))  # what a machine says, in seconds after its launch


def story(world: World, job_id: str) -> None:
    """Let a job run from QUEUED to its end, its machine saying what machines say at their times."""
    until = world.now() + timedelta(hours=1)
    agents: dict[int, Agent] = {}
    said: set[tuple[int, str]] = set()
    while world.job(job_id).state not in TERMINAL and world.now() < until:
        for machine in world.cloud.alive():
            number = machine.order.attempt
            agent = agents.setdefault(number, Agent(world, job_id, number))
            ran = (world.now() - machine.launched_at).total_seconds()
            for name in [name for name, after in COURSE if ran >= after and (number, name) not in said]:
                said.add((number, name))
                speak(agent, name)
        try:
            world.clock.advance(STEP)
            world.tick()
        except Killed:
            world.restart()


def speak(agent: Agent, name: str) -> None:
    """Let the machine say the part of that name."""
    if name == "run":
        agent.says("stage", stage="run", note="")
    elif name == "save":
        agent.saves("step-000100", 100)
    else:
        agent.ends()


def passed_by(folder: Path, *, idempotent: bool) -> int:
    """Return how many points a story passes in which nobody dies."""
    world = a_world(folder, idempotent=idempotent)
    job_id = world.queued(SPEC)
    world.fate.dies_at(0)
    story(world, job_id)
    assert JobState.SUCCEEDED is world.job(job_id).state
    return world.fate.passed


def assert_a_good_end(world: World, job_id: str, number: int) -> None:
    """What holds of every history, wherever the bot died."""
    job = world.job(job_id)
    keys = [machine.order.launch_key for machine in world.cloud.machines]
    assert len(set(keys)) == len(keys), f"launched twice under one key, killed at {number}"
    assert len(keys) == 1, f"two machines for one job, killed at {number}"
    assert world.cloud.alive() == [], f"a machine is left, killed at {number}"
    assert JobState.SUCCEEDED is job.state, f"{job.state}, killed at {number}"
    assert job.charged == sum(row.billed or 0 for row in world.attempts(job_id))
    assert (job.charged or 0) > 0
    assert len([kind for kind, _ in world.entries(job_id) if kind == "charge"]) == 1, f"killed at {number}"
    assert world.balanced() and world.period().held == 0, f"killed at {number}"
    assert 1 == len(world.notes(job_id, "ended")) == len(world.notes(job_id, "settled"))


@pytest.mark.parametrize("idempotent", [True, False])
# A quarter of the points in the fast tests, all of them in the slow ones.
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.promises) for part in (1, 2, 3))])
def test_killed_at_any_point_of_a_rental(tmp_path: Path, part: int, idempotent: bool) -> None:
    points = passed_by(tmp_path / "rehearsal", idempotent=idempotent)
    assert points > 20
    waited = 0
    for number in range(1 + part, points + 1, 4):
        world = a_world(tmp_path / str(number), idempotent=idempotent)
        job_id = world.queued(SPEC)
        world.fate.dies_at(number)
        story(world, job_id)
        assert_a_good_end(world, job_id, number)
        waited += world.cloud.machines[0].order.attempt - 1
        world.db.close()
    # Only where nobody can know whether the launch was called does a second key come of it.
    assert waited <= (0 if idempotent else 1)


def test_two_jobs_of_which_one_takes_the_others_machine_never_mix(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, catalogue=[an_offer()]), clock=clock)
    first, second = world.launch(SPEC), world.launch(SPEC)
    world.restart()
    world.stop(first)
    world.tick()
    assert [key_of(second)] == [machine.order.launch_key for machine in world.cloud.alive()]
    assert (world.job(first).state, world.job(second).state) == (JobState.CANCELLED, JobState.PROVISIONING)


def test_a_launch_that_is_asked_for_again_and_takes_its_time_keeps_no_machine_past_its_deadline(tmp_path: Path) -> None:
    world = World(tmp_path)
    short, _ = world.running(a_spec(minutes=60))
    world.fate.dies("before launch")
    slow = world.queued(a_spec(minutes=600))
    with pytest.raises(Killed):
        world.rentals.launch(slow)
    world.restart()
    world.clock.advance(60)
    fetching, fetched = threading.Event(), threading.Event()

    def fetch_an_image() -> None:
        fetching.set()
        assert fetched.wait(60)

    world.cloud.before("launch", fetch_an_image)
    world.rentals = Rentals(world.ports, silence=0.0, lanes=SideBySide(patience=1.0))
    try:
        world.rentals.enforce()
        assert fetching.wait(60)
        world.clock.advance(minutes=61)
        world.rentals.enforce()
        assert world.job(short).state is JobState.TIMED_OUT
    finally:
        fetched.set()
