"""APScheduler's triggers lost, doubled, late and stray, and the bot restarted: does each machine end in time?"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.promises.figure import Promise, Scale
from tests.races.quiet import without_logs
from tests.races.triggers import PASS, Outcome, Run


def measure(scale: Scale) -> Sequence[Promise]:
    """Play as many runs as are asked for, each from a seed of its own."""
    faults: Counter[str] = Counter()
    outcomes: list[Outcome] = []
    with without_logs():
        for number in range(scale.of(1_000, 5)):
            with tempfile.TemporaryDirectory() as folder:
                outcomes.append(Run(Path(folder), scale.seed * 1_000_000 + number).play())
            faults += outcomes[-1].faults
    late = sorted(seconds for outcome in outcomes for seconds in outcome.late)
    missed = [text for outcome in outcomes for text in outcome.missed]
    wrong = [text for outcome in outcomes for text in (*outcome.early, *outcome.unsettled)]
    return (
        Promise(
            name="APScheduler's triggers lost, doubled, late",
            goal=f"0 missed deadlines (an end is asked for within a pass, {PASS:.0f} s, outages apart)",
            measured=f"{len(missed)} of {sum(outcome.deadlines for outcome in outcomes):,} missed; "
            f"latest {late[-1]:.1f} s, {sum(not seconds for seconds in late):,} to the moment",
            held=not (missed or wrong),
            counts={
                "runs": len(outcomes),
                "ended early or not settled": len(wrong),
                **{f"× {name}": count for name, count in sorted(faults.items())},
            },
            seed=scale.seed,
            note=(missed + wrong)[0] if missed or wrong else "APScheduler's own machinery, turned by hand",
        ),
    )
