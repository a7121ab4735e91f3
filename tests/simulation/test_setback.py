"""A database that falls back to an old backup while machines run is rebuilt before anything ends."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from jobs import snapshots
from jobs.journal import Journal
from jobs.values import DOLLAR
from tests.simulation.agents import Temper
from tests.simulation.oracle import Violation
from tests.simulation.rhythm import Rhythm
from tests.simulation.run import begin, grounds, loud, prices, step
from tests.simulation.setback import Setback
from tests.simulation.traffic import Habits, Traffic
from tests.simulation.weather import Menu
from tests.simulation.world import Cast, World

BUSY = Habits(every=400.0, hours=(0.25, 0.5, 1), bad=0.0, extended=0.6, eve=0)
PLAIN = Cast(
    grounds=tuple(dataclasses.replace(one, native=None) for one in grounds()[:2]),
    prices=prices(),
    menu=Menu(boot=(20.0, 20.0), end_lag=(2.0, 10.0)),
    temper=Temper(mute=0.0, dying=0.0),
    cap=2000 * DOLLAR,
)


def a_setback(*, late: float = 0.0) -> World:
    """Make a backup after half an hour of traffic, put it back as long after that, and go on for an hour."""
    world = World("setback", PLAIN)
    rhythm, traffic = Rhythm(world), Traffic(world, BUSY)
    with loud():
        begin(world, rhythm, traffic)
        world.after(1800.0, "a backup is made", lambda: Setback(world, 1800.0, late=late))
        world.after(3610.0, "command", lambda: traffic.ask(gpu="h100", hours="8", spot="on-demand"))
        until = world.time.now() + timedelta(hours=1.7)
        while (at := world.next_at()) is not None and at < until:
            step(world, rhythm, traffic)
    return world


@pytest.mark.promises
def test_a_bot_that_was_stopped_loses_nothing_with_its_database() -> None:
    world = a_setback()
    assert world.befell["the database falls back"] == 1
    assert world.oracle.tally.forgotten == 0
    assert world.oracle.tally.closed > 3


@pytest.mark.promises
def test_what_a_bot_that_was_killed_loses_is_younger_than_its_last_pass() -> None:
    world = a_setback(late=29.0)
    assert world.befell["the database falls back"] == 1
    assert 0 < world.oracle.tally.forgotten_age <= 29.0 + 30.0
    assert world.oracle.tally.closed > 3


@pytest.mark.promises
def test_a_recovery_that_forgets_what_was_spent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    read = snapshots.job_rows
    monkeypatch.setattr(snapshots, "job_rows", lambda plain: dataclasses.replace(read(plain), entries=()))  # the mutant
    with pytest.raises(Violation, match="was not rebuilt"):
        a_setback()


@pytest.mark.promises
def test_a_bot_that_keeps_no_records_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "write", lambda self, job_id: None)  # the mutant
    monkeypatch.setattr(Journal, "round", lambda self: None)
    with pytest.raises(Violation, match=r"rebuilt as|no lead ever set|not there any more|of its hold|may last"):
        a_setback()
