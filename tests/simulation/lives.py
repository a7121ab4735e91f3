"""One job's life in a world of its own: how late its machine's end is asked for, and what ends it when nobody is left.

A life ends with its machine. With the bot alive, agents do not stop by themselves, so that each machine reaches its
deadline; with the bot dead, only the cloud's own layer acts, reaper and all being dead too.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta

from jobs.providers import Guarantee, Offer
from jobs.values import DOLLAR
from tests.simulation.agents import Temper
from tests.simulation.cloud import Cloud
from tests.simulation.layers import Ground
from tests.simulation.rhythm import Rhythm
from tests.simulation.run import ROUGH, begin, grounds, loud, prices, step
from tests.simulation.traffic import Habits, Traffic
from tests.simulation.weather import Menu, Spell, Window
from tests.simulation.world import Cast, World
from tests.support.clock import START

STUBBORN = Temper(early=0.0, failing=0.0, mute=0.05, dying=0.3, deaf=1.0, off=0.3)
PLAIN = Habits(
    every=10**9,
    budget_every=10**9,
    twice=0.2,
    bad=0.0,
    max_cost=0.0,
    max_price=0.0,
    denied=0.0,
    ignored=0.0,
    stopped=0.0,
    several=0.0,
)
HOURS = (0.1, 0.25, 0.5, 1, 4)
DAY = timedelta(days=1)


def lag_of(seed: str) -> float | None:
    """Return the seconds from a job's deadline to the accepted end of its machine, the bot alive and calls failing.

    None where no machine came of it, or it was gone before. Raises `Violation` beyond what is allowed.
    """
    chance = random.Random(f"{seed} life")
    casting = Cast(
        grounds=(chance.choice(grounds()[:2]),),
        prices=prices(),
        menu=ROUGH,
        temper=STUBBORN,
        cap=1000 * DOLLAR,
        locked=0.002,
        reaper=chance.random() < 0.5,
        lost_triggers=0.5,
    )
    world, rhythm, traffic = _begin(seed, casting)
    with loud():
        traffic.ask(gpu="a100", hours=f"{chance.choice(HOURS):g}", spot="on-demand")
        until = world.time.now() + DAY
        while (at := world.next_at()) is not None and at < until and not _over(world):
            step(world, rhythm, traffic)
    lags = world.oracle.tally.lags
    return lags[0] if lags else None


def _over(world: World) -> bool:
    machines = [machine for cloud in world.clouds for machine in cloud.machines]
    return bool(machines) and not any(machine.alive(world.time.now()) for machine in machines)


@dataclass(frozen=True, kw_only=True)
class Abandoned:
    """What became of a machine whose bot died."""

    late: float | None  # seconds past its deadline; None: it still stood a day later
    floor: float  # seconds past its deadline before which its cloud's limit could not lie
    said: bool  # the card says how weak the guarantee is


def abandoned(seed: str, ground: Ground) -> Abandoned | None:
    """Rent one machine, let everything of ours die, and look a day later; None where no machine came of it."""
    seed = f"{seed} {ground.name}"
    chance = random.Random(f"{seed} abandoned")
    offer = Offer(
        provider=ground.traits.name,
        name="a100-1x",
        region="here-1",
        gpu="a100",
        memory_gb=40,
        gpus=1,
        micros_per_hour=2 * DOLLAR,
        spot=False,
        priced_at=START,
    )
    casting = Cast(grounds=(ground,), prices=[offer], menu=Menu(), temper=STUBBORN, reaper=False)
    world, rhythm, traffic = _begin(seed, casting)
    cloud = world.clouds[0]
    with loud():
        traffic.ask(gpu="a100", hours=f"{chance.choice(HOURS):g}", spot="on-demand")
        until = world.time.now() + timedelta(hours=1)
        # A timer beside the machine is set by a second call; a job whose machine has none yet does not run.
        while (at := world.next_at()) is not None and at < until and not _secured(cloud):
            step(world, rhythm, traffic)
        world.bot.notifier.round()
    if not cloud.machines:
        return None
    machine = cloud.machines[0]
    world.clock.advance(machine.deadline - world.time.now() + DAY)
    ended = machine.end(world.time.now())
    floor = ground.native.floor if ground.native else timedelta(0)
    return Abandoned(
        late=None if ended is None else (ended[0] - machine.deadline).total_seconds(),
        floor=(machine.launched_at + floor - machine.deadline).total_seconds(),
        said=_weakness_is_said(world) or ground.traits.guarantee is not Guarantee.NONE,
    )


def _secured(cloud: Cloud) -> bool:
    beside = cloud.traits.guarantee is Guarantee.EXTERNAL
    return bool(cloud.machines) and (not beside or cloud.machines[0].limit is not None)


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What a day without its cloud came to for one job."""

    gone_after: float  # seconds from the cloud's first answer to the end that it agreed to
    held_more: bool  # the hold grew with what the machine cost
    paid: bool  # all that was billed was charged
    told: int  # messages that say so


def outage(seed: str) -> Outage:
    """Rent a machine that nobody but the bot ends, and let its cloud be down for the day in which it should end."""
    chance = random.Random(f"{seed} outage")
    begins = START + timedelta(minutes=chance.uniform(6, 25))
    down = Window(spell=Spell.DOWN, begins=begins, ends=begins + DAY)
    alone = replace(grounds()[0], native=None)
    menu = Menu(end_lag=(2.0, 40.0), boot=(15.0, 120.0))
    casting = Cast(grounds=(alone,), prices=prices(), menu=menu, windows=((0, down),), temper=STUBBORN)
    world, rhythm, traffic = _begin(seed, casting)
    with loud():
        traffic.ask(gpu="a100", hours=f"{chance.choice((0.5, 1, 4)):g}", spot="on-demand")
        until = down.ends + timedelta(hours=1)
        while (at := world.next_at()) is not None and at < until:
            step(world, rhythm, traffic)
    (machine,) = world.clouds[0].machines
    accepted = machine.accepted_at or until
    case = world.oracle.cases[machine.order.job]
    keys = [str(one.metadata) for room in world.office.state.workspace.channels for one in world.office.said(room)]
    return Outage(
        gone_after=(accepted - down.ends).total_seconds(),
        held_more=world.oracle.tally.overdue > 0,
        paid=case.charged is not None and case.charged > (case.first or 0),
        told=sum(":overdue:" in key for key in keys),
    )


def _weakness_is_said(world: World) -> bool:
    shown = [str(one.blocks) for room in world.office.channels.values() for one in world.office.said(room)]
    return any("only the bot and its reaper end the machine" in text for text in shown)


def _begin(seed: str, casting: Cast) -> tuple[World, Rhythm, Traffic]:
    """Return a world whose bot has started, with teams in it."""
    world = World(seed, casting)
    rhythm, traffic = Rhythm(world), Traffic(world, PLAIN)
    with loud():
        begin(world, rhythm, traffic)
    return world, rhythm, traffic
