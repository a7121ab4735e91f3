"""What machines write by halves, or write to be misread, reaches nobody."""

from __future__ import annotations

import pytest

from bot import markup
from jobs.follow import Follow, Proven
from jobs.values import DOLLAR
from tests.simulation.agents import Temper
from tests.simulation.oracle import Violation
from tests.simulation.run import History, grounds, play, prices
from tests.simulation.traffic import Habits
from tests.simulation.weather import Menu
from tests.simulation.world import Cast

ODD = Temper(mute=0.0, dying=0.0, failing=0.5, early=0.4, half=0.7, odd=1.0)
BUSY = Habits(every=900.0, hours=(0.25,), bad=0.0, denied=0.0, eve=0)


def some_hours() -> History:
    """Let machines that write odd things come and go."""
    return play(
        "words",
        days=0.1,
        casting=Cast(grounds=grounds()[:1], prices=prices(), menu=Menu(), temper=ODD, cap=2000 * DOLLAR),
        habits=BUSY,
    )


@pytest.mark.promises
def test_nobody_reads_what_a_machine_wrote_by_halves_or_to_be_misread() -> None:
    assert some_hours().tally.closed > 1


@pytest.mark.promises
def test_a_bot_that_does_not_look_for_the_manifest_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Follow, "_prove", lambda self, attempt, saved: Proven(saved=saved, files=[], bytes=0))
    with pytest.raises(Violation, match="is not whole"):
        some_hours()


@pytest.mark.promises
def test_a_bot_that_passes_words_on_as_they_came_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "escape", markup.Markup)
    with pytest.raises(Violation, match="as they came"):
        some_hours()
