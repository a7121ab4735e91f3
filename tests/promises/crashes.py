"""Killed at every commit and every call: no machine leaks, none is launched twice, and every broken rule is caught."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.crashes.campaign import SHARES, Goal, Tally, campaign
from tests.crashes.mutants import MUTANTS
from tests.crashes.points import POINTS
from tests.promises.figure import Promise, Scale

HISTORIES, KILLS = 20_000, 200
FEW_HISTORIES, FEW_KILLS = 120, 3


def measure(scale: Scale) -> Sequence[Promise]:
    """Tell the histories, and the same under broken rules."""
    histories, kills = scale.of(HISTORIES, FEW_HISTORIES), scale.of(KILLS, FEW_KILLS)
    shares = scale.of(SHARES, 1)
    at_a_time = min(shares, os.cpu_count() or 1)
    goal = Goal(
        seed=scale.seed,
        histories=histories,
        kills=kills,
        weathers=scale.of(4, 1),
        seconds=scale.seconds * at_a_time / shares,
    )
    tally = campaign(goal, shares=shares)
    return (_kept(tally, scale, histories, kills), _caught(tally, scale))


def _kept(tally: Tally, scale: Scale, histories: int, kills: int) -> Promise:
    leaked, doubled = tally.kinds["leaked"], tally.kinds["doubled"]
    least = min(tally.kills[point] for point in POINTS)
    reached = tally.histories >= histories and least >= kills
    return Promise(
        name="machines leaked or launched twice, the bot killed",
        goal=f"0 in {histories:,} histories, each point killed {kills} times",
        measured=f"{leaked} leaked, {doubled} doubled",
        held=reached and not tally.broken,
        counts={
            "histories": tally.histories,
            "kills": tally.kills.total(),
            "points": len(POINTS),
            "kills of the least": least,
            "late": tally.kinds["late"],
            "paid wrongly": tally.kinds["charged"] + tally.kinds["held"] + tally.kinds["closed"],
            "other faults": sum(tally.kinds[kind] for kind in ("early", "ended", "papers", "told", "stumbled")),
            "histories without a death": tally.lives,
        },
        seed=scale.seed,
        note="; ".join(tally.broken[:3]),
    )


def _caught(tally: Tally, scale: Scale) -> Promise:
    escaped = [mutant.name for mutant in MUTANTS if not tally.mutants.get(mutant.name, [0, 0, 0])[1]]
    accused = sum(row[2] for row in tally.mutants.values())
    return Promise(
        name="broken rules caught by the same histories",
        goal="each",
        measured=f"{len(MUTANTS) - len(escaped)} of {len(MUTANTS)}",
        held=not escaped and not accused,
        counts={
            "histories": sum(row[0] for row in tally.mutants.values()),
            "with a fault": sum(row[1] for row in tally.mutants.values()),
            "faults of the real code in them": accused,
        },
        seed=scale.seed,
        note=f"escaped: {', '.join(escaped)}" if escaped else "",
    )
