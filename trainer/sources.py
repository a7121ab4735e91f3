"""Progress out of files that trainers write under their working directory.

    trainer_state.json       transformers' Trainer, written whole with each checkpoint
    metrics.csv              Lightning's CSV logger; its header is rewritten when a key is new
    results.csv              Ultralytics' YOLO, a row an epoch
    events.out.tfevents.…    TensorBoard (`trainer.eventfile`)
    mlruns/…/metrics/NAME    MLflow's file store: "timestamp value step" a line

Files are written late and in part: one that cannot be read now is read at the next look. What stood there before the
command began was told by an earlier attempt, and is not told again, wherever it is copied to.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer import yolo
from trainer.eventfile import EventFile
from trainer.formats import Row
from trainer.names import is_series, series_name
from trainer.series import EVENT_FILE, FILE
from trainer.walk import Walk

_EVERY = 3.0  # seconds between looks
_DEEPEST, _MOST_FILES = 6, 1_000
# Entries of the tree that a look goes through, at about a microsecond each, and that the first and the last one do.
_MOST_ENTRIES, _MOST_AT_ENDS = 20_000, 200_000
_LARGEST = 16 << 20  # bytes of a state that is read
_TAIL = 1 << 20  # bytes that are read of a table, from its end
_MOST_OLD = 200_000  # rows from before the command that are remembered
_NOT_ENTERED = {"node_modules", "__pycache__", "site-packages", "venv", "env", "wandb"}
_EPOCHS = re.compile(r"^epochs: (\d+)\s*$", re.MULTILINE)
_PARTS = {"train": "train", "validation": "val", "val": "val", "eval": "eval", "test": "test"}

Take = Callable[[float, Sequence[Row]], None]


def state_rows(text: str) -> Iterator[Row]:
    """Return the rows of a `trainer_state.json`; raises `ValueError` while it is half written."""
    state = json.loads(text)
    total = state.get("max_steps")
    for entry in state.get("log_history", ()):
        step = entry.get("step")
        if isinstance(step, int):
            epoch = entry.get("epoch")
            row = _row(step, total if isinstance(total, int) and total > 0 else None, entry.items())
            yield replace(row, epoch=float(epoch)) if isinstance(epoch, int | float) else row


def table_rows(text: str) -> Iterator[Row]:
    """Return the rows of Lightning's `metrics.csv`, whose column `step` counts from 0."""
    for line in csv.DictReader(text.splitlines()):
        if (step := line.get("step") or "").isdecimal():
            yield _row(int(step), None, line.items())


def result_rows(text: str, epochs: int | None) -> Iterator[Row]:
    """Return the rows of YOLO's `results.csv`; its steps are epochs, its names those of the lines it prints."""
    for line in csv.DictReader(text.splitlines()):
        named = {(key or "").strip(): value for key, value in line.items()}
        if (epoch := str(named.get("epoch") or "").strip()).isdecimal():
            yield _row(int(epoch), epochs, [(yolo.column_name(key), value) for key, value in named.items()])


def metric_rows(text: str, name: str) -> Iterator[Row]:
    """Return the rows of one metric in MLflow's file store."""
    for line in text.splitlines():
        parts = line.split(" ")
        if len(parts) == 3 and parts[2].isdecimal():
            yield _row(int(parts[2]), None, [(name, parts[1])])


def _row(step: int, total: int | None, pairs: Any) -> Row:
    values = {}
    for key, value in pairs:
        name = series_name(str(key))
        if isinstance(value, bool) or not isinstance(value, int | float | str) or name == "step" or not is_series(name):
            continue
        with contextlib.suppress(ValueError, OverflowError):
            values[name] = float(value)
    return Row(step=step, total=total, values=values)


def written(root: Path, since: float, until: float) -> float | None:
    """Return when a file under `root` was last written between two unix times; of a crowd not all are looked at."""
    walk = Walk(root, deepest=_DEEPEST, left_out=_NOT_ENTERED)
    last: float | None = None
    for entry in walk.files(_MOST_AT_ENDS):
        with contextlib.suppress(OSError):  # it is gone
            if (last or since) < (at := entry.stat(follow_symlinks=False).st_mtime) <= until:
                last = at
    return last


class Files:
    """Finds the files under `root` and reads what is new in them; each call of `look` does a bounded piece of work."""

    def __init__(self, root: Path, *, most: int = _MOST_ENTRIES) -> None:
        """`most`: entries of the tree that a look goes through."""
        self._most = most
        self._walk = Walk(root, deepest=_DEEPEST, left_out=_NOT_ENTERED)
        self._found: dict[Path, None] = {}  # in order; those that are gone leave it
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._events: dict[Path, EventFile] = {}
        self._old: set[tuple[int | None, tuple[tuple[str, float], ...]]] = set()

    def remember(self) -> None:
        """Take what there is now as told."""
        self._find(_MOST_AT_ENDS)
        for path in self._found:
            if "tfevents" in path.name:
                self._events[path] = EventFile(path)
                with contextlib.suppress(OSError, ValueError):
                    self._events[path].skip()
        self._walk.begin()
        for _, rows in self._news():
            for row in rows[: max(0, _MOST_OLD - len(self._old))]:
                self._old.add(_identity(row))

    def look(self, *, last: bool = False) -> list[tuple[float, list[Row]]]:
        """Return the rows of the files that changed since the last look, with the belief that they deserve."""
        if last:
            self._walk.begin()
        self._find(_MOST_AT_ENDS if last else self._most)
        return self._news()

    def _news(self) -> list[tuple[float, list[Row]]]:
        found = []
        for path in list(self._found):
            try:
                stat = path.stat()
            except OSError:
                del self._found[path]
                continue
            with contextlib.suppress(
                OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError
            ):
                stamp = (stat.st_mtime_ns, stat.st_size)
                if self._stamps.get(path) != stamp:
                    belief, rows = self._read(path, stat.st_size)
                    if path not in self._events or self._events[path].at_end:
                        self._stamps[path] = stamp
                    news = [row for row in rows if row.values and _identity(row) not in self._old]
                    found += [(belief, news)] if news else []
        return found

    def _find(self, most: int) -> None:
        for entry in self._walk.files(most):
            if len(self._found) < _MOST_FILES and _known(entry):
                self._found[Path(entry.path)] = None

    def _read(self, path: Path, size: int) -> tuple[float, list[Row]]:
        if "tfevents" in path.name:
            reader = self._events.setdefault(path, EventFile(path))
            part = _PARTS.get(path.parent.name)
            return EVENT_FILE, [_row(row.step, None, _under(part, row).items()) for row in reader.read()]
        text = _text(path, size)
        if path.name == "trainer_state.json":
            return FILE, list(state_rows(text))
        if path.name == "metrics.csv":
            return FILE, list(table_rows(text))
        if path.name == "results.csv":
            arguments = path.with_name("args.yaml")
            epochs = _EPOCHS.search(arguments.read_text()) if arguments.is_file() else None
            return FILE, list(result_rows(text, int(epochs[1]) if epochs else None))
        name = path.as_posix().rpartition("/metrics/")[2]
        return FILE, list(metric_rows(text, name))


def _identity(row: Row) -> tuple[int | None, tuple[tuple[str, float], ...]]:
    return row.step, tuple(sorted((name, value) for name, value in row.values.items() if math.isfinite(value)))


def _under(part: str | None, row: Row) -> dict[str, float]:
    """Return an event's values; two writers that share a tag keep apart by their folders, "train" and "validation"."""
    if part is None:
        return dict(row.values)
    return {name if part in name.lower() else f"{part}/{name}": value for name, value in row.values.items()}


def _known(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if name in ("trainer_state.json", "metrics.csv", "results.csv") or name.startswith("events.out.tfevents"):
        return True
    run, inside, _ = entry.path.rpartition("/metrics/")
    return bool(inside) and Path(run, "meta.yaml").is_file()


def _text(path: Path, size: int) -> str:
    if path.suffix == ".json":
        if size > _LARGEST:
            raise ValueError(f"{path.name} is larger than anybody's history")
        return path.read_text(encoding="utf-8")
    with path.open("rb") as file:
        data = file.readline(65_536)  # a table's header
        if size > _TAIL:
            file.seek(-_TAIL, os.SEEK_END)
            file.readline()
        data += file.read(_TAIL)
    return data[: data.rfind(b"\n") + 1].decode(errors="replace")  # its last row may be half written


class FileWatch:
    """Looks into the files every few seconds, in a thread of its own; an error costs points, not the training."""

    def __init__(self, root: Path, *, take: Take, every: float = _EVERY) -> None:
        """Take what stands under `root` as told by others; `take` gets what comes from now on."""
        self._files = Files(root)
        self._take = take
        self._every = every
        self._closing = threading.Event()
        self._files.remember()
        self._thread = threading.Thread(target=self._run, name="sources", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look once more and stop."""
        self._closing.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            last = self._closing.wait(self._every)
            for belief, rows in self._files.look(last=last):
                self._take(belief, rows)
            if last:
                return
