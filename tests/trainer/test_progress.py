"""Which points are kept, how fast it goes, and what cannot hurt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from tests.trainer.fakes import HandClock
from trainer.printed import Printed
from trainer.progress import Pace, Progress
from trainer.unread import Unread
from trainer.wire import EventKind


class Watched:
    """A progress with clocks that stand still and a list of what it told."""

    def __init__(self) -> None:
        self.clock, self.wall = HandClock(100.0), HandClock(5_000.0)
        self.told: list[tuple[EventKind, Mapping[str, Any]]] = []
        self.progress = Progress(
            tell=lambda kind, data: self.told.append((kind, data)), clock=self.clock, wall=self.wall
        )

    def line(self, text: str, after: float = 0.0) -> None:
        self.clock.now += after
        self.wall.now += after
        self.progress.line(text)

    def of(self, kind: EventKind) -> list[Mapping[str, Any]]:
        return [data for told, data in self.told if told is kind]


def test_at_most_ten_points_a_second_are_kept_and_the_last_of_all() -> None:
    run = Watched()
    for step in range(1, 1001):
        run.line(f"step {step}: loss {1 / step:.6f}", after=0.002)
    run.progress.flush()
    steps = [data["step"] for data in run.of(EventKind.METRIC)]
    assert len(steps) <= 22
    assert (steps[0], steps[-1]) == (1, 1000)
    assert run.progress.steps == 1000


def test_progress_is_told_once_a_second_and_at_the_end() -> None:
    run = Watched()
    for step in range(1, 101):
        run.line(f"step {step}/100: loss 1.0", after=0.1)
    run.progress.flush()
    told = run.of(EventKind.PROGRESS)
    assert len(told) <= 12
    assert (told[-1]["step"], told[-1]["percent"], told[-1]["eta"]) == (100, 100.0, 0.0)
    assert math.isclose(told[-1]["rate"], 10.0, rel_tol=0.05)


def test_tables_are_as_many_points_as_lines_would_be_and_their_nan_is_told() -> None:
    run = Watched()
    for step in range(1, 101):
        loss = "nan" if step == 60 else f"{1 / step:.4f}"
        for text in ("----------", f"| loss | {loss} |", f"| vb | 0.{step} |", f"| step | {step} |"):
            run.line(text, after=0.002)
    run.line("----------")
    run.progress.flush()
    told = run.of(EventKind.METRIC)
    assert told[0] == {"step": 1, "values": {"loss": 1.0, "vb": 0.1}}
    assert told[-1] == {"step": 100, "values": {"loss": 0.01, "vb": 0.1}}
    assert len(told) <= 14
    assert [data["code"] for data in run.of(EventKind.NOTICE)] == ["not_finite"]


def test_a_nan_is_told_though_the_point_before_it_was_a_moment_ago() -> None:
    run = Watched()
    run.line("step 1: loss 1.0")
    run.line("step 2: loss nan", after=0.001)
    run.line("step 3: loss nan", after=0.001)
    assert [data["values"] for data in run.of(EventKind.METRIC)] == [{"loss": 1.0}, {"loss": "NaN"}]
    assert [data["text"] for data in run.of(EventKind.NOTICE)] == ["loss became NaN at step 2."]


def test_the_step_of_a_moment_is_the_last_before_it() -> None:
    run = Watched()
    for step in (10, 20, 30):
        run.line(f"step {step}: loss 1.0", after=1.0)
    at = run.progress.step_at
    assert [at(4_000.0), at(5_001.0), at(5_002.5), at(9_000.0)] == [None, 10, 20, 30]


def test_a_flood_is_sampled() -> None:
    run = Watched()

    class Slow(HandClock):
        def __call__(self) -> float:
            self.now += 0.001  # each look at the clock is a millisecond later: lines that are slow to read
            return self.now

    run.progress = Progress(tell=lambda kind, data: run.told.append((kind, data)), clock=Slow(100.0), wall=run.wall)
    for step in range(1, 3001):
        run.progress.line(f"step {step}: loss 1.0")
    assert run.progress.steps is not None
    assert run.progress.steps < 3000


def test_of_many_lines_alike_some_are_passed_over_and_none_that_is_another() -> None:
    run = Watched()

    class Slow(HandClock):
        def __call__(self) -> float:
            self.now += 0.002
            return self.now

    run.progress = Progress(tell=lambda kind, data: run.told.append((kind, data)), clock=Slow(100.0), wall=run.wall)
    for step in range(1, 2001):
        run.progress.line(f"step {step}: loss 1.0")
        if step % 100 == 0:
            run.progress.line(f"step {step}: val loss {step}.5")
    run.progress.line("step 2001: loss nan")
    kept = [data for data in run.of(EventKind.METRIC) if "loss" in data["values"]]
    evaluated = [data["step"] for data in run.of(EventKind.METRIC) if "val_loss" in data["values"]]
    assert evaluated == list(range(100, 2001, 100))
    assert 20 < len(kept) < 100
    assert kept[-1] == {"step": 2001, "values": {"loss": "NaN"}}


def test_the_last_line_of_a_flood_is_read_in_the_end() -> None:
    run = Watched()
    ticking = HandClock(100.0)
    run.progress = Progress(tell=lambda kind, data: run.told.append((kind, data)), clock=ticking, wall=run.wall)
    run.progress.line("step 1/500: loss 9.0")
    run.progress._spent = 1.0  # a slow line took the share of this slice
    run.progress.line("step 500/500: loss 1.0")
    assert run.progress.steps == 1
    run.progress.flush()
    assert run.progress.steps == 500
    assert run.of(EventKind.METRIC)[-1] == {"step": 500, "values": {"loss": 1.0}}


def test_a_report_without_a_step_is_told_where_the_lines_say_that_the_run_stands() -> None:
    run = Watched()
    run.progress.reported({"step": None, "total": None, "values": {"kl": 0.5}})
    for step in (1, 2):
        run.line(f"step {step}/10: loss 2.0", after=1.0)
        run.progress.reported({"step": None, "total": None, "values": {"kl": 0.25 * step, "loss": 1.5}})
    told = run.of(EventKind.METRIC)
    assert [(data["step"], data["values"]["kl"]) for data in told if "kl" in data["values"]] == [
        (None, 0.5), (1, 0.25), (2, 0.5),
    ]  # fmt: skip
    assert [(data["step"], data["values"]["loss"]) for data in told if "loss" in data["values"]][1:] == [(2, 1.5)]
    assert run.of(EventKind.PROGRESS)[-1]["step"] == 2


def test_a_report_that_is_none_is_left_alone() -> None:
    run = Watched()
    for message in ({}, {"step": "1", "values": {}}, {"step": 1}, {"step": 1, "values": []}, {"save": 3}):
        run.progress.reported(message)
    run.progress.reported({"step": 1, "total": "x", "values": {"Train Loss": 2, "ok": True, "word": "x"}})
    assert run.of(EventKind.METRIC) == [{"step": 1, "values": {"train_loss": 2.0}}]


def test_more_series_than_anybody_reads_are_not_kept() -> None:
    run = Watched()
    run.progress.reported({"step": 1, "values": {f"s{number}": 1.0 for number in range(1_000)}})
    assert len(run.of(EventKind.METRIC)[0]["values"]) == 200


def test_a_pace_forgets_what_was_before_a_new_start() -> None:
    pace = Pace()
    for second in range(10):
        pace.mark(float(second), second * 5)
    assert pace.mark(10.0, 50) == 5.0
    assert pace.mark(11.0, 1) is None
    assert pace.mark(13.0, 5) == 2.0


def test_lines_that_nothing_reads_are_told_with_what_would_read_them() -> None:
    run = Watched()
    for step in range(1, 41):
        run.line(f"E{step // 9}b{step * 20} A<{1 / step:.3f}> B<{step / 7:.3f}>", after=4.0)
    (notice,) = run.of(EventKind.NOTICE)
    assert notice["code"] == "unread"
    setting = "`progress: ['E{epoch}b{step} A<{value}> B<{b}>']`"
    assert notice["text"].endswith(setting)
    assert "`E3b620 A<0.032> B<4.429>`" in notice["text"]
    assert run.of(EventKind.METRIC) == []


def test_a_short_run_that_nothing_was_read_of_is_told_at_its_end() -> None:
    run = Watched()
    for epoch in range(1, 6):
        run.line(f"EP{epoch}\t{1 / epoch:.3f}\t{2 / epoch:.3f}")
    assert run.of(EventKind.NOTICE) == []
    run.progress.flush()
    run.progress.flush()
    (notice,) = run.of(EventKind.NOTICE)
    assert notice["text"].endswith("`progress: ['EP{epoch} {value} {value_2}']`")


def test_nothing_is_suggested_where_something_was_read_or_nothing_measures() -> None:
    read, prose = Watched(), Watched()
    for step in range(1, 41):
        read.line(f"E{step // 9}b{step * 20} A<{1 / step:.3f}> B<{step / 7:.3f}>", after=4.0)
        read.line(f"step {step}: loss {1 / step:.3f}")
        prose.line(f"Downloading torch-2.13.{step} (2.1 MB)", after=4.0)
    read.progress.flush()
    prose.progress.flush()
    assert (read.of(EventKind.NOTICE), prose.of(EventKind.NOTICE)) == ([], [])


def test_a_step_without_a_measurement_is_not_enough() -> None:
    run = Watched()
    for step in range(1, 41):
        run.line(f"step {step}/40 => <{step / 7:.3f}>", after=4.0)
    assert [notice["code"] for notice in run.of(EventKind.NOTICE)] == ["unread"]


def test_one_machine_of_several_suggests() -> None:
    told: list[EventKind] = []
    progress = Progress(tell=lambda kind, data: told.append(kind), suggests=False)
    for step in range(40):
        progress.line(f"E{step} q <{step / 7:.3f}>")
    progress.flush()
    assert told == []


def test_what_could_be_suggested_is_not_thought_over_with_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Unread, "suggestions", lambda self, most=3: asked.append(most) or ())
    run = Watched()
    for step in range(1_000):
        run.line(f"a{step}-1.{step}.0", after=1.2)
    assert len(asked) == 9


def test_what_the_task_file_describes_is_read_from_the_first_line() -> None:
    run = Watched()
    run.progress.describe(["{step}/{steps} :: A {loss}"])
    run.progress.runs(Printed(), resumed=True)
    run.line("20/800 :: A 0.5")
    assert run.of(EventKind.METRIC) == [{"step": 20, "values": {"loss": 0.5}}]
    assert run.of(EventKind.PROGRESS)[0]["percent"] == 2.5


def test_no_line_ends_the_thread_that_keeps_the_log() -> None:
    run = Watched()
    for step in range(8):
        run.line(f"ep {step} \u0131nf q 0.{step}")  # no infinity, and no number
    run.line("step 3: loss 0.5")
    run.progress.flush()
    assert [data["values"]["loss"] for data in run.of(EventKind.METRIC) if "loss" in data["values"]] == [0.5]


def test_lines_that_somebody_left_alone_are_not_suggested() -> None:
    run = Watched()
    run.progress.describe(["summary: "])
    for step in range(40):
        run.line(f"summary: E{step} q <0.{step}5>", after=4.0)
    run.progress.flush()
    assert run.of(EventKind.NOTICE) == []
