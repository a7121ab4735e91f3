"""Months end in mid-run: holds and charges stay where they were booked, the next month begins with its own cap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.values import DOLLAR
from tests.simulation import months
from tests.simulation.oracle import Violation
from tests.simulation.run import History, grounds, play, prices
from tests.simulation.traffic import Habits
from tests.simulation.weather import Menu
from tests.simulation.world import Cast, World

HABITS = Habits(every=3000.0, hours=(0.5,), bad=0.0, denied=0.0, several=0.0, eve=4)
# Five hours before October ends in Berlin, a few days after its clocks went back; an hour later it ends for UTC.
EVE = datetime(2027, 10, 31, 18, 0, tzinfo=UTC)
SHORT = Cast(begins=EVE, grounds=grounds()[:1], prices=prices(), menu=Menu(boot=(20.0, 20.0)), cap=25 * DOLLAR)

# What a team's month could be got wrong by, as the rows would show it.
MUTANTS = {
    "lives by another calendar": (
        "AFTER INSERT ON team BEGIN UPDATE team SET zone = 'Asia/Tokyo' WHERE id = NEW.id; END",
        "is in the month",
    ),
    "books what a month cost in the next one": (
        "AFTER INSERT ON entry WHEN NEW.kind = 'CHARGE' BEGIN "
        "UPDATE entry SET period_id = (SELECT max(p.id) FROM period p JOIN period q USING (team_id) "
        "WHERE q.id = NEW.period_id) WHERE id = NEW.id; END",
        "another month",
    ),
    "begins each month with the cap of the last": (
        "AFTER INSERT ON period BEGIN UPDATE period SET cap = cap + 1 WHERE id = NEW.id; END",
        "the books say",
    ),
    "tells nobody that a budget is nearly used up": (
        "AFTER INSERT ON note WHEN NEW.kind = 'alert' BEGIN DELETE FROM note WHERE id = NEW.id; END",
        "people were told",
    ),
}


def an_eve(mutant: str = "") -> History:
    """Play the last hours of a month and the first of the next."""

    def mutate(world: World) -> None:
        for (name,) in world.rows.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            world.rows.execute(f"DROP TRIGGER {name}")  # the table's own guard would be the first to notice
        world.rows.execute(f"CREATE TEMP TRIGGER mutant {mutant}")

    return play("eve", days=0.35, casting=SHORT, habits=HABITS, prepare=mutate if mutant else lambda world: None)


@pytest.mark.promises
def test_jobs_run_across_the_end_of_a_month_and_alerts_are_told() -> None:
    played = an_eve()
    assert played.befell["a month ends"] == 2
    assert played.tally.crossed > 0
    assert played.tally.alerts > 0


@pytest.mark.promises
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_oracle_catches_a_team_that(mutant: str) -> None:
    statement, found = MUTANTS[mutant]
    with pytest.raises(Violation, match=found):
        an_eve(statement)


@pytest.mark.parametrize("zone", months.ZONES)
def test_the_oracles_calendar_is_the_worlds(zone: str) -> None:
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    for hours in range(0, 3 * 366 * 24, 1):
        at = begins + timedelta(hours=hours)
        assert at + months.offset(zone, at) == at.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC), at


@pytest.mark.parametrize(
    ("zone", "at", "ends"),
    [
        ("UTC", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 12, 31, 23, 0, tzinfo=UTC), datetime(2027, 1, 31, 23, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2027, 3, 2, tzinfo=UTC), datetime(2027, 3, 31, 22, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2027, 10, 2, tzinfo=UTC), datetime(2027, 10, 31, 23, 0, tzinfo=UTC)),
    ],
)
def test_a_month_ends_when_it_ends_for_its_team(zone: str, at: datetime, ends: datetime) -> None:
    assert months.next_end(zone, at) == ends
    assert months.month(zone, ends) != months.month(zone, ends - timedelta(seconds=1)) == months.month(zone, at)
