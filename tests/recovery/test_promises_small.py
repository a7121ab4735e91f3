"""The figures of the reaper and of the recovery, tried as often as every check can afford."""

from __future__ import annotations

import pytest

from tests.promises import reaper
from tests.promises.figure import Scale


@pytest.mark.parametrize("seed", [1, 2])
def test_no_live_machine_is_ended_by_the_reaper_and_every_overdue_one_is(seed: int) -> None:
    assert [promise.name for promise in reaper.measure(Scale(full=False, seed=seed)) if not promise.held] == []
