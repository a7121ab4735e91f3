"""Checkpoints on their way to the store: the manifest last, the older ones after it, and nothing half."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.fakes import HandClock, Moody
from tests.trainer.test_whole import safetensors, zipped
from trainer import retention, settled, units, wire
from trainer.artifacts import Artifacts, Place
from trainer.sealed import Key, new_key
from trainer.sending import snapshot
from trainer.storage import StoreFault, StoreRefusal
from trainer.wire import CheckpointRule, Manifest


class Run:
    """A run's folder, its store, and what was told."""

    def __init__(
        self, folder: Path, path: str = "out", keep: int = 2, upload_every: float = 10.0, key: Key | None = None
    ) -> None:
        self.copying: Callable[[Path, Path], Path] = snapshot
        self.store = Moody(folder / "store")
        self.root = folder / "source"
        self.out = self.root / "out"
        self.out.mkdir(parents=True)
        self.clock = HandClock()
        self.told: list[Mapping[str, Any]] = []
        self.notices: list[tuple[str, str]] = []
        self.step: int | None = None
        self.artifacts = Artifacts(
            self.store,
            Place(job="J1", attempt=1, rank=0),
            CheckpointRule(path=path, upload_every=upload_every, keep=keep),
            root=self.root,
            scratch=folder / "snapshots",
            tell=self.told.append,
            notice=lambda code, text: self.notices.append((code, text)),
            step_at=lambda when: self.step,
            clock=self.clock,
            wall=HandClock(1_762_077_600.0),
            copy=lambda file, copy: self.copying(file, copy),
            key=key,
        )

    def names(self) -> list[str]:
        return [told["name"] for told in self.told]

    def manifest(self, name: str) -> Manifest:
        return wire.from_json(Manifest, self.store.get(wire.manifest_key("J1", 1, name)) or b"")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_manifest_comes_last_and_older_checkpoints_go_after_it(run: Run) -> None:
    for step in (1, 2, 3):
        zipped(run.out / f"step_{step}.pt")
        run.clock.now += 10.0
        assert run.artifacts.look()
    assert run.store.log[-4:] == [
        "put jobs/J1/a1/ckpt/step-000003/step_3.pt",
        "put jobs/J1/a1/ckpt/step-000003/manifest.json",
        "delete jobs/J1/a1/ckpt/step-000001/manifest.json",
        "delete jobs/J1/a1/ckpt/step-000001/step_1.pt",
    ]
    assert [told["removed"] for told in run.told] == [[], [], ["step-000001"]]
    assert (run.out / "step_1.pt").exists()  # what lies on the machine is the script's own


def test_two_are_kept_whatever_the_order_says(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=0)
    for step in (1, 2, 3):
        zipped(run.out / f"step_{step}.pt")
        run.clock.now += 10.0
        run.artifacts.look()
    assert list(run.store.keys("jobs"))[1::2] == [
        "jobs/J1/a1/ckpt/step-000002/step_2.pt",
        "jobs/J1/a1/ckpt/step-000003/step_3.pt",
    ]


def test_the_first_goes_at_once_and_the_next_in_its_time_unless_the_script_says_so(run: Run) -> None:
    zipped(run.out / "step_1.pt")
    run.artifacts.look()
    zipped(run.out / "step_2.pt")
    run.clock.now += 9.0
    run.artifacts.look()
    assert run.names() == ["step-000001"]
    run.artifacts.look(named=[run.out / "step_2.pt"])
    assert run.names() == ["step-000001", "step-000002"]
    zipped(run.out / "step_3.pt")
    run.artifacts.look(final=True)
    assert run.names()[-1] == "step-000003"


def test_what_was_uploaded_is_not_uploaded_again_until_it_changes(run: Run) -> None:
    run.step = 5
    zipped(run.out / "ckpt.pt")
    for _ in range(3):
        run.clock.now += 10.0
        run.artifacts.look()
    zipped(run.out / "ckpt.pt")
    run.clock.now += 10.0
    run.artifacts.look()
    assert run.names() == ["step-000005", "step-000005-2"]


def test_a_file_that_is_still_being_written_waits(run: Run) -> None:
    data = zipped(run.out / "ckpt.pt")
    (run.out / "ckpt.pt").write_bytes(data[:-30])
    run.artifacts.look()
    assert run.names() == []
    (run.out / "ckpt.pt").write_bytes(data)
    run.artifacts.look()
    assert run.names() == ["ckpt-1"]


def test_a_file_without_a_format_must_have_come_to_rest(run: Run) -> None:
    (run.out / "old.pt").write_bytes(b"\x80\x02}q\x00.")
    run.artifacts.look()
    run.clock.now += 1.9
    (run.out / "old.pt").write_bytes(b"\x80\x02}q\x00..")
    run.artifacts.look()
    run.clock.now += 1.9
    run.artifacts.look()
    assert run.names() == []
    run.clock.now += 0.1
    run.artifacts.look()
    assert run.names() == ["old"]


def test_when_nobody_writes_any_more_rest_is_not_waited_for(run: Run) -> None:
    (run.out / "old.pt").write_bytes(b"\x80\x02}q\x00.")
    run.artifacts.look(final=True)
    assert run.names() == ["old"]


def test_a_file_that_changes_under_the_copy_is_left_to_the_next_look(
    run: Run,
) -> None:
    zipped(run.out / "ckpt.pt")

    def rewritten(file: Path, copy: Path) -> Path:
        result = snapshot(file, copy)
        zipped(file, size=7_000)
        return result

    run.copying = rewritten
    assert run.artifacts.look()
    assert (run.names(), list(run.store.keys("jobs"))) == ([], [])
    run.copying = snapshot
    run.artifacts.look()
    assert run.manifest("ckpt-1").files[0].size == (run.out / "ckpt.pt").stat().st_size


def test_an_upload_that_fails_leaves_no_manifest_is_said_once_and_tried_again(run: Run) -> None:
    zipped(run.out / "ckpt.pt")
    run.store.refuses = "manifest.json"
    for _ in range(3):
        run.clock.now += 30.0
        assert run.artifacts.look() is False
    assert (run.names(), [code for code, _ in run.notices]) == ([], ["upload_failed"])
    run.store.refuses = ""
    run.clock.now += 30.0
    assert run.artifacts.look()
    assert run.names() == ["ckpt-1"]


def test_a_failure_is_not_tried_again_at_once(run: Run) -> None:
    zipped(run.out / "ckpt.pt")
    run.store.refuses = "ckpt.pt"
    run.artifacts.look()
    run.store.refuses = ""
    run.clock.now += 0.9
    run.artifacts.look()
    assert run.names() == []
    run.clock.now += 0.1
    run.artifacts.look()
    assert run.names() == ["ckpt-1"]


def folder_of_shards(run: Run) -> None:
    for number in (1, 2, 3):
        zipped(run.out / "checkpoint-7" / f"shard-{number}.pt", size=100 * number)


def test_after_a_cut_what_stands_in_the_store_is_not_sent_again(run: Run) -> None:
    folder_of_shards(run)
    run.store.refuses = "shard-2"
    assert not run.artifacts.look(final=True)
    run.store.refuses = ""
    run.clock.now += 30.0
    assert run.artifacts.look()
    names = [name for name, _ in run.store.asked]
    assert names == ["shard-1.pt", "shard-2.pt", "shard-2.pt", "shard-3.pt"]
    assert [entry.path for entry in run.manifest("step-000007").files] == [
        f"checkpoint-7/shard-{number}.pt" for number in (1, 2, 3)
    ]


def test_a_sealed_file_that_was_cut_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    run = Run(tmp_path, key=new_key())
    zipped(run.out / "ckpt.pt", size=5_000)
    run.store.refuses = "ckpt.pt"
    run.artifacts.look()
    run.store.refuses = ""
    run.clock.now += 30.0
    assert run.artifacts.look()
    (first, second) = run.store.asked
    assert first == second
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_what_was_written_over_before_it_was_up_is_let_go_of(run: Run, tmp_path: Path) -> None:
    zipped(run.out / "ckpt.pt", size=1_000)
    run.store.refuses = "ckpt.pt"
    run.artifacts.look()
    zipped(run.out / "ckpt.pt", size=2_000)
    run.store.refuses = ""
    run.clock.now += 30.0
    assert run.artifacts.look()
    assert [Path(key).name for key in run.store.forgotten] == ["ckpt.pt"]
    assert run.manifest("ckpt-1").files[0].size == (run.out / "ckpt.pt").stat().st_size
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_two_that_wait_for_the_store_take_no_name_from_each_other(run: Run) -> None:
    run.step = 5
    for name, size in (("model.pt", 1_000), ("last.pt", 2_000)):
        zipped(run.out / name, size=size)
    run.store.refuses = ".pt"
    run.artifacts.look()
    run.store.refuses = ""
    run.clock.now += 30.0
    assert run.artifacts.look()
    assert sorted(run.names()) == ["step-000005", "step-000005-2"]


def test_what_the_script_named_and_could_not_be_sent_is_tried_again(run: Run) -> None:
    (run.out / "state.dat").write_bytes(b"of a form that nobody knows")
    run.store.refuses = "state.dat"
    assert not run.artifacts.look(named=[run.out / "state.dat"])
    run.store.refuses = ""
    run.clock.now += 30.0
    assert run.artifacts.look(final=True)
    assert [entry.path for entry in run.manifest(run.names()[0]).files] == ["state.dat"]


def test_a_name_of_an_earlier_start_is_not_taken_again(run: Run) -> None:
    run.step = 5
    run.store.put(wire.manifest_key("J1", 1, "step-000005"), b"{}")
    zipped(run.out / "ckpt.pt")
    run.artifacts.look()
    assert run.names() == ["step-000005-2"]


def test_what_was_there_before_is_not_ours(run: Run) -> None:
    zipped(run.out / "pretrained.pt")
    run.artifacts.baseline()
    run.artifacts.look(final=True)
    assert run.names() == []


@pytest.mark.parametrize("path", ["/etc", "..", "out/../../x"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="leads out of the working directory"):
        Run(tmp_path, path=path)


def test_a_folder_that_becomes_a_link_out_is_said_and_not_followed(run: Run, tmp_path: Path) -> None:
    zipped(tmp_path / "elsewhere" / "secret.pt")
    run.out.rmdir()
    run.out.symlink_to(tmp_path / "elsewhere")
    run.artifacts.look(final=True)
    run.artifacts.look(final=True, named=[run.out / "secret.pt"])
    assert run.names() == []
    assert run.notices[0] == ("checkpoint_path", "out is a link that leads out; nothing is taken.")


def test_a_path_that_the_script_names_must_lie_where_the_task_file_says(run: Run, tmp_path: Path) -> None:
    zipped(tmp_path / "secret.pt")
    run.artifacts.look(named=[tmp_path / "secret.pt", run.out / ".." / ".." / "secret.pt"])
    assert (run.names(), {code for code, _ in run.notices}) == ([], {"checkpoint_path"})


@pytest.mark.parametrize(
    "wild", ["a\0b.pt", "a" * 300 + ".pt", "n/" * 3_000 + "a.pt", "crowd"], ids=["no path", "long", "deep", "crowd"]
)
def test_a_path_that_cannot_be_taken_is_said_once_and_costs_no_other_checkpoint(run: Run, wild: str) -> None:
    if wild == "crowd":
        (run.out / "crowd").mkdir()
        for number in range(20_001):
            (run.out / "crowd" / str(number)).touch()
    (run.out / "state.dat").write_bytes(b"of a form that nobody knows")
    assert run.artifacts.look(named=[run.out / wild, run.out / "state.dat"])
    run.artifacts.look(named=[run.out / wild])
    assert [entry.path for name in run.names() for entry in run.manifest(name).files] == ["state.dat"]
    told = [text for _, text in run.notices if "not taken" in text]
    assert len(told) == 1
    assert len(told[0]) < 250
    assert "\0" not in told[0]


def test_a_name_that_no_key_can_hold_is_not_uploaded(run: Run) -> None:
    zipped(run.out / "a\\b.pt")
    run.artifacts.look()
    assert (run.names(), run.notices[0][0]) == ([], "checkpoint_name")
    assert list(run.store.keys("")) == []


def test_of_many_paths_that_cannot_be_taken_the_first_are_named_each_by_itself(run: Run, tmp_path: Path) -> None:
    wild = [tmp_path / f"{number}.pt" for number in range(9)]
    run.artifacts.look(named=wild)
    run.artifacts.look(named=wild)
    assert [text.split(" ")[0] for _, text in run.notices] == [f"{number}.pt" for number in range(5)]
    assert run.notices[-1][1].endswith(" More of this kind are not told of.")


def test_another_kind_of_fault_of_the_store_is_told_too(run: Run) -> None:
    zipped(run.out / "ckpt.pt")
    run.store.refuses = "ckpt.pt"
    for fault in (StoreFault, StoreRefusal, StoreFault):
        run.store.fault = fault
        run.clock.now += 100.0
        assert not run.artifacts.look()
    assert [code for code, _ in run.notices] == ["upload_failed", "upload_failed"]


def test_a_single_file_can_be_the_rule(tmp_path: Path) -> None:
    run = Run(tmp_path, path="out/ckpt.pt")
    zipped(run.out / "ckpt.pt")
    zipped(run.out / "other.pt")
    run.artifacts.look()
    assert [entry.path for entry in run.manifest("ckpt-1").files] == ["ckpt.pt"]


def test_a_full_disk_costs_the_copy_and_not_the_checkpoint(run: Run) -> None:
    zipped(run.out / "ckpt.pt")
    run.copying = lambda file, copy: file  # what a snapshot is without room for one
    run.artifacts.look()
    assert run.names() == ["ckpt-1"]
    assert [path.name for path in run.out.iterdir()] == ["ckpt.pt"]


def test_without_a_copy_a_file_that_changes_under_the_upload_gets_no_manifest(run: Run) -> None:
    zipped(run.out / "ckpt.pt")
    run.copying = lambda file, copy: file
    run.store.after_put_file = lambda: zipped(run.out / "ckpt.pt", size=7_000)
    run.artifacts.look()
    assert run.names() == []
    assert [key for key in run.store.keys("jobs") if key.endswith("manifest.json")] == []


def test_a_link_within_the_working_folder_is_a_place_like_any_other(run: Run) -> None:
    run.out.rmdir()
    zipped(run.root / "data" / "step_1.pt")
    run.out.symlink_to(run.root / "data")
    run.artifacts.look()
    zipped(run.root / "data" / "step_2.pt")
    run.artifacts.look(named=[run.out / "step_2.pt"])
    assert [run.manifest(name).files[0].path for name in run.names()] == ["step_1.pt", "step_2.pt"]


# ------------------------------------------------------------ what is saved together, and what takes whose place


def saved(run: Run, *names: str, minute: float) -> None:
    """Write files at a minute of the run, and let what would be uploaded then be uploaded."""
    at = 1_000.0 + 60.0 * minute
    for name in names:
        zipped(run.out / name, size=1_000)
        os.utime(run.out / name, (at, at))


def in_store(run: Run) -> dict[str, list[str]]:
    """Return the files of each checkpoint that stands in the store."""
    keys = [key for key in run.store.keys("jobs") if key.endswith("/manifest.json")]
    manifests = [wire.from_json(Manifest, run.store.get(key) or b"") for key in keys]
    return {manifest.name: [entry.path for entry in manifest.files] for manifest in manifests}


def looked(run: Run) -> None:
    run.clock.now += 600.0
    run.artifacts.look()
    run.clock.now += 2.0  # what has no end of its own has rested
    run.artifacts.look()


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


# ------------------------------------------------------------ what is replaced before it has rested


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


# ------------------------------------------------------------ near the end


def test_an_older_upload_gives_way_to_what_was_saved_when_asked_and_goes_on_after_it(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)

    def asked_to_stop(name: str) -> None:
        if name == "step_1.pt":
            run.artifacts.hurry()
            run.clock.now += 1.0
            saved(run, "step_2.pt", minute=2)

    run.store.before_put_file = asked_to_stop
    assert not run.artifacts.look()
    run.store.before_put_file = lambda name: None
    run.clock.now += 1.0
    assert run.artifacts.look()
    assert [name for name, _ in run.store.asked] == ["step_1.pt", "step_2.pt", "step_1.pt"]
    assert (run.names(), run.notices) == (["step-000002", "step-000001"], [])
    assert run.store.forgotten == []  # the parts that arrived were gone on with


def test_an_upload_gives_way_to_what_the_script_names(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.artifacts.hurry()
    assert not run.artifacts.look(more=lambda: True)
    (run.out / "state.dat").write_text("x")
    assert run.artifacts.look(named=[run.out / "state.dat"])
    assert run.names() == ["state.dat", "step-000001"]


def test_an_upload_does_not_give_way_to_what_could_not_be_sent_before_it(run: Run) -> None:
    run.store.refuses = "step_2"
    saved(run, "step_1.pt", minute=1)
    saved(run, "step_2.pt", minute=2)
    run.artifacts.hurry()
    assert not run.artifacts.look(final=True)
    assert run.names() == ["step-000001"]


def test_an_upload_gives_way_to_nothing_while_there_is_time(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.store.before_put_file = lambda name: saved(run, "step_2.pt", minute=2)
    assert run.artifacts.look()
    assert run.names() == ["step-000001"]


def test_near_the_end_no_turn_is_waited_for(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.artifacts.look()
    saved(run, "step_2.pt", minute=2)
    run.artifacts.look()
    assert run.names() == ["step-000001"]
    run.artifacts.hurry()
    run.artifacts.look()
    assert run.names() == ["step-000001", "step-000002"]


def test_what_was_cut_is_named_and_what_is_safe(run: Run) -> None:
    run.store.refuses = "step_"
    saved(run, "step_2.pt", minute=2)
    assert not run.artifacts.look(final=True)
    assert run.artifacts.unsent() == "step_2.pt could not be uploaded in time; no checkpoint is safe."
    run.store.refuses = "step_3"
    run.artifacts.look(final=True)
    saved(run, "step_3.pt", minute=3)
    assert not run.artifacts.look(final=True)
    assert run.artifacts.unsent() == "step_3.pt could not be uploaded in time; the newest that is safe is step-000002."


def test_of_what_a_kill_cut_off_nothing_is_taken(run: Run) -> None:
    for name, written in (("old.pt", 1_000.0), ("new.pt", 1_099.0)):
        (run.out / name).write_bytes(b"\x80\x02}q\x00.")  # a form without an end to look for
        os.utime(run.out / name, (written, written))
    saved(run, "last.pt", minute=1.65)  # this one has an end
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert sorted(run.names()) == ["last-1", "old"]
    assert run.notices == [("checkpoint_half", "new.pt was not written to its end, so it is not taken.")]


def test_what_may_be_half_is_kept_only_where_nothing_else_is_and_marked(run: Run) -> None:
    for name, written in (("model_7.msgpack", 1_099.0), ("optim_7.msgpack", 1_090.0)):
        (run.out / name).write_bytes(b"\x82whatever")
        os.utime(run.out / name, (written, written))
    run.store.refuses = "manifest"
    assert not run.artifacts.look(final=True, killed_at=1_100.0)
    run.store.refuses = ""
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    (name,) = run.names()
    assert sorted(entry.path for entry in run.manifest(name).files) == ["model_7.msgpack", "optim_7.msgpack"]
    assert list(run.manifest(name).unproven) == ["model_7.msgpack"]
    assert [text for code, text in run.notices if code == "checkpoint_half"] == [
        "model_7.msgpack may not have been written to its end."
        " It is kept, since nothing else is, and marked as unproven."
    ]


def test_of_a_folder_that_may_be_half_every_file_is_in_doubt(run: Run) -> None:
    (run.out / "checkpoint-7").mkdir()
    for name in ("a.bin", "b.bin"):
        (run.out / "checkpoint-7" / name).write_bytes(b"weights")
        os.utime(run.out / "checkpoint-7" / name, (1_099.0, 1_099.0))
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert list(run.manifest("step-000007").unproven) == ["checkpoint-7/a.bin", "checkpoint-7/b.bin"]


def test_what_breaks_off_in_its_own_form_is_not_even_kept_alone(run: Run) -> None:
    (run.out / "last.pt").write_bytes(b"PK\x03\x04half")
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert (run.names(), [code for code, _ in run.notices]) == ([], ["checkpoint_half"])


def test_a_small_file_beside_weights_needs_no_rest_before_a_kill(run: Run) -> None:
    saved(run, "model_7.pth", minute=1)
    (run.out / "last_checkpoint").write_text("model_7.pth")
    os.utime(run.out / "last_checkpoint", (1_099.0, 1_099.0))
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert (list(in_store(run).values()), run.notices) == ([["model_7.pth", "last_checkpoint"]], [])


def test_files_of_which_none_was_taken_are_told_once(run: Run) -> None:
    (run.out / "brought.lgb").write_text("by the commit")
    run.artifacts.baseline()
    for name in ("model.lgb", "metrics.csv", "log.txt"):
        (run.out / name).write_text("x")
    assert run.artifacts.look(final=True)
    assert run.artifacts.look(final=True)
    assert run.notices == [
        (
            "no_checkpoint",
            "model.lgb under out is no checkpoint by its name, and nothing was taken."
            " In the script, `hourglass.save(path)` takes any file or folder.",
        )
    ]


def test_where_something_was_taken_other_files_are_not_told_of(run: Run) -> None:
    (run.out / "model.lgb").write_text("x")
    saved(run, "last.pt", minute=1)
    assert run.artifacts.look(final=True)
    assert run.notices == []


@pytest.mark.parametrize("name", ["a\0b.pt", "n" * 300 + ".pt"])
def test_a_name_that_no_file_can_have_ends_nothing(run: Run, name: str) -> None:
    saved(run, "last.pt", minute=1)
    assert run.artifacts.look(named=[run.out / name])
    assert run.names() == ["last-1"]


def test_a_folder_with_too_much_in_it_ends_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_MOST", 3)
    saved(run, "a/1.pt", "a/2.pt", "a/3.pt", "a/4.pt", minute=1)
    assert run.artifacts.look(named=[run.out / "a"])
    assert [code for code, _ in run.notices] == ["checkpoint_path", "checkpoint_path"]


def test_what_a_last_look_passes_over_keeps_nothing_older_from_the_store(run: Run) -> None:
    now = 1_762_077_600.0  # by the run's own clock
    for name, size, written in (("step_100.msgpack", 1_000, now - 60), ("step_200.msgpack", 400, now - 3.5)):
        (run.out / name).write_bytes(b"\x82" + b"x" * size)
        os.utime(run.out / name, (written, written))
    run.artifacts.hurry()
    assert run.artifacts.look(final=True, killed_at=now - 3)
    assert run.names() == ["step-000100"]


def test_nothing_is_begun_or_removed_once_there_is_no_time_left(run: Run) -> None:
    zipped(run.out / "step_100.pt")
    run.artifacts.abandon()
    assert not run.artifacts.look(final=True)
    assert run.names() == []
