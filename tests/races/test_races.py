"""The races at the size of a check, and that their judges can say no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import db as rows
from jobs.errors import TooLate
from jobs.lifecycle import JobState
from jobs.model import Job
from jobs.service import Service
from tests.promises import approvals as approval_figures
from tests.promises import races
from tests.promises.figure import Scale
from tests.races import last_dollar
from tests.races.heats import reserve_naively
from tests.races.presses import PRESSES, Story, Trials
from tests.races.quiet import without_logs

SMALL = Scale(full=False, seed=7)


@pytest.fixture
def trials(tmp_path: Path) -> Iterator[Trials]:
    with without_logs():
        trials = Trials(tmp_path, seed=3)
        yield trials
        trials.close()


@pytest.mark.promises  # ten processes, and each commit waits for the disk
def test_processes_that_race_get_what_there_is_once() -> None:
    promises = races.measure(SMALL)
    assert [promise.name for promise in promises if not promise.held] == []


@pytest.mark.promises
def test_the_race_is_one_that_a_look_before_the_hold_loses(tmp_path: Path) -> None:
    """Who looks first and holds then overspends here; else nothing would have been tried."""
    heats = []
    for number in range(5):
        (folder := tmp_path / str(number)).mkdir()
        heats.append(last_dollar.run(folder, racers=8, reservations=50, seed=number, racer=reserve_naively))
        if heats[-1].over:
            break
    assert heats[-1].over > 0


@pytest.mark.promises
def test_of_twenty_presses_one_wins_and_the_others_are_told_why() -> None:
    promises = approval_figures.measure(SMALL)
    assert [(promise.name, promise.note) for promise in promises if not promise.held] == []
    assert promises[0].counts["presses"] == promises[0].counts["trials"] * PRESSES


class Unguarded(Service):
    """Approves what is approved already."""

    def approve(self, job_id: str, *args: Any, **options: Any) -> Job:
        with self._db.read() as tx:
            job = rows.get_job(tx, job_id)
        return super().approve(job_id, *args, **options) if job.state is JobState.AWAITING_APPROVAL else job


class Curt(Service):
    """Tells nobody why."""

    def approve(self, *args: Any, **options: Any) -> Job:
        try:
            return super().approve(*args, **options)
        except TooLate:
            raise TooLate("That was too late.") from None


@pytest.mark.parametrize("mutant", [Unguarded, Curt])
def test_the_judge_of_presses_notices(trials: Trials, mutant: type[Service]) -> None:
    trials.house.service.__class__ = mutant
    assert trials.run(Story.APPROVE).broken != []
