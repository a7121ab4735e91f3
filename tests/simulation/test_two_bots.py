"""Two bots over one database: nothing is rented, booked or ended twice, and everybody is told at least once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from jobs.launches import Launches
from jobs.model import Attempt
from jobs.values import DOLLAR
from tests.simulation.agents import Temper
from tests.simulation.oracle import Violation
from tests.simulation.rhythm import Rhythm
from tests.simulation.run import begin, grounds, loud, prices, step
from tests.simulation.traffic import Habits, Traffic
from tests.simulation.trouble import two_bots
from tests.simulation.weather import Menu
from tests.simulation.world import Cast, World

BUSY = Habits(every=900.0, hours=(0.25,), bad=0.0, eve=0)
# The second cloud makes a second machine for a key that it has seen.
FORGETFUL = Cast(
    grounds=grounds()[1:2],
    prices=prices(),
    menu=Menu(lost=0.3, boot=(20.0, 20.0), end_lag=(2.0, 10.0)),
    temper=Temper(mute=0.0, dying=0.0),
    cap=2000 * DOLLAR,
    lost_triggers=0.0,
)


def an_overlap(hours: float, prepare: Callable[[World], None] = lambda world: None) -> World:
    """Let two bots work side by side for so long, then one, until everybody was told everything."""
    world = World("two", FORGETFUL)
    prepare(world)
    rhythm, traffic = Rhythm(world), Traffic(world, BUSY)
    with loud():
        begin(world, rhythm, traffic)
        two_bots(world, hours * 3600)
        until = world.time.now() + timedelta(hours=hours)
        while (at := world.next_at()) is not None and at < until:
            step(world, rhythm, traffic)
        traffic.stops()
        while (at := world.next_at()) is not None and at < until + timedelta(hours=1):
            step(world, rhythm, traffic)
    return world


@pytest.mark.promises
def test_two_bots_do_everything_once_and_tell_it_at_least_once() -> None:
    world = an_overlap(2.0)
    assert world.befell["the second bot acts"] > 100
    assert world.oracle.tally.closed > 3
    assert world.bot.notifier.idle()
    owed = {key for (key,) in world.rows.execute("SELECT key FROM outbox WHERE state = 'done' AND kind = 'reply'")}
    said = {str(one.metadata) for room in world.office.channels.values() for one in world.office.said(room)}
    assert owed
    assert [key for key in owed if not any(key in each for each in said)] == []


@pytest.mark.promises
def test_a_bot_that_does_not_look_whether_another_has_called_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def calls(self: Launches, node: Attempt) -> bool:
        with self._ports.db.write() as tx:
            tx.connection().exec_driver_sql("UPDATE attempt SET called_at = intent_at WHERE id = ?", (node.id,))
        return True

    monkeypatch.setattr(Launches, "_calling", calls)  # the mutant
    with pytest.raises(Violation, match="has two machines"):
        an_overlap(4.0)
