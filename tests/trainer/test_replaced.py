"""What is replaced before it has rested: taken all the same, and as whole only where that is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trainer.fakes import HandClock
from tests.trainer.saving import Run, in_store
from tests.trainer.test_whole import safetensors, zipped
from trainer import settled, units
from trainer.settled import Settled


def replaced(run: Run, name: str, data: bytes, *, as_a_whole: bool = True) -> None:
    """Write a file anew, as careful scripts do or in its place; each save is a second after the last."""
    at = 1_000.0 + run.clock.now
    target = run.out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    place = target.with_name(f"tmp-{target.name}") if as_a_whole else target
    place.write_bytes(data)
    if as_a_whole:  # its times differ: the name changed after the last byte
        os.utime(place, (at, at))
        place.replace(target)
    run.clock.now += 1.0


def test_what_is_replaced_again_and_again_is_taken_each_minute_at_the_latest(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    for second in range(150):
        replaced(run, "state.msgpack", b"\x82" + b"x" * (100 + second))
        run.artifacts.look()
    assert [told["written"] - 2_000.0 for told in run.told] == [60.0, *range(70, 150, 10)]
    assert [run.manifest(name).unproven for name in list(in_store(run))] == [(), ()]


def test_what_is_removed_before_it_has_rested_is_followed_by_its_name(tmp_path: Path) -> None:
    """A save each second under a new number, of which the script keeps the newest: no file of it ever rests."""
    clock = HandClock()
    settling, ready = Settled(clock, lambda: 1_000.0 + clock.now), []
    for second in range(4):
        for older in tmp_path.iterdir():
            older.unlink()
        zipped(tmp_path / f"checkpoint_{20 * second}.pt", size=1_000)
        os.utime(tmp_path / f"checkpoint_{20 * second}.pt", (1_000.0 + clock.now,) * 2)
        ready += settling.of(units.find(tmp_path), ())
        clock.now += 1.0
    assert [found.path.name for found in ready] == ["checkpoint_40.pt", "checkpoint_60.pt"]


class Saving:
    """A script that saves over and over under new numbers and keeps the newest, and what was found whole of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.found = folder, HandClock(), list[list[str]]()
        self.settled = Settled(self.clock, lambda: 1_000.0 + self.clock.now)

    def saves(self, step: int, *parts: str) -> None:
        for older in [path for path in self.folder.iterdir() if str(step) not in path.name]:
            older.unlink()
        for part in parts:
            zipped(self.folder / f"{part}_{step}.pt", size=1_000)
            os.utime(self.folder / f"{part}_{step}.pt", (1_000.0 + self.clock.now,) * 2)

    def looked(self) -> None:
        ready = self.settled.of(units.find(self.folder), ())
        self.found += [[file.name for file in one.files] for one in ready]
        self.clock.now += 1.0


def test_a_save_that_never_rests_is_taken_with_all_of_its_files(tmp_path: Path) -> None:
    """Every other look comes between a model's file and its optimizer's."""
    script = Saving(tmp_path)
    for second in range(120):
        script.saves(1_000 + second, *(("model", "optim") if second % 2 else ("model",)))
        script.looked()
    assert script.found == [[f"model_{step}.pt", f"optim_{step}.pt"] for step in range(1_061, 1_120, 2)]


def test_what_comes_no_more_is_not_waited_for(tmp_path: Path) -> None:
    script = Saving(tmp_path)
    script.saves(1_000, "model", "optim")
    for second in range(1, 70):
        script.looked()
        script.saves(1_000 + second, "model")
    assert script.found[0] == ["model_1060.pt"]


def test_while_nobody_looked_nothing_was_waited_for(tmp_path: Path) -> None:
    """Between two uploads there are ten minutes without a look; the first file of a save waits for its second one."""
    script = Saving(tmp_path)
    for second in range(3):
        script.saves(1_000 + second, "model")
        script.looked()
    assert script.found == [["model_1002.pt"]]
    script.clock.now += 600.0
    script.saves(2_000, "model")
    script.looked()
    assert script.found == [["model_1002.pt"]]


def test_half_a_file_that_lies_there_hurries_nothing_that_is_saved_after_it(tmp_path: Path) -> None:
    """The first file of a save waits for its second one, however long something of its name lies there."""
    clock = HandClock()
    settling, ready = Settled(clock, lambda: 1_000.0 + clock.now), []
    (tmp_path / "model_100.pt").write_bytes(b"PK\3\4 half")
    for second in range(9):
        if second == 5:
            zipped(tmp_path / "model_200.pt", size=1_000)
            os.utime(tmp_path / "model_200.pt", (1_000.0 + clock.now,) * 2)
        ready += [(found.path.name, second) for found in settling.of(units.find(tmp_path), ())]
        clock.now += 1.0
    assert ready[0] == ("model_200.pt", 7)


def test_a_models_folder_that_is_replaced_again_and_again_is_taken_too(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    safetensors(tmp_path / "model.safetensors")
    for _ in range(40):
        replaced(run, "run/model.safetensors", (tmp_path / "model.safetensors").read_bytes())
        replaced(run, "run/config.json", b"{}")
        run.artifacts.look()
    assert in_store(run)["run"] == ["run/config.json", "run/model.safetensors"]


def test_what_is_written_over_in_its_place_is_taken_as_unproven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "put_in_place", lambda file: False)  # the tests' own writes are too quick to tell
    run = Run(tmp_path, keep=2)
    replaced(run, "state.msgpack", b"\x82whole")
    run.artifacts.look()
    run.clock.now += 2.0
    run.artifacts.look()
    for second in range(90):
        replaced(run, "state.msgpack", b"\x82" + b"x" * (1 + second % 2), as_a_whole=False)
        run.artifacts.look()
    # What is proven is counted by itself: it gives way to nothing that may be half.
    assert [list(run.manifest(name).unproven) for name in in_store(run)] == [
        [], ["state.msgpack"], ["state.msgpack"],
    ]  # fmt: skip


def test_what_stands_as_unproven_is_sent_again_when_it_has_rested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "put_in_place", lambda file: False)
    run = Run(tmp_path, keep=2)
    while not run.told:
        replaced(run, "state.msgpack", b"\x82x", as_a_whole=False)
        run.artifacts.look()
    run.artifacts.hurry()
    run.clock.now += 0.5
    run.artifacts.look()
    assert len(run.told) == 1
    run.clock.now += 2.0
    run.artifacts.look()
    assert {name: list(run.manifest(name).unproven) for name in in_store(run)} == {run.names()[1]: []}
    assert run.told[1]["removed"] == [run.names()[0]]


def test_what_only_grows_is_still_being_written(run: Run) -> None:
    for second in range(200):
        replaced(run, "state.msgpack", b"\x82" + b"x" * second, as_a_whole=False)
        run.artifacts.look()
    assert run.told == []
