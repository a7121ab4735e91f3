"""A new bot hears from its providers what stands before it asks for a machine: its rows may be an old copy."""

from __future__ import annotations

from pathlib import Path

from jobs.errors import ProviderError, Unknown
from jobs.lifecycle import JobState
from jobs.rentals import SILENCE, Rentals
from tests.recovery.loss import copy, lose
from tests.rentals.test_strays import order
from tests.support.builders import a_spec, an_offer
from tests.support.world import World

SPEC = a_spec(minutes=60)


def over_an_old_copy(folder: Path) -> tuple[World, str, Rentals]:
    """Return a world whose job has a machine that its rows do not know, the job, and a bot that starts there."""
    world = World(folder)
    job_id = world.queued(SPEC)
    backup = copy(world)
    world.rentals.launch(job_id)
    lose(world, backup)
    return world, job_id, Rentals(world.ports)


def test_over_an_old_copy_no_second_machine_is_asked_for(tmp_path: Path) -> None:
    world, job_id, bot = over_an_old_copy(tmp_path)
    assert bot.due() == []
    bot.launch(job_id)
    assert (world.job(job_id).state, len(world.cloud.machines)) == (JobState.QUEUED, 1)

    bot.enforce()
    bot.launch_due()
    assert (world.job(job_id).state, len(world.cloud.machines)) == (JobState.PROVISIONING, 1)


def test_once_it_has_heard_that_nothing_stands_it_launches(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued(SPEC)
    bot = Rentals(world.ports)
    bot.launch_due()
    assert world.cloud.machines == []
    bot.enforce()
    bot.launch_due()
    assert (world.job(job_id).state, len(world.cloud.machines)) == (JobState.PROVISIONING, 1)


def test_a_provider_that_stays_silent_holds_up_no_launch_for_ever(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.queued(SPEC)
    bot = Rentals(world.ports)
    world.cloud.fail("list", *[Unknown("Away.")] * 3)
    bot.enforce()
    world.clock.advance(SILENCE - 1)
    bot.launch_due()
    assert world.cloud.machines == []
    world.clock.advance(1)
    bot.launch_due()
    assert len(world.cloud.machines) == 1


def test_a_machine_that_could_not_get_its_row_holds_up_launches_as_well(tmp_path: Path) -> None:
    world, job_id, bot = over_an_old_copy(tmp_path)
    written = bot._adoption._adopt

    def full(*_: object) -> bool:
        raise ProviderError("No row today.")

    bot._adoption._adopt = full  # type: ignore[method-assign]
    bot.enforce()
    bot.launch_due()
    assert len(world.cloud.machines) == 1
    bot._adoption._adopt = written  # type: ignore[method-assign]
    bot.enforce()
    bot.launch_due()
    assert (world.job(job_id).state, len(world.cloud.machines)) == (JobState.PROVISIONING, 1)


def test_an_intent_of_an_old_copy_is_not_asked_for_while_a_later_machine_stands(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued(SPEC)
    world.cloud.fail("launch", Unknown("The cloud did not answer in time."))
    world.rentals.launch(job_id)
    backup = copy(world)  # with an intent that nobody has answered
    lose(world, backup)
    world.clock.advance(minutes=2)  # after which it may be asked for again
    world.cloud.launch(an_offer(), order(world, job=job_id, attempt="3", rank="0", key="later"))
    for _ in range(20):
        world.rentals.enforce()
        assert len(world.cloud.alive()) <= 1
        world.clock.advance(minutes=1)
    assert next(machine.order.launch_key for machine in world.cloud.machines) == "later"


def test_an_intent_waits_for_the_first_look_as_well(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.fail("launch", Unknown("The cloud did not answer in time."))
    world.rentals.launch(world.queued(SPEC))
    world.clock.advance(minutes=2)  # after which it may be asked for again
    bot = Rentals(world.ports)
    world.cloud.fail("list", Unknown("Away."))
    bot.enforce()
    assert world.cloud.machines == []
    bot.enforce()
    assert len(world.cloud.machines) == 1
