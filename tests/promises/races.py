"""Processes racing on one SQLite file: for the last dollar, for one Approve button, for one queued job."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.promises.figure import Promise, Scale
from tests.races import bots, last_dollar
from tests.races.last_dollar import Heat


def measure(scale: Scale) -> Sequence[Promise]:
    """Run every race; each on a file of its own."""
    return (_last_dollar(scale), _one_button(scale), _one_job(scale))


def _last_dollar(scale: Scale) -> Promise:
    racers, reservations, runs = scale.of(32, 8), scale.of(200, 50), scale.of(5, 1)
    heats: list[Heat] = []
    for run in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            seed = scale.seed * 1000 + run
            heats.append(last_dollar.run(Path(folder), racers=racers, reservations=reservations, seed=seed))
    over, astray = sum(heat.over for heat in heats), sum(heat.astray for heat in heats)
    granted, dollars = sum(heat.granted for heat in heats), sum(heat.dollars for heat in heats)
    doubled, fitting = sum(heat.doubled for heat in heats), sum(heat.fitting for heat in heats)
    torn, broke = sum(heat.torn for heat in heats), _all(heat.broke for heat in heats)
    return Promise(
        name="holds beyond the cap",
        goal="0 micro-dollars, and every dollar granted",
        measured=f"{over} micro-dollars; {granted:,} of {dollars:,} dollars granted, "
        f"{fitting} refused that would have fitted",
        held=granted == dollars and not (over or astray or doubled or fitting or torn or broke),
        counts={
            "processes": racers,
            "reservations": sum(heat.asked for heat in heats),
            "runs": len(heats),
            "holds": sum(heat.held for heat in heats),
            "micro-dollars astray": astray,
            "keys written twice": doubled,
            "looks meanwhile": sum(heat.looks for heat in heats),
            "torn looks": torn,
            "times told to ask again": sum(heat.not_written for heat in heats),
            "other errors": len(broke),
        },
        seed=scale.seed,
        note=broke[0] if broke else "one file, opened below serve's lock; a tenth of the holds asked for by two",
    )


def _one_button(scale: Scale) -> Promise:
    with tempfile.TemporaryDirectory() as folder:
        found = bots.press(Path(folder), scale.of(1_000, 30))
    whole = {found.winners, found.explained, found.holds, found.may_launch} == {found.jobs}
    return Promise(
        name="one Approve button, two leads in two processes",
        goal="1 winner, 1 told who it was, 1 hold",
        measured=f"{found.winners:,} winners, {found.explained:,} told, {found.holds:,} holds for {found.jobs:,} jobs",
        held=whole and not found.broke,
        counts={"jobs": found.jobs, "jobs that may launch": found.may_launch, "other errors": len(found.broke)},
        seed=scale.seed,
        note=found.broke[0] if found.broke else "",
    )


def _one_job(scale: Scale) -> Promise:
    with tempfile.TemporaryDirectory() as folder:
        found = bots.launch(Path(folder), scale.of(300, 20))
    whole = {found.intents, found.calls, found.machines, found.named} == {found.jobs}
    return Promise(
        name="one queued job, two bots looking for its machine",
        goal="1 intent, 1 call, 1 machine",
        measured=f"{found.intents:,} intents, {found.calls:,} calls, {found.machines:,} machines "
        f"for {found.jobs:,} jobs",
        held=whole and not found.broke,
        counts={"jobs": found.jobs, "machines named in their rows": found.named, "other errors": len(found.broke)},
        seed=scale.seed,
        note=found.broke[0] if found.broke else "a cloud that is not idempotent; one of the bots enforces meanwhile",
    )


def _all(texts: Iterable[tuple[str, ...]]) -> list[str]:
    return [text for each in texts for text in each]
