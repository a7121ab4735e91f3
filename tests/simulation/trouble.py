"""What befalls the bot itself, its files, its Slack and its market in a season: laid out before it begins.

The clouds' own bad days are in their weather; these are everybody else's. How often each of them happened is counted
in `world.befell`.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from datetime import timedelta

from tests.simulation.setback import Setback
from tests.simulation.world import World

HOUR = 3600.0
DAY = 24 * HOUR


def befall(world: World, days: float) -> None:
    """Plan a season's trouble."""
    chance = random.Random(f"{world.seed} trouble")

    def now_and_then(every_days: float, name: str, act: Callable[[], None]) -> None:
        def happen() -> None:
            world.befell[name] += 1
            act()

        at = chance.expovariate(1 / every_days)
        while at < days:
            world.after(at * DAY, name, happen)
            at += chance.expovariate(1 / every_days)

    def killed_inside() -> None:
        if world.up:
            world.fate.dies_at(chance.randint(1, 60))

    def dies() -> None:
        if world.up:
            world.dies(chance.choice((60.0, HOUR, 6 * HOUR)))

    now_and_then(1.0, "a kill is coming", killed_inside)
    now_and_then(6.0, "the bot dies", dies)
    now_and_then(4.0, "the store is away", lambda: _store_away(world, chance.choice((60.0, 600.0, HOUR))))
    now_and_then(5.0, "slack is silent", lambda: _slack_down(world, chance.choice((60.0, HOUR, 6 * HOUR))))
    now_and_then(3.0, "slack loses answers", lambda: _slack_loses(world, 2 * HOUR))
    now_and_then(4.0, "the disk is full", lambda: _disk_full(world, chance))
    now_and_then(
        8.0, "a backup is made", lambda: Setback(world, HOUR * chance.choice((0.5, 3, 12)), late=chance.uniform(0, 30))
    )
    now_and_then(3.0, "two bots at once", lambda: two_bots(world, chance.choice((120.0, 1200.0, 7200.0))))
    now_and_then(6.0, "the clock jumps", lambda: _clock_jumps(world, chance))
    now_and_then(2.0, "prices move", lambda: _prices_move(world, chance))


def _store_away(world: World, seconds: float) -> None:
    world.shelf.away = True
    world.after(seconds, "the store is back", lambda: setattr(world.shelf, "away", False))


def _disk_full(world: World, chance: random.Random) -> None:
    """Let the database take nothing for a while, half of the time just as a machine is to end.

    Half of the time the store is a folder on the same disk.
    """
    ends = [machine.deadline for cloud in world.clouds for machine in cloud.alive()]
    wait = (min(ends) - world.time.now()).total_seconds() - 45 if ends and chance.random() < 0.5 else 0.0
    world.after(max(0.0, wait), "nothing fits on the disk", lambda: fill_disk(world, same=chance.random() < 0.5))
    world.after(max(0.0, wait) + chance.choice((20.0, 120.0, 600.0, 1800.0)), "there is room", lambda: free_disk(world))


def fill_disk(world: World, *, same: bool) -> None:
    """Leave no room on the database's disk, which the store lies on too where it is the `same`."""
    world.db.full, world.shelf.full = True, same


def free_disk(world: World) -> None:
    """Make room again."""
    world.db.full = world.shelf.full = False


def two_bots(world: World, seconds: float) -> None:
    """Let a second bot work beside the first, as in a deploy that overlaps; then one of them goes."""
    chance = world.chance
    if not world.joins():
        return
    mine = world.second

    def beat() -> None:
        if world.second is mine:
            world.second_acts()
            world.after(chance.choice((2.0, 30.0, 60.0)), "the second bot", beat)

    def one_goes() -> None:
        if world.second is mine:
            chance.choice((world.leaves, world.takes_over))()

    beat()
    world.after(seconds, "one of two bots goes", one_goes)


def _slack_down(world: World, seconds: float) -> None:
    world.office.down = True
    world.after(seconds, "slack answers", lambda: setattr(world.office, "down", False))


def _slack_loses(world: World, seconds: float) -> None:
    world.office.lost = 0.2
    world.after(seconds, "slack loses nothing", lambda: setattr(world.office, "lost", 0.0))


def _clock_jumps(world: World, chance: random.Random) -> None:
    """Let the bot's wall clock be wrong for some minutes, as after a machine's sleep, and be set right again."""
    if world.wrong_clock:
        return
    span = timedelta(seconds=chance.choice((-7200, -90, 90, 7200, 86_400)))
    world.wrong_clock = True
    world.clock.jump(span)

    def right() -> None:
        world.clock.jump(-span)
        world.after(90.0, "the clock is believed", lambda: setattr(world, "wrong_clock", False))

    world.after(chance.choice((40.0, 200.0, 900.0)), "the clock is set right", right)


def _prices_move(world: World, chance: random.Random) -> None:
    for cloud in world.clouds:
        by = chance.choice((0.8, 0.95, 1.0, 1.05, 1.3, 1.7))
        cloud.prices = [
            dataclasses.replace(offer, micros_per_hour=min(9_000_000, max(200_000, int(offer.micros_per_hour * by))))
            for offer in cloud.prices
        ]
