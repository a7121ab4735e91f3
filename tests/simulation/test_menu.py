"""What is on the menu comes up in a season, and a seed lays it out in one way only."""

from __future__ import annotations

from collections import Counter

from tests.simulation.run import cast
from tests.simulation.trouble import befall
from tests.simulation.world import World

RARE = {
    "a kill is coming",
    "the bot dies",
    "two bots at once",
    "a backup is made",
    "the disk is full",
    "the store is away",
    "slack is silent",
    "slack loses answers",
    "the clock jumps",
    "prices move",
}


def a_season(seed: str) -> Counter[str]:
    """Return what a season has in store, by how often."""
    world = World(seed, cast(seed, 45))
    befall(world, 45)
    return world.planned()


def test_every_fault_that_takes_days_to_come_is_planned_in_each_season() -> None:
    for seed in ("one", "two", "three"):
        assert a_season(seed).keys() >= RARE
    assert a_season("one") == a_season("one") != a_season("two")
