"""`hourglass demo`, as a newcomer starts it: what it leaves behind when it ends, and that nothing is left running."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.demos import LEAVES, LIMIT, demo, left, nothing_left, shows_a_whole_job, until

# Two demos at a time would share the cores that its promise of five minutes is about.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(500), pytest.mark.xdist_group("demo")]


def test_the_demo_trains_for_real_and_leaves_thread_plots_and_checkpoint(tmp_path: Path) -> None:
    # A fifth of the training: the rest would show nothing new. The other story types the line as it is.
    with demo(tmp_path, "--steps", "40") as running:
        told, _ = running.communicate(timeout=LIMIT)
    assert running.returncode == 0, told
    assert "hours=4 -- python train.py --steps 40" in told
    assert ", step 40" in told
    shows_a_whole_job(tmp_path, told)
    assert nothing_left(tmp_path)


def test_ctrl_c_in_the_middle_leaves_nothing_running(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        told = until(running, "Loss ")  # the first plot: it trains
        assert left(tmp_path), told
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=LEAVES)
    assert running.returncode == 130, told + rest
    assert "Interrupted" in rest
    assert nothing_left(tmp_path)
