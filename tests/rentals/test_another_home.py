"""A deployment that lost its home's name sees none of its machines, and takes that for no sign that they are gone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jobs.lifecycle import AttemptState, JobState
from jobs.rentals import Rentals
from tests.support.builders import a_spec
from tests.support.mortal import Killed
from tests.support.world import World

OTHER = "9b1d0c55-0000-4000-8000-000000000000"


def test_a_machine_of_a_home_that_is_no_longer_ours_is_not_believed_gone(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    hidden = world.cloud.machines.copy()
    world.cloud.machines.clear()  # a provider shows a home its own machines only
    world.rentals = Rentals(dataclasses.replace(world.ports, home=OTHER), silence=0.0)
    world.pass_time(hours=2, every=300)

    assert world.states(job_id) == (JobState.STOPPING, [AttemptState.ENDING])
    assert world.job(job_id).charged is None
    assert len(world.notes(job_id, "overdue")) == 1

    world.cloud.machines.extend(hidden)
    world.restart()  # with the home that it had
    world.pass_time(minutes=1)
    assert (world.job(job_id).state, world.cloud.alive()) == (JobState.TIMED_OUT, [])


def test_an_intent_of_another_home_is_not_launched_under_a_name_that_no_row_has(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued(a_spec(minutes=60))
    world.fate.dies("after a commit")  # of the intent
    with pytest.raises(Killed):
        world.rentals.launch(job_id)
    world.restart()
    world.rentals = Rentals(dataclasses.replace(world.ports, home=OTHER), silence=0.0)
    world.pass_time(minutes=5)
    assert world.cloud.machines == []
