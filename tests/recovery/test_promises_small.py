"""The figures of the reaper and of the recovery, tried as often as every check can afford."""

from __future__ import annotations

import pytest

from tests.promises import reaper, recovery
from tests.promises.figure import Scale


@pytest.mark.promises
@pytest.mark.parametrize("seed", [1, 2])
def test_no_live_machine_is_ended_by_the_reaper_and_every_overdue_one_is(seed: int) -> None:
    assert [promise.name for promise in reaper.measure(Scale(full=False, seed=seed)) if not promise.held] == []


@pytest.mark.promises
def test_a_database_lost_while_jobs_run_is_rebuilt_exactly() -> None:
    assert [promise.note for promise in recovery.measure(Scale(full=False, seed=3)) if not promise.held] == []
