"""The demo's repository carries the reference loop, as a team would copy it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("loop", "data", "checkpoint", "world")


@pytest.mark.parametrize("name", COPIED)
def test_the_demo_carries_the_loop_as_it_is(name: str) -> None:
    ours = (ROOT / "trainer" / f"{name}.py").read_text()
    theirs = (ROOT / "bot" / "demo" / "chargpt" / f"{name}.py").read_text()
    # A repository has its modules side by side; nothing else may differ. To copy anew: docs/training.md.
    assert theirs == ours.replace("from trainer.", "from ")


def test_the_loop_needs_torch_and_nothing_else_of_ours() -> None:
    for name in COPIED:
        lines = (ROOT / "trainer" / f"{name}.py").read_text().splitlines()
        ours = {line.split()[1] for line in lines if line.startswith("from trainer")}
        assert ours <= {f"trainer.{other}" for other in COPIED}


def test_it_stays_short_enough_to_be_read() -> None:
    lines = [len((ROOT / "trainer" / f"{name}.py").read_text().splitlines()) for name in COPIED]
    assert (max(lines) < 280, sum(lines) < 540) == (True, True)
