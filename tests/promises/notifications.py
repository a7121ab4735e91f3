"""Notifications that survive: seeded histories of Slack's bad days, each lived through with and without Slack."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.operators.histories import Verdict, backlog, history
from tests.promises.figure import Promise, Scale

GOAL = "each fact told once, in order, the newest card; the jobs as without Slack"
ORDER = "approvals before ends before warnings before cards before the rest"


def measure(scale: Scale) -> Sequence[Promise]:
    """Live through the histories; the counts are what was tried in them."""
    with _quietly():
        told = _all(history, [f"{scale.seed}/{number}" for number in range(scale.of(500, 5))])
        queued = _all(backlog, [f"{scale.seed}/queue/{number}" for number in range(scale.of(200, 3))])
    return (
        Promise(
            name="notifications through Slack's bad days",
            goal=GOAL,
            measured=_words(told.broken, f"{told.doubles} doubles, {told.lost} lost, 0 broken histories"),
            held=not told.broken,
            counts=_named(told, "jobs", "calls", "posts", "edits", "look-ups", "away", "lost", "broken", "limited")
            | {"restarts between call and commit": told.counts["killed"]},
            seed=scale.seed,
        ),
        Promise(
            name="who goes first when the bucket is short",
            goal=ORDER,
            measured=_words(queued.broken, "0 out of turn"),
            held=not queued.broken,
            counts=_named(queued, "posts", "limited"),
            seed=scale.seed,
        ),
    )


def _all(live: Callable[[Path, str], Verdict], seeds: Sequence[str]) -> Verdict:
    broken: list[str] = []
    counts: Counter[str] = Counter()
    doubles = lost = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            verdict = live(Path(folder), seed)
        broken += verdict.broken
        counts.update(verdict.counts)
        counts["histories"] += 1
        doubles, lost = doubles + verdict.doubles, lost + verdict.lost
    return Verdict(broken=broken, doubles=doubles, lost=lost, counts=counts)


def _named(verdict: Verdict, *names: str) -> dict[str, int]:
    return {name: verdict.counts[name] for name in ("histories", *names)}


def _words(broken: Sequence[str], well: str) -> str:
    return f"{len(broken)} broken, the first: {broken[0]}" if broken else well


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence what the bot logs about thousands of calls that are meant to fail."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
