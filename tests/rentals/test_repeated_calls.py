"""A call that is repeated after a lost answer: what it is refused with says nothing about the first one's machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from jobs.errors import NoCapacity, ProviderError, Rejected, Throttled, Unauthorized
from jobs.lifecycle import AttemptState, JobState
from jobs.rentals import Rentals
from tests.support.builders import some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.mortal import Killed
from tests.support.world import World


@pytest.mark.parametrize(
    "refusal", [Throttled("slow down"), Unauthorized("expired"), Rejected("another request had this token")]
)
def test_a_refused_repeat_leaves_the_intent_standing(tmp_path: Path, refusal: ProviderError) -> None:
    world = World(tmp_path)
    world.cloud.lose_answers()
    job_id = world.launch()
    (machine,) = world.cloud.machines
    world.cloud.machines.clear()  # it stands, and the provider's listing does not show it yet
    world.cloud.fail("launch", refusal)
    world.tick()
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.INTENT]

    world.cloud.machines.append(machine)
    world.tick()
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])
    assert world.cloud.machines == [machine]


def test_no_room_under_the_same_key_proves_that_there_is_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.lose_answers()
    job_id = world.launch()
    world.cloud.machines.clear()  # this answer was lost on the way there: nothing stands
    world.cloud.fail("launch", NoCapacity("none left"))
    world.clock.advance(60)
    world.tick()
    assert world.attempts(job_id)[0].state is AttemptState.NEVER


def test_a_bot_that_is_refused_while_another_one_s_call_is_under_way_makes_no_second_machine(tmp_path: Path) -> None:
    world = World(tmp_path)
    (offer,) = world.cloud.catalogue
    other = Rentals(world.ports, silence=0.0)

    def another_bot_passes() -> None:
        world.cloud.full.add((offer.name, offer.region))  # for whoever asks now
        other.enforce()
        world.cloud.full.clear()

    world.cloud.before("launch", another_bot_passes)
    job_id = world.launch()
    world.pass_time(minutes=5)
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.LAUNCHED]
    assert len(world.cloud.machines) == 1


def test_two_bots_that_find_the_same_uncalled_intent_make_one_machine(tmp_path: Path) -> None:
    """Two bots at once are a mistake; it must not cost a second machine under a key that only one can have."""
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, traits=some_traits(idempotent=False)), clock=clock)
    job_id = world.queued()
    world.fate.dies("after a commit")  # the intent's: nobody was called
    with pytest.raises(Killed):
        world.rentals.launch(job_id)
    world.restart()
    others = [Rentals(world.ports, silence=0.0)]

    def another_bot_is_faster(job: str, attempt: int, deadline: datetime, inputs: Sequence[str]) -> Mapping[str, str]:
        while others:
            others.pop().enforce()
        return {}

    world.cloud.lose_answers()
    Rentals(dataclasses.replace(world.ports, credentials=another_bot_is_faster)).enforce()
    assert [verb for verb, _ in world.cloud.calls].count("launch") == 1

    world.tick()
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])
    assert len(world.cloud.machines) == 1
