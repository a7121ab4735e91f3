"""One seed, one history: the cast, the months, and what was found at the end of them."""

from __future__ import annotations

import json
import logging
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from jobs.errors import NotWritten
from jobs.providers import Guarantee, Offer
from jobs.values import DOLLAR
from tests.simulation import trouble
from tests.simulation.agents import Temper
from tests.simulation.layers import Ground, Native, Timer, cloud_traits
from tests.simulation.oracle import Tally, Violation
from tests.simulation.rhythm import Rhythm
from tests.simulation.traffic import Habits, Traffic
from tests.simulation.weather import Menu, Spell, Window
from tests.simulation.world import Cast, World
from tests.support.clock import START

OVER = ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "DENIED", "EXPIRED")
ROUGH = Menu(
    error_before=0.02,
    error_after=0.01,
    lost=0.03,
    throttled=0.02,
    partial=0.03,
    full=0.08,
    slow_end=0.05,
    stuck=0.02,
    stale=timedelta(seconds=40),
    reclaim_every=timedelta(hours=6),
    boot=(15.0, 120.0),
    end_lag=(2.0, 40.0),
)


@dataclass(frozen=True, kw_only=True)
class History:
    """How a seed went."""

    seed: str
    fingerprint: str
    steps: int
    requested: int
    jobs: dict[str, int]  # by their last state
    ended: dict[str, int]  # those of them that are over
    tally: Tally
    told: int  # messages that stand in the workspace
    answers: dict[str, int]
    befell: dict[str, int]  # the menu's faults, by how often they happened


def grounds() -> Sequence[Ground]:
    """Return a team's clouds: one that keeps limits, one that forgets keys, one whose machines end themselves."""
    return (
        Ground(
            name="north",
            traits=cloud_traits("north", extendable=True, joins=True, disk_micros_per_gb_hour=110),
            native=Native(lag=(0.0, 30.0)),
        ),
        Ground(
            name="south",
            traits=cloud_traits("south", idempotent=False, granule=timedelta(minutes=1), extendable=True, joins=True),
            native=Native(lag=(0.0, 50.0)),
        ),
        Ground(
            name="weak",
            traits=cloud_traits(
                "weak", guarantee=Guarantee.ON_BOX, granule=timedelta(hours=1), minimum=timedelta(hours=1)
            ),
            timer=Timer(every=20.0, takes=(1.0, 30.0)),
        ),
    )


def prices() -> list[Offer]:
    """Return what those clouds ask on the first day."""
    table = (
        ("north", "a100", 2_000_000, 1_100_000),
        ("south", "a100", 1_890_001, 1_000_000),
        ("weak", "a100", 1_500_000, None),
        ("north", "h100", 3_990_000, 2_000_000),
        ("south", "h100", 4_250_000, 2_500_003),
        ("weak", "l4", 500_000, None),
        ("north", "l4", 710_000, 350_000),
    )
    return [
        Offer(
            provider=cloud,
            name=f"{gpu}-1x",
            region=f"{cloud}-{place}",
            gpu=gpu,
            memory_gb=40,
            gpus=1,
            micros_per_hour=micros + place * 100_000,
            spot=spot,
            priced_at=START,
        )
        for cloud, gpu, fixed, market in table
        for spot, micros in ((False, fixed), (True, market))
        for place in (1, 2)
        if micros is not None
    ]


# A season of 45 days from each of these crosses a month's end: a year's, a short month's, two with a change of clocks.
SEASONS = (
    START,
    datetime(2026, 12, 3, 9, 0, tzinfo=UTC),
    datetime(2027, 2, 11, 14, 0, tzinfo=UTC),
    datetime(2027, 3, 4, 8, 0, tzinfo=UTC),
    datetime(2027, 10, 7, 16, 0, tzinfo=UTC),
)


def cast(seed: str, days: float) -> Cast:
    """Return a rough season: every fault of the menu, and spells here and there."""
    chance = random.Random(f"{seed} cast")
    first = chance.choice(SEASONS)
    windows = []
    for number in range(len(grounds())):
        for spell, hours in (
            (Spell.DOWN, (0.2, 1, 24)),
            (Spell.THROTTLED, (0.2, 1, 24)),
            *[(Spell.DEAF, (0.1, 1, 6))] * 4,  # short, and only what is to end in it meets it
            (Spell.FULL, (1, 6)),
        ):
            begins = first + timedelta(days=chance.uniform(0, days))
            windows.append(
                (number, Window(spell=spell, begins=begins, ends=begins + timedelta(hours=chance.choice(hours))))
            )
    return Cast(
        begins=first,
        grounds=grounds(),
        prices=prices(),
        menu=ROUGH,
        windows=windows,
        temper=Temper(),
        cap=400 * DOLLAR,
        locked=0.002,
    )


def play(
    seed: str,
    *,
    days: float,
    casting: Cast | None = None,
    habits: Habits | None = None,
    prepare: Callable[[World], None] = lambda world: None,
    most: int | None = None,
) -> History:
    """Play one seed's history for so many days, or `most` steps of it; raises `Violation`.

    `prepare` may change the world before anything happens in it: how mutants are made.
    """
    world = World(seed, casting or cast(seed, days))
    prepare(world)
    rhythm, traffic = Rhythm(world), Traffic(world, habits or Habits())
    with loud():
        begin(world, rhythm, traffic)
        trouble.befall(world, days)
        until = world.time.now() + timedelta(days=days)
        while (at := world.next_at()) is not None and at < until and world.steps != most:
            step(world, rhythm, traffic)
    judge_words(world)
    return _history(world, traffic)


def judge_words(world: World) -> None:
    """Look through what people can read; raises `Violation` for half a checkpoint, or a word that calls everybody."""
    for (manifest,) in world.rows.execute("SELECT manifest FROM checkpoint"):
        if manifest not in world.shelf.objects:
            raise Violation(f"{manifest} is offered as a checkpoint, and is not whole")
    for room in world.office.channels.values():
        for one in world.office.said(room):
            shown = one.text + json.dumps(one.blocks, ensure_ascii=False)
            if any(odd in shown for odd in ("<!channel>", "\u202e", "\x1b", "\\u001b")):
                raise Violation(f"a machine's words were passed on as they came: {shown[:200]}")


def begin(world: World, rhythm: Rhythm, traffic: Traffic) -> None:
    """Start the bot and set the teams up: nothing goes wrong before the first command."""
    locked, world.db.locked = world.db.locked, 0.0
    world.starts()
    traffic.begin()
    rhythm.begin()
    world.db.locked = locked


def step(world: World, rhythm: Rhythm, traffic: Traffic) -> None:
    """Let the next thing happen, then the bot and people plan what they do about it; raises `Violation`."""
    life = world.bot
    try:
        world.step()
    except Violation as violation:
        raise Violation(
            f"seed {world.seed!r}, step {world.steps}, {world.time.now():%m-%d %H:%M:%S}: {violation}"
        ) from violation
    if world.bot is not life:
        rhythm.begin()
    rhythm.plan()
    traffic.watch()


def _history(world: World, traffic: Traffic) -> History:
    for table in ("entry", "job", "attempt", "outbox"):
        for row in world.rows.execute(f"SELECT * FROM {table} ORDER BY id"):  # noqa: S608  four names of ours
            world.trace.update(repr(row).encode())
    states = world.rows.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall()
    return History(
        seed=world.seed,
        fingerprint=world.trace.hexdigest(),
        steps=world.steps,
        requested=traffic.requested,
        jobs=dict(states),
        ended={state: count for state, count in states if state in OVER},
        tally=world.oracle.tally,
        told=world.office.posted,
        answers=traffic.answers,
        befell=dict(world.befell),
    )


@contextmanager
def loud() -> Iterator[None]:
    """Raise what the product only logs as a defect of its own, and print nothing."""

    def defect(logger: object, name: str, event: dict[str, Any]) -> dict[str, Any]:
        error = sys.exc_info()[1]
        if event.get("exc_info") and not isinstance(error, NotWritten):
            raise Violation(f"the product met an error that it did not foresee: {event}") from error
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[defect], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.disable(disabled)
