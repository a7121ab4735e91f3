"""Settled by the market: what was read of it is booked and told; one that is silent or breaks keeps nothing open."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Unknown
from jobs.lifecycle import JobState
from jobs.model import NoteKind
from jobs.providers import Instance, Metered, Offer, Rate
from jobs.values import DOLLAR, SpotPolicy
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World

SPEC = a_spec(spot=SpotPolicy.SPOT, minutes=240)
TRAITS = some_traits(disk_micros_per_gb_hour=110)


class Market(FakeProvider):
    """A cloud whose spot price halves half an hour after a launch."""

    broken: Exception | None = None

    def metered(self, offer: Offer, instance: Instance | None, since: datetime, until: datetime) -> Metered | None:
        if self.broken is not None:
            raise self.broken
        price = offer.micros_per_hour
        return Metered(
            rates=[
                Rate(since=since, micros_per_hour=price),
                Rate(since=since + timedelta(minutes=30), micros_per_hour=price // 2),
            ],
            on_demand=3 * price,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    clock = FakeClock()
    offers = [an_offer(spot=True, micros_per_hour=2 * DOLLAR)]
    return World(tmp_path, Market(clock, traits=TRAITS, catalogue=offers), clock=clock)


def ended(world: World) -> tuple[int | None, dict[str, Any]]:
    """Let a spot machine stand for an hour; return what was charged, and the note of it."""
    job_id, agent = world.running(SPEC)
    world.clock.advance(minutes=60)
    agent.ends()
    world.pass_time(minutes=2)
    assert world.job(job_id).state is JobState.SUCCEEDED
    (note,) = [note for note in world.notes(job_id) if note.kind == NoteKind.SETTLED]
    return world.job(job_id).charged, note.data


def test_a_spot_machine_is_charged_what_the_market_asked_over_its_life(world: World) -> None:
    charged, told = ended(world)
    hour = timedelta(hours=1).total_seconds()
    (row,) = world.attempts("job0001")
    assert row.billed_until is not None and row.launched_at is not None
    ran = (row.billed_until - row.launched_at).total_seconds()
    disk = SPEC.disk_gb * 110
    due = (2 * DOLLAR * 1800 + DOLLAR * (ran - 1800) + disk * ran) / hour
    assert charged is not None and due <= charged < due + 1
    assert told["bills"] and not told["unmetered"]
    assert 0 <= told["saved"] - (round((6 * DOLLAR + disk) * ran / hour) - charged) <= 1
    assert told["released"] == told["held"] - charged


@pytest.mark.parametrize("broken", [Unknown("The market is silent."), RuntimeError("a mistake of the provider's")])
def test_a_market_that_cannot_be_read_leaves_the_price_at_the_launch_and_says_so(
    world: World, broken: Exception
) -> None:
    world.cloud.broken = broken  # type: ignore[attr-defined]
    charged, told = ended(world)
    (row,) = world.attempts("job0001")
    assert row.billed_until is not None and row.launched_at is not None
    ran = (row.billed_until - row.launched_at).total_seconds()
    due = (2 * DOLLAR + SPEC.disk_gb * 110) * ran / 3600
    assert charged is not None and due <= charged < due + 1
    assert (told["unmetered"], told["saved"]) == (1, 0)


def test_where_no_money_moves_no_bill_is_told(tmp_path: Path) -> None:
    clock = FakeClock()
    offers = [an_offer(spot=True, micros_per_hour=2 * DOLLAR)]
    free = World(tmp_path, Market(clock, traits=some_traits(bills=False), catalogue=offers), clock=clock)
    assert "bills" not in ended(free)[1]
