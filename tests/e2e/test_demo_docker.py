"""`hourglass demo --provider docker`: the same story in this machine's engine, which keeps no container of it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.demos import LEAVES, LIMIT, containers, demo, nothing_left, shows_a_whole_job, until
from tests.support import engine

# Two demos at a time would share the cores that its promise of five minutes is about.
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(500), pytest.mark.xdist_group("demo")]


def test_the_demo_in_a_container_takes_the_image_that_is_there_and_leaves_nothing(tmp_path: Path) -> None:
    engine.require(engine.TORCH)
    with demo(tmp_path, "--provider", "docker") as running:
        told = until(running, "Loss ")  # the first plot: it trains
        assert containers(tmp_path), told
        rest, _ = running.communicate(timeout=LIMIT)
    assert running.returncode == 0, told + rest
    assert f"image={engine.TORCH}" in told
    shows_a_whole_job(tmp_path, told + rest)
    assert containers(tmp_path) == []
    assert nothing_left(tmp_path)


def test_ctrl_c_ends_the_container(tmp_path: Path) -> None:
    engine.require(engine.TORCH)
    with demo(tmp_path, "--provider", "docker") as running:
        told = until(running, "Loss ")  # the first plot: it trains
        assert containers(tmp_path), told
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=LEAVES)
    assert running.returncode == 130, told + rest
    assert containers(tmp_path) == []
    assert nothing_left(tmp_path)
