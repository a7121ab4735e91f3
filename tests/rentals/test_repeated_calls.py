"""A call that is repeated after a lost answer: what it is refused with says nothing about the first one's machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import NoCapacity, ProviderError, Rejected, Throttled, Unauthorized
from jobs.lifecycle import AttemptState, JobState
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
    world.tick()
    assert world.attempts(job_id)[0].state is AttemptState.NEVER
