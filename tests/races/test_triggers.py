"""Triggers that are lost, doubled and late, at the size of a check, and that the judge of them can say no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises import triggers
from tests.promises.figure import Scale
from tests.races.quiet import without_logs
from tests.races.triggers import FAULTS, Run

HOUR = 3600.0


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    with without_logs():
        yield


@pytest.mark.promises
def test_no_deadline_is_missed() -> None:
    (promise,) = triggers.measure(Scale(full=False, seed=7))
    assert promise.held, promise.note


def test_a_seed_repeats_its_run(tmp_path: Path) -> None:
    first, second = (Run(tmp_path / name, 11).play() for name in ("one", "two"))
    assert first == second


def test_with_every_trigger_in_place_no_pass_is_needed(tmp_path: Path) -> None:
    outcome = Run(tmp_path, 5, enforce_seconds=HOUR, faults=[]).play()
    assert outcome.late == [0.0] * outcome.deadlines


@pytest.mark.promises
def test_without_the_pass_under_them_lost_triggers_miss_their_deadlines(tmp_path: Path) -> None:
    """The mutant that trusts its triggers is caught, so the net is what holds in the runs above."""
    outcome = Run(tmp_path, 5, enforce_seconds=HOUR, faults=["all lost"] * 8).play()
    assert outcome.missed != []


@pytest.mark.promises  # one by one; the figure above mixes them
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_strikes_and_is_survived(tmp_path: Path, fault: str) -> None:
    outcome = Run(tmp_path, 5, faults=[fault] * 8).play()
    assert outcome.faults[fault] > 0
    assert (outcome.missed, outcome.early, outcome.unsettled) == ([], [], [])
