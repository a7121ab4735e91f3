"""What keeps a job that waits for its machine from having one: a frozen team, and what nobody expected."""

from __future__ import annotations

from pathlib import Path

from jobs import budgets
from jobs.lifecycle import JobState
from jobs.policy import Person
from jobs.values import Source
from tests.support.builders import a_spec
from tests.support.world import Parcel, World

LEAD = Person(id="U9LEAD", lead=True)


def freeze(world: World, on: bool = True) -> None:
    """Do what `/budget freeze` does."""
    with world.db.write() as tx:
        budgets.freeze(tx, "vision", LEAD, on, world.now())


def test_a_job_that_waits_for_capacity_rents_nothing_once_its_team_is_frozen(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.full.add(("gpu-1x-a100", "here-1"))
    job_id = world.launch(a_spec(retry_on=("no-capacity",)))
    freeze(world)
    world.cloud.full.clear()
    world.pass_time(minutes=5)

    assert world.cloud.machines == []
    assert world.job(job_id).state is JobState.FAILED
    assert "frozen" in world.job(job_id).error
    assert world.balanced() and world.period().held == 0


def test_a_team_that_is_frozen_in_the_moment_of_the_launch_rents_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued()
    world.cloud.before("offers", lambda: freeze(world))
    world.rentals.launch(job_id)
    assert world.cloud.machines == []
    assert world.attempts(job_id) == []
    assert world.job(job_id).state is JobState.FAILED


class Broken(Parcel):
    """Packs nothing, for a reason that nobody thought of."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def pack(self, source: Source, out: Path) -> str:
        self.times -= 1
        if self.times >= 0:
            raise OSError("no space left on device")
        return super().pack(source, out)


def test_what_nobody_expected_is_tried_again_and_ends_with_words(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.packer = Broken(1000)
    world.restart()
    job_id = world.queued()
    world.pass_time(minutes=15, every=10)

    assert world.job(job_id).state is JobState.FAILED
    assert "operator" in world.job(job_id).error
    assert world.balanced() and world.period().held == 0


def test_what_nobody_expected_and_passes_by_costs_a_moment(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.packer = Broken(1)
    world.restart()
    job_id = world.queued()
    world.rentals.launch(job_id)
    assert world.job(job_id).state is JobState.QUEUED
    world.pass_time(minutes=1, every=10)
    assert world.job(job_id).state is JobState.PROVISIONING
