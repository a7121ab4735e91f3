"""What is saved together is one checkpoint, and what is saved anew takes the place of what it follows."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.saving import Run, in_store, looked, saved
from tests.trainer.test_whole import safetensors, zipped
from trainer import retention


def test_the_best_stays_beside_the_last_that_is_written_over_and_over(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=3)
    saved(run, "best.pt", minute=0)
    looked(run)
    for minute in range(1, 7):
        saved(run, "last.pt", minute=minute)
        looked(run)
    assert in_store(run) == {"best": ["best.pt"], **{f"last-{n}": ["last.pt"] for n in (4, 5, 6)}}


def test_every_net_that_was_saved_at_the_end_is_taken(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    names = ["decoder.pth", "ema.pth", "encoder.pth", "generator_a.pth", "generator_b.pth"]
    saved(run, *names, minute=0)
    assert run.artifacts.look(final=True)
    assert [sorted(files) for files in in_store(run).values()] == [names]


def test_results_that_are_numbered_are_all_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    for fold in range(5):
        saved(run, f"fold_{fold}.pt", f"model_{fold}.pt", minute=fold)
        looked(run)
    assert sorted(name for files in in_store(run).values() for name in files) == sorted(
        f"{word}_{fold}.pt" for word in ("fold", "model") for fold in range(5)
    )


def test_two_checkpoints_of_several_files_are_two(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    for step in (100, 200, 300):
        parts = [
            f"{part}_{step:06d}{rank}.pt" for part, rank in (("model", ""), ("optim", "_rank0"), ("optim", "_rank1"))
        ]
        saved(run, *parts, minute=step)
        looked(run)
    assert {name: len(files) for name, files in in_store(run).items()} == {"step-000200": 3, "step-000300": 3}
    assert run.told[-1]["removed"] == ["step-000100"]


def test_a_model_its_optimizer_and_its_schedule_are_one_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    for minute in range(3):
        saved(run, "model.pt", "optimizer.pt", "scheduler.pt", minute=minute)
        looked(run)
    assert in_store(run) == {f"model-{n}": ["model.pt", "optimizer.pt", "scheduler.pt"] for n in (2, 3)}


def test_a_part_that_is_still_being_written_is_waited_for(run: Run) -> None:
    saved(run, "model_000100.pt", "optim_000100.pt", minute=0)
    whole = (run.out / "optim_000100.pt").read_bytes()
    (run.out / "optim_000100.pt").write_bytes(whole[:500])
    os.utime(run.out / "optim_000100.pt", (1_010.0, 1_010.0))
    looked(run)
    assert in_store(run) == {}
    (run.out / "optim_000100.pt").write_bytes(whole)
    os.utime(run.out / "optim_000100.pt", (1_020.0, 1_020.0))
    looked(run)
    assert in_store(run) == {"step-000100": ["model_000100.pt", "optim_000100.pt"]}


def test_a_part_that_stays_half_holds_nobody_up_for_ever(run: Run) -> None:
    saved(run, "model_000100.pt", "optim_000100.pt", minute=0)
    (run.out / "optim_000100.pt").write_bytes(b"PK\x03\x04half")
    os.utime(run.out / "optim_000100.pt", (1_010.0, 1_010.0))
    run.artifacts.look()
    run.clock.now += 60.0
    run.artifacts.look()
    assert in_store(run) == {"step-000100": ["model_000100.pt"]}


def test_a_file_that_was_written_just_now_may_be_the_first_of_several(run: Run) -> None:
    saved(run, "model.pt", minute=0)
    os.utime(run.out / "model.pt", (1_762_077_599.0, 1_762_077_599.0))  # a second ago
    run.artifacts.look()
    assert in_store(run) == {}
    run.clock.now += 2.0
    run.artifacts.look()
    assert in_store(run) == {"model-1": ["model.pt"]}


def test_a_part_that_comes_late_is_not_left_to_the_next_turn(run: Run) -> None:
    saved(run, "model.pt", minute=0)
    run.store.after_put_file = lambda: saved(run, "optimizer.pt", minute=0.1)
    run.artifacts.look()
    run.store.after_put_file = lambda: None
    run.artifacts.look()
    run.clock.now += 2.0
    run.artifacts.look()
    assert in_store(run) == {"model-2": ["model.pt", "optimizer.pt"]}


def test_a_folder_that_the_script_named_is_not_taken_a_second_time(run: Run) -> None:
    saved(run, "best/model_state.pt", "best/optim_state.pt", minute=0)
    run.artifacts.look(named=[run.out / "best"])
    looked(run)
    assert in_store(run) == {"best": ["best/model_state.pt", "best/optim_state.pt"]}


def test_a_last_model_takes_none_of_the_checkpoints_beside_it_along(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=3)
    for step in (10, 20):
        saved(run, f"run1/checkpoint-{step}/model.safetensors", minute=step)
        (run.out / f"run1/checkpoint-{step}/model.safetensors").write_bytes(safetensors(run.root / "x.safetensors"))
        (run.out / f"run1/checkpoint-{step}/trainer_state.json").write_text("{}")
        looked(run)
    safetensors(run.out / "run1" / "model.safetensors")
    (run.out / "run1" / "config.json").write_text("{}")
    assert run.artifacts.look(final=True)
    assert {name: len(files) for name, files in in_store(run).items()} == {
        "run1": 2, "step-000010": 2, "step-000020": 2,
    }  # fmt: skip


def test_what_the_script_itself_keeps_outlives_what_it_removed(run: Run) -> None:
    for epoch in range(1, 6):
        saved(run, f"epoch_{epoch}.pt", minute=epoch)
        if epoch > 2:
            (run.out / f"epoch_{epoch - 1}.pt").unlink()  # the first is its best
        looked(run)
    assert list(in_store(run)) == ["epoch_1", "epoch_5"]


def test_more_names_than_checkpoints_have_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_NAMES", 3)
    run = Run(tmp_path)
    for minute, name in enumerate(("a", "b", "c", "d")):
        saved(run, f"{name}/best.pt", minute=minute)
        looked(run)
    assert sorted(in_store(run)) == ["best-2", "best-3", "best-4"]
    assert [code for code, _ in run.notices] == ["checkpoint_names"]


def test_the_newest_is_sent_first(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=3)
    saved(run, "step_1.pt", minute=1)
    looked(run)
    for step in (2, 3, 4, 5):
        saved(run, f"step_{step}.pt", minute=step)
    assert run.artifacts.look(final=True)
    assert run.names() == ["step-000001", "step-000005", "step-000004", "step-000003"]
    assert [told["written"] for told in run.told] == [1_060.0, 1_300.0, 1_240.0, 1_180.0]
    assert list(in_store(run)) == ["step-000003", "step-000004", "step-000005"]


NAMES = st.sampled_from(
    ["best.pt", "last.pt", "model.pt", "optimizer.pt", "fold_0.pt", "fold_1.pt", "model_3.pt", "a/encoder.pt",
     "step_100.pt", "step_200.pt", "checkpoint-5/w.pt", "checkpoint-10/w.pt", "checkpoint-10/o.pt"]
)  # fmt: skip
SAVE = st.tuples(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.sampled_from([0.01, 0.1, 5.0]), st.booleans())


@settings(deadline=None, max_examples=60)  # each writes files
@given(saves=st.lists(SAVE, min_size=1, max_size=12), keep=st.integers(2, 3))
def test_the_newest_of_every_name_is_in_the_store_whatever_was_saved_when(
    saves: list[tuple[list[str], float, bool]], keep: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), keep=keep)
        minute = 0.0
        for size, (names, later, look) in enumerate(saves, start=1):
            minute += later
            for name in names:
                zipped(run.out / name, size=size)  # another size each time: it tells which one the store has
                os.utime(run.out / name, (1_000.0 + 60.0 * minute,) * 2)
            if look:
                looked(run)
        assert run.artifacts.look(final=True)
        kept = {
            (entry.path, entry.size)
            for name in in_store(run)
            for entry in run.manifest(name).files
        }  # fmt: skip
        there = {path.relative_to(run.out).as_posix(): path.stat() for path in run.out.rglob("*.pt")}
        for name, status in there.items():
            follows = re.sub(r"\d+", "#", name) if name.startswith(("step_", "checkpoint-")) else name
            alike = [other for other in there if re.sub(r"\d+", "#", other) == follows or other == name]
            if status.st_mtime == max(there[other].st_mtime for other in alike):
                assert (name, status.st_size) in kept
