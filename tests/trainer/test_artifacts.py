"""Checkpoints on their way to the store: the manifest last, the older ones after it, and nothing half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trainer.saving import Run, saved
from tests.trainer.test_whole import zipped
from trainer import units, wire
from trainer.sealed import new_key
from trainer.sending import snapshot
from trainer.storage import StoreFault, StoreRefusal


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


def test_what_the_script_removed_before_it_was_up_is_no_failure(run: Run) -> None:
    saved(run, "step_100.pt", minute=1)
    saved(run, "step_200.pt", minute=2)
    run.store.before_put_file = lambda name: (run.out / "step_100.pt").unlink(missing_ok=True)
    assert run.artifacts.look()
    assert (run.names(), run.notices) == (["step-000200"], [])


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


@pytest.mark.parametrize("name", ["last", "last.dat"])
def test_what_was_written_anew_since_the_script_named_it_has_to_rest(run: Run, name: str) -> None:
    """An upload took minutes, and the script is at its next save when there is time to look at what it has named."""
    path = run.out / name
    files = [path / "model.bin", path / "optim.bin"] if name == "last" else [path]
    for at, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"weights")
        os.utime(file, (1_000.0 - 100.0 * at,) * 2)
    run.artifacts.look(named=[path], heard={path: 950.0})
    assert run.told == []
    run.clock.now += 2.0
    run.artifacts.look()
    assert [told["files"] for told in run.told] == [len(files)]
    os.utime(files[0], (1_100.0,) * 2)
    run.artifacts.look(named=[path], heard={path: 1_100.0})
    assert len(run.told) == 2


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
