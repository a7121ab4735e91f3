"""Months of a deployment under every fault, judged after each step; and a provider that is down for a day."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import count

from tests.promises.figure import Promise, Scale, judged
from tests.simulation.lives import Outage, outage
from tests.simulation.menu import MENU, came_up
from tests.simulation.run import History, play
from tests.support.processors import spread

DAYS = 45.0  # of one history: a month ends in its middle
SPEED = 10.0  # whole jobs a second of this process's own time
MANY = 10  # violations after which nobody has to look for more


def measure(scale: Scale) -> Sequence[Promise]:
    """Play histories until enough steps were judged, the first alone on its processor; then days without a cloud."""
    wanted = scale.of(1_000_000, 250)
    begun, histories, broken = time.perf_counter(), [], []
    seasons = partial(judged, partial(play, days=DAYS, most=wanted if not scale.full else None))
    started = time.process_time()
    first = seasons(f"{scale.seed}:0")
    spent = time.process_time() - started
    found, played = spread(seasons, (f"{scale.seed}:{number}" for number in count(1)), hands=scale.hands), first
    for number in count(1):
        if isinstance(played, History):
            histories.append(played)
        else:
            broken.append(played)
            sys.stderr.write(f"simulation: {played}\n")
        steps = sum(one.steps for one in histories)
        sys.stderr.write(f"simulation: {number} seasons, {steps:,} of {wanted:,} steps, {len(broken)} violations\n")
        if steps >= wanted or len(broken) >= MANY or 0 < scale.seconds < time.perf_counter() - begun:
            break
        played = next(found)
    found.close()
    return [
        _ledger(scale, histories, broken, wanted),
        _menu(scale, histories),
        _speed(scale, [first] if isinstance(first, History) else [], spent),
        _outages(scale),
    ]


def _ledger(scale: Scale, histories: Sequence[History], broken: Sequence[str], wanted: int) -> Promise:
    steps = sum(one.steps for one in histories)
    return Promise(
        name="ledger and machines against the oracle, after each step",
        goal=f"equal after each of {wanted:,}; every hold closed once",
        measured=f"{len(broken)} violations",
        held=steps >= wanted and not broken,
        counts={
            "steps": steps,
            "histories": len(histories),
            "jobs": sum(sum(one.jobs.values()) for one in histories),
            "machines": sum(one.tally.machines for one in histories),
            "ledger rows": sum(one.tally.entries for one in histories),
            "holds closed": sum(one.tally.closed for one in histories),
            "messages": sum(one.told for one in histories),
            "jobs across a month's end": sum(one.tally.crossed for one in histories),
        },
        seed=scale.seed,
        note=broken[0] if broken else "",
    )


def _menu(scale: Scale, histories: Sequence[History]) -> Promise:
    befell = sum((Counter(one.befell) for one in histories), Counter[str]())
    counts = came_up(befell, [one.tally for one in histories])
    met = [fault for fault, names in MENU.items() if all(counts[name] for name in names)]
    missing = [name for name, count in counts.items() if not count]
    return Promise(
        name="faults of the menu that came up in them",
        goal="each" if scale.full else "some: these are hours",
        measured=f"{len(met)} of {len(MENU)}",
        held=not missing if scale.full else bool(met),
        counts=counts,
        seed=scale.seed,
        note=f"never: {', '.join(missing)}" if missing else "",
    )


def _speed(scale: Scale, histories: Sequence[History], spent: float) -> Promise:
    ended = sum(sum(one.ended.values()) for one in histories)
    speed = ended / spent if spent else 0.0
    return Promise(
        name="simulation speed",
        goal=f"≥ {SPEED:.0f} whole jobs a second",
        measured=f"{speed:.1f} a second of process time",
        held=speed >= SPEED,
        counts={"whole jobs": ended, "seconds": round(spent, 1)},
        seed=scale.seed,
        note="every fault on; Slack, journal and oracle included",
    )


def _outages(scale: Scale) -> Promise:
    days, broken = [], []
    for found in spread(
        partial(judged, outage), [f"{scale.seed}:{number}" for number in range(scale.of(100, 1))], hands=scale.hands
    ):
        if isinstance(found, Outage):
            days.append(found)
        else:
            broken.append(found)
    most = max((one.gone_after for one in days), default=0.0)
    good = sum(one.held_more and one.paid and one.told > 0 and 0 <= one.gone_after <= 120 for one in days)
    return Promise(
        name="a provider down for 24 h",
        goal="gone ≤ 120 s after it works again, overrun booked and told",
        measured=f"max {most:.0f} s",
        held=bool(days) and good == len(days) and not broken,
        counts={"outages": len(days), "booked, told and in time": good, "violations": len(broken)},
        seed=scale.seed,
        note=broken[0] if broken else "",
    )
