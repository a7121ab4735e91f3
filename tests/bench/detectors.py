"""How well progress is read out of what real trainers print: the detectors against recordings.

`tests/trainer/corpus` holds what trainers wrote to their pipe, byte for byte, in two folders: `seen` are those that
the detectors were written against, `unseen` those that were not looked at before they were scored; what came of that
is in docs/detectors-measured.md, for the detectors were then mended on them, too. Beside each stands what its metric
lines say, one JSON object a line. `other` holds logs that are no training; whatever is read out of those is false.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure
from tests.trainer.reading import told
from trainer.detect import Detection, Detector
from trainer.names import is_outcome
from trainer.output import Splitter

CORPUS = Path(__file__).parents[1] / "trainer" / "corpus"
_ROUNDS = 9  # times that each recording is read for the cost of a line; the fastest counts
_CHUNK = 4_096  # bytes that a pipe gives at once
_LONG = 3_000  # lines that a long log has


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one metric line says."""

    line: int  # counted from 1; a carriage return ends one, too
    step: int | None  # None where neither the line nor one before it tells
    total: int | None
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one recording was read."""

    name: str
    lines: int
    metrics: int  # lines that say something
    right: int  # of those: step and every value as printed
    totals: int  # of those that tell a total or follow one that does
    totals_right: int
    false: int  # lines that were read to say what they do not
    wrong: tuple[int, ...]  # numbers of the lines that were misread, or read though they say nothing


def lines_of(path: Path) -> list[str]:
    """Return a recording's lines as the agent would see them."""
    splitter, data = Splitter(), path.read_bytes()
    found = [line for at in range(0, len(data), _CHUNK) for line in splitter.feed(data[at : at + _CHUNK])]
    return [line.text for line in (*found, *splitter.end())]


def said_in(path: Path) -> dict[int, Said]:
    """Return what the recording `path` says by line; nothing where no expectations stand beside it."""
    beside = path.with_suffix(".jsonl")
    rows = [json.loads(row) for row in beside.read_text().splitlines()] if beside.exists() else []
    return {row["line"]: Said(**{**row, "values": {k: float(v) for k, v in row["values"].items()}}) for row in rows}


def score(path: Path) -> Score:
    """Read one recording from its first line to its last and compare."""
    said = said_in(path)
    lines = lines_of(path)
    right = totals = totals_right = false = 0
    wrong: list[int] = []
    for number, detection in enumerate(told(lines), 1):
        truth = said.get(number)
        judged = detection is not None and any(is_outcome(name) for name in detection.values)
        if truth is None:
            false_one = judged if said else detection is not None  # out of no training, not even a step is read
            false += false_one
            wrong += [number] * false_one
            continue
        if truth.total is not None:
            totals += 1
            totals_right += detection is not None and detection.total == truth.total
        extra = detection is not None and any(
            is_outcome(name) and name not in truth.values for name in detection.values
        )
        false += extra
        if detection is not None and not extra and _agrees(detection, truth):
            right += 1
        else:
            wrong.append(number)
    return Score(
        name=path.stem,
        lines=len(lines),
        metrics=len(said),
        right=right,
        totals=totals,
        totals_right=totals_right,
        false=false,
        wrong=tuple(wrong),
    )


def _agrees(detection: Detection, truth: Said) -> bool:
    if detection.step != truth.step:
        return False
    for name, value in truth.values.items():
        read = detection.values.get(name)
        if read is None or not (math.isclose(read, value, rel_tol=1e-9) or (math.isnan(read) and math.isnan(value))):
            return False
    return True


def scores(part: str) -> list[Score]:
    """Return the scores of one folder of the corpus: "seen", "unseen" or "other"."""
    return [score(path) for path in sorted((CORPUS / part).glob("*.txt"))]


def long_logs() -> Mapping[str, list[str]]:
    """Return logs as runs of days have them, made up in the forms of seven trainers: recordings are short."""
    chance = random.Random(1)

    def some(form: str, low: float, high: float) -> str:
        return f"{chance.uniform(low, high):{form}}"

    forms: Mapping[str, Callable[[int], str]] = {
        "nanoGPT": lambda at: f"iter {at}: loss {some('.4f', 2, 4)}, time {some('.2f', 100, 200)}ms, mfu 41.23%",
        "HF Trainer": lambda at: (
            f"{{'loss': {some('.4f', 1, 3)}, 'grad_norm': {some('.4f', 0.1, 2)}, 'epoch': {at / _LONG:.2f}}}"
        ),
        "tqdm": lambda at: (
            f"Epoch {at // 500}: {at % 500 // 5:3d}%|{'█' * (at % 500 // 50):10}| {at % 500}/500 "
            f"[{at // 60 % 60:02d}:{at % 60:02d}<01:15, {some('.2f', 5, 9)}it/s, loss={some('.3f', 1, 3)}]"
        ),
        "ImageNet": lambda at: (
            f"Epoch: [{at // 500}][{at % 500:4d}/500]\tTime {some('6.3f', 0, 1)} ({some('6.3f', 0, 1)})\t"
            f"Loss {some('.4e', 1, 5)} ({some('.4e', 1, 5)})\tAcc@1 {some('6.2f', 0, 50)} ({some('6.2f', 0, 50)})"
        ),
        "torchtitan": lambda at: (
            f"step: {at:5d}  loss: {some('8.5f', 2, 8)}  grad_norm: {some('7.4f', 0, 2)}  memory: 10.12GiB(12.80%)  "
            f"tps: {chance.randint(10_000, 12_999):,}  tflops: {some('.2f', 100, 200)}  mfu: {some('.2f', 30, 40)}%"
        ),
        "somebody's own": lambda at: (
            f"[2026-11-02 12:{at // 60 % 60:02d}:{at % 60:02d},123] INFO train: Epoch {at // 500 + 1}/6 "
            f"batch {at % 500 + 1}/500 | loss {some('.4f', 1, 3)} | recon {some('.4f', 1, 3)} | lr 3.0e-04"
        ),
        "no training": lambda at: (
            f"2026-11-02 12:{at // 60 % 60:02d}:{at % 60:02d} worker {at % 8} fetched "
            f"shard-{chance.randint(0, 9_999):05d}.tar in {some('.2f', 0, 2)}s ({chance.randint(1, 900)} samples)"
        ),
    }
    return {name: [form(at) for at in range(_LONG)] for name, form in forms.items()}


def recordings() -> list[list[str]]:
    """Return the lines of all recordings."""
    return [lines_of(path) for path in sorted(CORPUS.glob("*/*.txt"))]


def microseconds(recordings: Sequence[Sequence[str]]) -> float:
    """Return what one line costs, split and read, in microseconds of this thread's processor time."""
    best = [math.inf] * len(recordings)
    for _ in range(_ROUNDS):
        for at, lines in enumerate(recordings):
            detector, began = Detector(), time.thread_time()
            for line in lines:
                detector.feed(line)
            best[at] = min(best[at], time.thread_time() - began)
    return 1e6 * sum(best) / sum(map(len, recordings))


def figures() -> list[Figure]:
    """Return the rows of `make bench-agent` that tell how progress is read."""
    rows, found = [], {part: scores(part) for part in ("seen", "unseen", "other")}
    for part, words in (("seen", "seen from the start"), ("unseen", "held back at first")):
        metrics, right = sum(one.metrics for one in found[part]), sum(one.right for one in found[part])
        rows.append(
            Figure(
                name=f"metric lines misread, {words}",
                value=100 * (metrics - right) / metrics,
                unit="%",
                goal=5,
                note=f"{right:,} of {metrics:,} right, {len(found[part])} recordings",
            )
        )
    others = found["other"]
    rows.append(
        Figure(
            name="false metrics",
            value=sum(one.false for part in found.values() for one in part),
            unit="lines",
            goal=0,
            note=f"{sum(one.lines for one in others):,} lines of {len(others)} other logs, and the trainers' own",
        )
    )
    short, long = recordings(), list(long_logs().values())
    for words, lines in (("short recordings", short), ("long logs", long)):
        note = f"{sum(map(len, lines)):,} lines, {len(lines)} logs"
        rows.append(Figure(name=f"reading a line, {words}", value=microseconds(lines), unit="µs", goal=25, note=note))
    return rows


def show_each(parts: Iterable[str] = ("seen", "unseen", "other")) -> None:
    """Print a line for each recording."""
    table = Table(title="Recordings", box=None, title_justify="left")
    for column in ("", "recording", "lines", "metric lines", "right", "totals right", "false", "lines read wrongly"):
        table.add_column(column)
    for part in parts:
        for one in scores(part):
            wrong = ", ".join(map(str, one.wrong[:8])) + ("…" if len(one.wrong) > 8 else "")
            totals = f"{one.totals_right}/{one.totals}"
            table.add_row(
                part, one.name, str(one.lines), str(one.metrics), str(one.right), totals, str(one.false), wrong
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    show_each()
