"""What is read out of the files that trainers write; the files are as the real libraries wrote them."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.fakes import HandClock
from tests.trainer.rented import Rented
from trainer.eventfile import EventFile
from trainer.formats import Row
from trainer.progress import Progress
from trainer.series import EVENT_FILE, FILE
from trainer.sources import Files
from trainer.wire import EventKind

WRITTEN = Path(__file__).parent / "corpus" / "files"


def put(source: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(WRITTEN / source, target)
    return target


def looked(files: Files) -> list[Row]:
    return [row for _, rows in files.look() for row in rows]


def series(rows: list[Row], name: str) -> list[tuple[int, float]]:
    return [(row.step, row.values[name]) for row in rows if name in row.values]


def test_the_state_of_a_transformers_trainer_is_read_with_its_total(tmp_path: Path) -> None:
    put("transformers-5.23.0/last.json", tmp_path / "out" / "checkpoint-48" / "trainer_state.json")
    rows = looked(Files(tmp_path))
    assert [step for step, _ in series(rows, "loss")] == list(range(2, 49, 2))
    assert [step for step, _ in series(rows, "eval_loss")] == [12, 24, 36, 48]
    assert {row.total for row in rows} == {48}
    assert not {name for row in rows for name in row.values} & {"epoch", "step", "eval_runtime"}


def test_a_state_that_is_half_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = put("transformers-5.23.0/last.json", tmp_path / "trainer_state.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:700])
    files = Files(tmp_path)
    assert looked(files) == []
    path.write_bytes(whole)
    assert len(series(looked(files), "loss")) == 24


def test_what_an_earlier_attempt_logged_is_not_told_again_out_of_a_new_checkpoint(tmp_path: Path) -> None:
    put("transformers-5.23.0/first.json", tmp_path / "out" / "checkpoint-36" / "trainer_state.json")
    files = Files(tmp_path)
    files.remember()
    put("transformers-5.23.0/last.json", tmp_path / "out" / "checkpoint-48" / "trainer_state.json")
    assert [step for step, _ in series(looked(files), "loss")] == [38, 40, 42, 44, 46, 48]


def test_lightnings_table_is_read_though_its_header_is_rewritten(tmp_path: Path) -> None:
    path = put("lightning-2.5.5/metrics.csv", tmp_path / "logs" / "version_0" / "metrics.csv")
    whole = path.read_text()
    path.write_text("train_loss,epoch,step\n7.50632381439209,0,1\n14.009,0,3")  # the last row has no end
    files = Files(tmp_path)
    assert looked(files) == [Row(step=1, total=None, values={"train_loss": 7.50632381439209})]
    path.write_text(whole)
    rows = looked(files)
    assert [step for step, _ in series(rows, "train_loss")] == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert [step for step, _ in series(rows, "val_loss")] == [9, 19]
    assert looked(files) == []


def test_yolos_results_have_the_names_of_its_lines_and_the_epochs_of_its_arguments(tmp_path: Path) -> None:
    put("ultralytics-8.4.190/args.yaml", tmp_path / "runs" / "train" / "args.yaml")
    put("ultralytics-8.4.190/results.csv", tmp_path / "runs" / "train" / "results.csv")
    rows = looked(Files(tmp_path))
    assert series(rows, "box_loss")[:2] == [(1, 4.60825), (2, 5.59185)]
    assert {row.total for row in rows} == {4}
    assert {"map50", "map50_95", "val_cls_loss", "lr_pg0"} <= set(rows[0].values)


def test_mlflows_metrics_are_read_by_their_paths(tmp_path: Path) -> None:
    shutil.copytree(WRITTEN / "mlflow", tmp_path / "work")
    rows = looked(Files(tmp_path))
    assert series(rows, "loss")[:2] == [(0, 2.0), (3, 0.5)]
    assert series(rows, "val_acc")[-1] == (27, 0.37)


def test_an_event_file_says_what_tensorboards_own_loader_says(tmp_path: Path) -> None:
    path = WRITTEN / "lightning-2.5.5" / "events.out.tfevents.1"
    expected = json.loads((WRITTEN / "lightning-2.5.5" / "as_tensorboard_reads.json").read_text())
    read = [[row.step, tag, value] for row in EventFile(path).read() for tag, value in row.values.items()]
    assert read == expected


def test_an_event_file_that_grows_gives_only_what_is_new_and_whole(tmp_path: Path) -> None:
    data = (WRITTEN / "lightning-2.5.5" / "events.out.tfevents.1").read_bytes()
    path = tmp_path / "tb" / "events.out.tfevents.1"
    path.parent.mkdir()
    files, found = Files(tmp_path), []
    for end in range(0, len(data) + 50, 50):
        path.write_bytes(data[:end])
        found += looked(files)
    assert len(series(found, "train_loss")) == 10
    assert len(series(found, "val_loss")) == 2


def test_event_files_that_share_a_tag_keep_apart_by_their_folders(tmp_path: Path) -> None:
    for part in ("train", "validation"):
        put("lightning-2.5.5/events.out.tfevents.1", tmp_path / part / "events.out.tfevents.1")
    names = {name for row in looked(Files(tmp_path)) for name in row.values}
    assert names == {"train_loss", "train_val_loss", "val_train_loss", "val_loss"}


@pytest.mark.parametrize(
    "name", ["trainer_state.json", "metrics.csv", "results.csv", "events.out.tfevents.9", "metrics/loss"]
)
@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 64, b"[1, 2]", b'{"log_history": 3}', b"step,loss\n1\n", b'{"log_history": [3]}', b"epoch\n\xff\n",
     struct.pack("<Q", 8) + b"\x00" * 4 + b"\xff" * 8 + b"\x00" * 4, struct.pack("<Q", 2**63) + b"\x00" * 40],
    ids=range(9),
)  # fmt: skip
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / "meta.yaml").touch()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    files = Files(tmp_path)
    files.remember()
    assert looked(files) == []


def crowd(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:06d}.jpg").touch()


def test_a_data_set_beside_them_hides_no_files(tmp_path: Path) -> None:
    crowd(tmp_path, 4_100)
    files = Files(tmp_path)
    files.remember()
    put("transformers-5.23.0/last.json", tmp_path / "out" / "trainer_state.json")
    put("lightning-2.5.5/metrics.csv", tmp_path / "logs" / "metrics.csv")
    assert len(files.look()) == 2


def test_many_checkpoints_hide_no_newer_one(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for step in range(100):
        path = tmp_path / "out" / f"checkpoint-{step}" / "trainer_state.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"log_history": [{"step": step, "loss": 1.0}]}))
    assert sorted(row.step for row in looked(files)) == list(range(100))


def test_in_a_tree_of_any_size_everything_is_found_in_the_end(tmp_path: Path) -> None:
    crowd(tmp_path / "data", 50)
    files = Files(tmp_path, most=20)
    files.remember()
    path = put("transformers-5.23.0/last.json", tmp_path / "data" / "trainer_state.json")
    found = [len(series(looked(files), "loss")) for _ in range(4)]
    assert sorted(found) == [0, 0, 0, 24]
    path.unlink()
    assert looked(files) == []


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[EventKind, Mapping[str, Any]]] = []
        self.progress = Progress(
            tell=lambda kind, data: self.events.append((kind, data)), clock=HandClock(100.0), wall=HandClock(5_000.0)
        )

    def points(self, name: str) -> list[tuple[int | None, Any]]:
        metrics = [data for kind, data in self.events if kind is EventKind.METRIC]
        return [(data["step"], data["values"][name]) for data in metrics if name in data["values"]]


def test_a_point_is_told_once_whichever_sources_have_it() -> None:
    told = Told()
    told.progress.line("step 2/8: loss 2.0")
    rows = [Row(step=step, total=None, values={"loss": 4.0 / step, "val_loss": 1.0}) for step in (2, 4)]
    told.progress.filed(EVENT_FILE, rows)
    told.progress.filed(FILE, rows)
    assert told.points("loss") == [(2, 2.0), (4, 1.0)]
    assert told.points("val_loss") == [(2, 1.0), (4, 1.0)]
    assert told.progress.steps == 2  # the lines say where it stands, the files lag


def test_a_run_that_prints_nothing_gets_its_progress_from_its_files() -> None:
    told = Told()
    told.progress.filed(FILE, [Row(step=step, total=8, values={"loss": 1.0}) for step in (2, 4)])
    (progress,) = [data for kind, data in told.events if kind is EventKind.PROGRESS]
    assert (progress["step"], progress["total"], progress["percent"]) == (4, 8, 50.0)
    assert told.progress.step_at(9_000.0) == 4


def test_a_long_history_is_thinned_out_and_keeps_its_end_and_its_nan() -> None:
    told = Told()
    values = {step: math.nan if step == 777 else 1.0 for step in range(10_001)}
    told.progress.filed(FILE, [Row(step=step, total=None, values={"loss": one}) for step, one in values.items()])
    points = told.points("loss")
    assert len(points) <= 102
    assert points[-1] == (10_000, 1.0)
    assert (777, "NaN") in points


def test_a_script_that_only_writes_files_is_followed_to_its_last_row(rented: Rented) -> None:
    table = (WRITTEN / "lightning-2.5.5" / "metrics.csv").read_text()
    script = f"import os\nos.makedirs('logs')\nopen('logs/metrics.csv', 'w').write({table!r})\n"
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 0
    assert [step for step, _ in rented.series("train_loss")] == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert rented.outcome()["steps"] == 19
