"""Twenty presses by mixed people on one question, again and again: one winner, and everybody else is told why not."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.promises.figure import Promise, Scale
from tests.races.presses import PRESSES, WON, Story, Tally, Trials
from tests.races.quiet import without_logs


def measure(scale: Scale) -> Sequence[Promise]:
    """Play the stories with one winner, then those that nobody wins and those in which Approve meets Deny."""
    with tempfile.TemporaryDirectory() as folder, without_logs():
        trials = Trials(Path(folder), scale.seed)
        try:
            won = _played(trials, sorted(WON), scale.of(1_000, 12))
            others = {story: _played(trials, [story], scale.of(200, 2)) for story in Story if story not in WON}
            trials.house.balanced()
        finally:
            trials.close()
    return (_decided(won, scale.seed), *(_other(story, tally, scale.seed) for story, tally in others.items()))


def _played(trials: Trials, stories: Sequence[Story], count: int) -> Tally:
    total = Tally()
    for number in range(count):
        total.add(trials.run(stories[number % len(stories)]))
    return total


def _decided(tally: Tally, seed: int) -> Promise:
    losers = tally.presses - tally.trials
    found = (tally.winners, tally.launches, tally.machines, tally.explained)
    return Promise(
        name=f"approvals: {PRESSES} presses by mixed people",
        goal="1 launch, 1 winner, 19 explained",
        measured=f"{tally.launches:,} launches, {tally.winners:,} winners, {tally.explained:,} of {losers:,} explained "
        f"in {tally.trials:,} trials",
        held=found == (tally.trials, tally.trials, tally.trials, losers) and not tally.broken,
        counts={"trials": tally.trials, "presses": tally.presses, "trials broken": len(tally.broken)},
        seed=seed,
        note=tally.broken[0] if tally.broken else "two leads, the requester, a guest, a stranger; six come late",
    )


def _other(story: Story, tally: Tally, seed: int) -> Promise:
    """Each trial was judged on its own; here they are only added up."""
    goals = {
        Story.AGAINST: "1 decision; 1 launch where it is yes, else none",
        Story.DENIED: "0 launches, 20 explained",
        Story.EXPIRED: "0 launches, 20 explained",
    }
    names = {
        Story.AGAINST: "approvals: Approve against Deny",
        Story.DENIED: "approvals: after a lead denied it",
        Story.EXPIRED: "approvals: after nobody decided in time",
    }
    return Promise(
        name=names[story],
        goal=goals[story],
        measured=f"{tally.winners:,} decided, {tally.launches:,} launches, {tally.explained:,} explained "
        f"in {tally.trials:,} trials",
        held=tally.trials > 0 and not tally.broken,
        counts={"trials": tally.trials, "presses": tally.presses, "trials broken": len(tally.broken)},
        seed=seed,
        note=tally.broken[0] if tally.broken else "",
    )
