"""How late a machine's end is asked for, the bot alive; and how late its cloud ends it, everything of ours dead."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tests.promises.figure import Promise, Scale, judged
from tests.simulation.layers import DEAD_BOT, Ground
from tests.simulation.lives import abandoned, lag_of
from tests.support.processors import spread

P99, MOST = 60.0, 120.0


def measure(scale: Scale) -> Sequence[Promise]:
    """Live through single jobs' lives, and abandon machines in every kind of cloud."""
    return [_alive(scale), *(_dead(scale, ground) for ground in DEAD_BOT)]


def _alive(scale: Scale) -> Promise:
    lags, broken, lives = [], [], scale.of(10_000, 5)
    for found in spread(
        partial(judged, lag_of), [f"{scale.seed}:{number}" for number in range(lives)], hands=scale.hands
    ):
        if isinstance(found, float):
            lags.append(found)
        elif found is not None:
            broken.append(found)
    lags.sort()
    p99 = lags[min(len(lags) - 1, int(len(lags) * 0.99))] if lags else 0.0
    most = lags[-1] if lags else 0.0
    return Promise(
        name="kill lag, bot alive, outages apart",
        goal=f"p99 ≤ {P99:.0f} s, max ≤ {MOST:.0f} s",
        measured=f"p99 {p99:.0f} s, max {most:.0f} s",
        held=bool(lags) and p99 <= P99 and most <= MOST and not broken,
        counts={"lives": lives, "machines alive at their deadline": len(lags), "violations": len(broken)},
        seed=scale.seed,
        note=broken[0] if broken else "",
    )


def _dead(scale: Scale, ground: Ground) -> Promise:
    lates, unended, unsaid, machines = [], 0, 0, 0
    floors = over = 0
    lives = partial(abandoned, ground=ground)
    for found in spread(lives, [f"{scale.seed}:{number}" for number in range(scale.of(1000, 1))], hands=scale.hands):
        if found is None:
            continue
        machines += 1
        unsaid += not found.said
        if found.late is None:
            unended += 1
            continue
        lates.append(found.late)
        floors += found.floor > 0
        limit = ground.promised.total_seconds() if ground.promised is not None else 0.0
        over += found.late > max(limit, found.floor + limit)
    promised = f"≤ {ground.promised.total_seconds():.0f} s {ground.note}" if ground.promised else "said on the card"
    none = ground.promised is None
    return Promise(
        name=f"kill lag, bot dead for a day: {ground.name}",
        goal=promised.strip(),
        measured=f"{unended} still stand, {machines - unsaid} cards say so" if none else f"max {max(lates):.0f} s",
        held=machines > 0 and over == 0 and unsaid == 0 and (none or unended == 0),
        counts={"machines": machines, "under the floor": floors, "over": over, "not ended": unended},
        seed=scale.seed,
        note=ground.note,
    )
