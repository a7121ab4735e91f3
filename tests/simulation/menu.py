"""What is on the menu, by the words in which it was read elsewhere, and the counters that say that it came up.

A fault that never happened proves nothing, so each has a counter in `World.befell`, or among the ends of machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tests.simulation.books import Tally
from tests.simulation.machine import Cause

ENDED: Final = "a machine ended: "

MENU: Final[Mapping[str, tuple[str, ...]]] = {
    "duplicate delivery; a crash after the acknowledgement": ("a delivery comes twice", "killed at a commit or a call"),
    "Approve pressed by several, by no lead, too late": ("several press Approve", "nobody decides in time"),
    "a launch that is answered to nobody": ("a launch is answered to nobody",),
    "a machine that stands, and whose row was not committed": ("killed between a launch and its row",),
    "the bot dead for hours": ("the bot dies",),
    "the clock jumps": ("the clock jumps",),
    "the scheduler's triggers are lost": ("a trigger is lost",),
    "the database is locked; its disk is full": ("the database is locked", "no room for a transaction"),
    "a provider answers 5xx, for a call, for a while, for a day": (
        "a 5xx before the effect",
        "a 5xx after the effect",
        "a call while a cloud is down for a while",
        "a call while a cloud is down for a day",
    ),
    "a provider throttles, for a call, for a while, for a day": (
        "a call is throttled",
        "a call while a cloud is throttled for a while",
        "a call while a cloud is throttled for a day",
    ),
    "listings that are partial or stale": ("a listing that is not whole", "a look at a stale replica"),
    "no room": ("a zone, a region or a quota is full", "a call while a cloud is full for a while"),
    "a terminate that says yes and does nothing": ("a terminate that does nothing", "a terminate that takes its time"),
    "a machine that never boots": ("a machine that never boots",),
    "spot reclaim, in mid-checkpoint too": ("reclaimed in mid-checkpoint", f"{ENDED}{Cause.RECLAIM}"),
    "half an upload": ("half an upload, told of as whole",),
    "Slack down, its answers lost": ("slack is silent", "slack loses answers"),
    "two bots at once": ("two bots at once", "the second bot acts"),
    "a flood of metrics; NaN and Infinity as loss": ("numbers that are none, or hundreds of series",),
    "bidi and control characters, `<!channel>`": ("last words to be misread",),
    "two machines for one job, of which one leaves, dies or never speaks": (
        "two machines are asked for",
        "a machine is left behind",
    ),
    "prices that rise": ("prices move",),
    "a month that ends in mid-run": ("a month ends",),
    "an early finish; a script that dies, says nothing, ignores its stop": (
        "a script that ends early",
        "a script that dies without a word",
        "a script that says nothing",
        "a script that ignores its stop",
    ),
    "a database restored from an old backup": ("the database falls back",),
    "the store is away": ("the store is away",),
    "the clouds' own limits and the machines' timers end machines": (
        f"{ENDED}{Cause.NATIVE}",
        f"{ENDED}{Cause.TIMER}",
        f"{ENDED}{Cause.ITSELF}",
    ),
}


def came_up(befell: Mapping[str, int], tallies: Iterable[Tally]) -> dict[str, int]:
    """Return how often each counter of the menu was met."""
    ends = {f"{ENDED}{cause}": 0 for cause in Cause}
    for tally in tallies:
        for cause, count in tally.ends.items():
            ends[f"{ENDED}{cause}"] += count
    return {name: befell.get(name, 0) + ends.get(name, 0) for names in MENU.values() for name in names}
