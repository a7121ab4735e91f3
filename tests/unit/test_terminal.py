"""The demo's terminal: a thread as plain lines, and of an edited card only what is new."""

from __future__ import annotations

import io
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from bot.demo.terminal import PACE, Terminal

POSTED = 1_700_000_000.0
ENDS = "<!date^1700014400^{time}|02:13 UTC>"


class Screen:
    """A terminal and what stands on it."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        console = Console(file=self.out, width=200, highlight=False)
        self.terminal = Terminal(console, lambda user: {"U1": "Ada"}.get(user, "Hourglass"))

    def after(self, seconds: float, text: str) -> list[str]:
        """Show the card as it stands so many seconds after it was posted; return the new lines without their times."""
        card: dict[str, Any] = {"ts": f"{POSTED:f}", "user": "B1", "text": text}
        if seconds:
            card["edited"] = {"ts": f"{POSTED + seconds:f}"}
        before = len(self.out.getvalue())
        self.terminal.show([card])
        return [re.sub(r"^[\d:]{8}\s+", "", line) for line in self.out.getvalue()[before:].splitlines()]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_a_card_is_whole_at_first_and_then_tells_what_changed(screen: Screen) -> None:
    whole = screen.after(0, "acme/vit on 1 × A100: the machine is starting, $3.05 held, ends 23:20.")
    assert whole == ["Hourglass  acme/vit on 1 × A100: the machine is starting, $3.05 held, ends 23:20."]
    assert screen.after(1, "acme/vit on 1 × A100: training, $3.05 held, ends 23:20.") == ["card  training"]
    more = screen.after(2, "acme/vit on 1 × A100: training, step 1,800 of 4,000, $3.05 held, ends 23:20.")
    assert more == ["card  step 1,800 of 4,000"]


def test_numbers_alone_are_told_at_a_pace_and_words_at_once(screen: Screen) -> None:
    said = "acme/vit: {}, step {}, <$0.01 so far."
    screen.after(0, said.format("training", 5))
    assert screen.after(PACE - 1, said.format("training", 10)) == []
    assert screen.after(PACE + 1, said.format("training", 15)) == ["card  step 15"]
    assert screen.after(PACE + 2, said.format("saving", 20)) == ["card  saving, step 20"]


def test_moments_are_in_the_reader_s_own_zone_and_people_have_names(screen: Screen) -> None:
    there = (datetime.fromtimestamp(POSTED) + timedelta(hours=4)).astimezone()  # noqa: DTZ006  (the reader's own zone)
    (line,) = screen.after(0, f"<@U1> it ends {ENDS}: `k7m2pqx` [not markup]")
    assert line == f"Hourglass  @Ada it ends {there:%d %b %H:%M}: k7m2pqx [not markup]"
