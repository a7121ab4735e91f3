"""Checkpoints: whole under their names whatever happens, the newest few, as of when the save began."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support import torches
from trainer.naming import step_in
from trainer.units import find
from trainer.whole import State

torches.require()
pytestmark = torches.ONE_WORKER


def setup_module() -> None:
    global torch, Checkpoints, load_newest
    import torch

    from trainer.checkpoint import Checkpoints, load_newest


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, {"step": step, "weights": torch.full((3,), float(step))})
    checkpoints.wait()
    return checkpoints


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 999_998, 999_999, 1_000_000)
    assert names(tmp_path) == ["ckpt-1000000.pt", "ckpt-999999.pt"]
    found = load_newest(tmp_path)
    assert found and (found[0].name, found[1]["step"]) == ("ckpt-1000000.pt", 1_000_000)


def test_a_save_is_of_the_moment_it_began(tmp_path: Path) -> None:
    checkpoints, weights = Checkpoints(tmp_path), torch.ones(1_000_000)
    checkpoints.save(1, {"weights": weights, "rates": [0.1, (2, "x")]})
    checkpoints.settle()
    weights.zero_()
    checkpoints.wait()
    found = load_newest(tmp_path)
    assert found and (found[1]["weights"].min().item(), found[1]["rates"]) == (1.0, [0.1, (2, "x")])


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path: Path) -> None:
    checkpoints, weights = Checkpoints(tmp_path), torch.ones(100_000)
    checkpoints.save(1, {"token": weights, "head": weights})
    checkpoints.wait()
    found = load_newest(tmp_path)
    assert found and found[1]["token"].data_ptr() == found[1]["head"].data_ptr()
    assert (tmp_path / "ckpt-000001.pt").stat().st_size < 2 * weights.nbytes


@pytest.mark.parametrize("left", ["half", "another program's"])
def test_a_file_that_does_not_load_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    saved(tmp_path, 1, 2)
    whole = (tmp_path / "ckpt-000002.pt").read_bytes()
    (tmp_path / "ckpt-000002.pt").write_bytes(whole[: len(whole) // 2] if left == "half" else b"no checkpoint at all")
    found = load_newest(tmp_path / "nowhere", tmp_path)
    assert found and found[1]["step"] == 1
    assert "ckpt-000002.pt does not load" in capsys.readouterr().out


def test_what_a_killed_writer_left_is_neither_loaded_nor_kept(tmp_path: Path) -> None:
    (tmp_path / "ckpt-000007.tmp").write_bytes(b"half")
    assert load_newest(tmp_path) is None
    saved(tmp_path, 8)
    assert names(tmp_path) == ["ckpt-000008.pt"]


def test_a_write_that_fails_is_raised_by_the_next_call(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    checkpoints = Checkpoints(tmp_path / "out")
    checkpoints.save(1, {"step": 1})
    with pytest.raises(OSError, match="out"):
        checkpoints.wait()


def test_who_is_told_of_a_checkpoint_finds_it_whole_and_knows_its_step(tmp_path: Path) -> None:
    told: list[tuple[str, State]] = []
    checkpoints = Checkpoints(tmp_path, written=lambda path: told.append((path.name, find(path)[0].state())))
    checkpoints.save(40, {"weights": torch.ones(10)})
    checkpoints.wait()
    assert told == [("ckpt-000040.pt", State.WHOLE)]
    assert (step_in(told[0][0]), checkpoints.seconds > 0) == (40, True)


@pytest.mark.parametrize(
    ("cost", "between", "expected"),
    [(0.0, 3600.0, 60.0), (2.0, 3600.0, 120.0), (50.0, 6 * 3600.0, 600.0), (1.0, 10.0, 60.0)],
)
def test_a_save_is_due_by_youngs_and_dalys_interval_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cost: float, between: float, expected: float
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)  # the loop, which teams copy, takes no clock
    checkpoints = Checkpoints(tmp_path)
    checkpoints.seconds = cost
    now += expected - 0.01
    assert not checkpoints.is_due(between, 600.0)
    now += 0.02
    assert checkpoints.is_due(between, 600.0)
