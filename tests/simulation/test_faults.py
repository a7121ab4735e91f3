"""A bot without the rule that a fault calls for is caught where that fault strikes; with it, it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session

from jobs import extensions, policy
from jobs.clockwatch import ClockWatch
from jobs.errors import NotAllowed
from jobs.policy import Person
from jobs.providers import Offer
from jobs.values import DOLLAR, JobSpec, Micros
from tests.simulation.books import Violation
from tests.simulation.layers import Ground
from tests.simulation.lives import PLAIN, STUBBORN
from tests.simulation.rhythm import Rhythm
from tests.simulation.run import begin, grounds, loud, prices, step
from tests.simulation.traffic import Habits, Traffic
from tests.simulation.weather import Menu
from tests.simulation.world import Cast, World

pytestmark = pytest.mark.promises

ALONE = dataclasses.replace(grounds()[0], native=None)  # nobody but the bot ends its machines
WEAK = grounds()[2]  # each of its rentals needs a lead
CROWD = dataclasses.replace(PLAIN, crowd=1.0, shorter=0.0)


def an_hour(ground: Ground, habits: Habits, strike: Callable[[World], None]) -> World:
    """Rent a machine for an hour, let something happen after ten minutes, and look on until shortly before its end."""
    casting = Cast(
        grounds=(ground,), prices=prices(), menu=Menu(), temper=STUBBORN, cap=1000 * DOLLAR, lost_triggers=0.0
    )
    world = World("an hour", dataclasses.replace(casting, reaper=False))
    rhythm, traffic = Rhythm(world), Traffic(world, habits)
    with loud():
        begin(world, rhythm, traffic)
        traffic.ask(gpu="a100", hours="1", spot="on-demand", team="vision")
        world.after(15.0, "what happens", lambda: strike(world))
        until = world.time.now() + timedelta(minutes=50)
        while (at := world.next_at()) is not None and at < until:
            step(world, rhythm, traffic)
    return world


def the_clock_jumps(world: World) -> None:
    """Let the bot's clock be two hours ahead from now on."""
    world.wrong_clock = True
    world.clock.jump(timedelta(hours=2))


def prices_triple(world: World) -> None:
    """Let everything cost three times as much from now on."""
    for cloud in world.clouds:
        cloud.prices = [dataclasses.replace(one, micros_per_hour=3 * one.micros_per_hour) for one in cloud.prices]


def somebody_else_extends(world: World) -> None:
    """Let somebody who neither leads nor asked for it press Extend."""
    job_id, owner = world.rows.execute("SELECT id, person FROM job").fetchone()
    other = next(one for one in map(world.person, ("ada", "tam", "bo")) if one.id != owner)
    extends(world, job_id, other)


def its_person_extends_by_far(world: World) -> None:
    """Let whoever asked for it press Extend until it may cost more than starts without a lead."""
    job_id, owner = world.rows.execute("SELECT id, person FROM job").fetchone()
    extends(world, job_id, Person(id=owner, lead=False), minutes=20 * 60)


def extends(world: World, job_id: str, by: Person, minutes: float = 30.0) -> None:
    """Let somebody extend a job, as far as he may."""
    world.oracle.extending(job_id, minutes, by)
    with suppress(NotAllowed):
        world.service.extend(job_id, by, minutes)


def nothing(world: World) -> None:
    """Let nothing happen."""


@pytest.mark.parametrize(
    ("ground", "habits", "strike", "machines"),
    [
        (ALONE, PLAIN, the_clock_jumps, 1),
        (WEAK, CROWD, nothing, 1),
        (WEAK, PLAIN, prices_triple, 0),
        (ALONE, PLAIN, somebody_else_extends, 1),
        (ALONE, PLAIN, its_person_extends_by_far, 1),
    ],
    ids=["the clock jumps", "many press", "prices rise while a lead thinks", "somebody else extends", "far extended"],
)
def test_the_bot_as_it_is_is_in_order(
    ground: Ground, habits: Habits, strike: Callable[[World], None], machines: int
) -> None:
    world = an_hour(ground, habits, strike)
    assert len(world.clouds[0].machines) == machines
    assert not any(machine.accepted_at for machine in world.clouds[0].machines)


def test_a_bot_that_believes_any_clock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClockWatch, "trusted", lambda self: True)  # the mutant
    monkeypatch.setattr(ClockWatch, "steady", lambda self: True)
    with pytest.raises(Violation, match="before its deadline"):
        an_hour(ALONE, PLAIN, the_clock_jumps)


def test_a_bot_that_takes_anybody_s_yes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "may_approve", lambda person, job: None)  # the mutant
    with pytest.raises(Violation, match="may not approve"):
        an_hour(WEAK, dataclasses.replace(CROWD, every=300.0), nothing)


def test_a_bot_that_asks_no_lead_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "is_weak", lambda traits: False)  # the mutant
    with pytest.raises(Violation, match="no lead had agreed"):
        an_hour(WEAK, PLAIN, nothing)


def test_a_bot_that_rents_at_any_price_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheapest(offers: Iterable[Offer], spec: JobSpec, ceiling: Micros) -> Offer:
        return min(offers, key=lambda offer: offer.micros_per_hour)

    monkeypatch.setattr(policy, "choose", cheapest)  # the mutant
    with pytest.raises(Violation, match=r"over every ceiling|is held for"):
        an_hour(WEAK, PLAIN, prices_triple)


@pytest.mark.parametrize("strike", [somebody_else_extends, its_person_extends_by_far])
def test_a_bot_that_lets_anybody_extend_is_caught(
    strike: Callable[[World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = extensions.begin

    def for_anybody(tx: Session, job_id: str, by: Person, minutes: float, **rest: Any) -> extensions.Extension:
        return begins(tx, job_id, Person(id="a lead", lead=True), minutes, **rest)

    monkeypatch.setattr(extensions, "begin", for_anybody)  # the mutant
    with pytest.raises(Violation, match="may not extend"):
        an_hour(ALONE, PLAIN, strike)
