"""On a full disk machines end all the same, nothing is half done, and what was put off is done when there is room."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.simulation.layers import Ground
from tests.simulation.lives import PLAIN, STUBBORN
from tests.simulation.machine import Machine
from tests.simulation.oracle import Violation
from tests.simulation.rhythm import Rhythm
from tests.simulation.run import begin, grounds, loud, prices, step
from tests.simulation.traffic import Traffic
from tests.simulation.trouble import fill_disk, free_disk
from tests.simulation.weather import Menu
from tests.simulation.world import Cast, World

pytestmark = pytest.mark.promises

ALONE = dataclasses.replace(grounds()[0], native=None)  # nobody but the bot ends its machines
FORGETFUL = dataclasses.replace(grounds()[1], native=None)  # nor these; and it may not be asked twice


def a_life(ground: Ground, *, before_the_answer: bool, mutate: Callable[[World], None] = lambda world: None) -> World:
    """Rent a machine for a quarter of an hour, and fill the disk as it is made until long after its end."""
    menu = Menu(end_lag=(2.0, 2.0))
    world = World("disk", Cast(grounds=(ground,), prices=prices(), menu=menu, temper=STUBBORN, reaper=False))
    mutate(world)
    rhythm, traffic = Rhythm(world), Traffic(world, PLAIN)
    cloud = world.clouds[0]
    made = cloud.launched

    def launched(machine: Machine) -> None:
        made(machine)
        if before_the_answer:
            fill_disk(world, same=True)
        else:
            world.after(60.0, "nothing fits on the disk", lambda: fill_disk(world, same=True))

    cloud.launched = launched
    with loud():
        begin(world, rhythm, traffic)
        traffic.ask(gpu="a100", hours="0.25", spot="on-demand")
        world.after(1800.0, "there is room", lambda: free_disk(world))
        until = world.time.now() + timedelta(minutes=40)
        while (at := world.next_at()) is not None and at < until:
            step(world, rhythm, traffic)
    return world


@pytest.mark.parametrize("early", [True, False], ids=["before the launch's answer was written", "in mid-run"])
@pytest.mark.parametrize("ground", [ALONE, FORGETFUL], ids=["keys", "no keys"])
def test_a_machine_ends_in_time_though_nothing_can_be_written(early: bool, ground: Ground) -> None:
    world = a_life(ground, before_the_answer=early)
    (machine,) = world.clouds[0].machines
    (case,) = world.oracle.cases.values()
    assert machine.accepted_at is not None
    assert abs(machine.accepted_at - machine.deadline) <= timedelta(seconds=60)
    assert world.db.refused > 0
    assert case.charged is not None  # settled once there was room
    assert world.bot.notifier.idle()


def test_a_bot_that_ends_nothing_while_its_disk_is_full_is_caught() -> None:
    def mutate(world: World) -> None:
        cloud = world.clouds[0]
        end = cloud.end
        cloud.end = lambda machine: None if world.db.full else end(machine)  # type: ignore[method-assign]  # the mutant

    with pytest.raises(Violation, match="past its deadline"):
        a_life(ALONE, before_the_answer=False, mutate=mutate)
