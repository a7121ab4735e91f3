"""From a job's measurements to a picture: what to draw is decided here, and drawn in `bot.plotter`'s child process.

The bot never imports matplotlib. A plot that cannot be made is an error with words, which is told in the thread;
it never touches the job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from bot.facts import JobFacts
from bot.markup import short
from jobs.errors import HourglassError
from jobs.model import MetricPoint
from jobs.series import is_evaluation

POINTS = 1500  # a curve; more than the picture has pixels to tell apart
CURVES = 3
_ODD = {"nan": "NaN", "inf": "∞", "-inf": "−∞"}  # what a point without a value says it was
_FIRST = ("loss", "train_loss", "train/loss", "loss/train", "training_loss")


class PlotFailed(HourglassError):
    """A plot could not be drawn; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a plot. A value that was not finite is None and leaves a gap."""

    name: str
    steps: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Sign:
    """Something marked at a step: a checkpoint, a value that was not finite, where the deadline will find it."""

    kind: str  # checkpoint | odd | deadline
    step: float
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Everything that is drawn, in words and numbers."""

    title: str
    subtitle: str
    axis: str
    total: int | None  # steps, where they are known
    series: Sequence[Curve]
    marks: Sequence[Sign]


class Drawing(Protocol):
    """Where pictures come from."""

    def draw(self, plot: Plot) -> Future[bytes]:
        """Return a PNG to come, or `PlotFailed` in its place."""


def of(facts: JobFacts, metrics: Mapping[str, Sequence[MetricPoint]]) -> Plot | None:
    """Return the plot of a job's losses; None where it has no curve to show."""
    chosen = _choose(metrics)
    curves = [_curve(name, points) for name, points in chosen]
    curves = [curve for curve in curves if any(value is not None for value in curve.values)]
    if not curves:
        return None
    total, last = facts.job.total, max(curve.steps[-1] for curve in curves)
    marks = [Sign(kind="checkpoint", step=one.step) for one in facts.checkpoints if one.step is not None]
    if marks:
        marks[-1] = Sign(kind="checkpoint", step=marks[-1].step, label="checkpoint")
    marks += _odd(chosen)
    reach = _reach(facts, chosen[0][1])
    if reach is not None and total and last < reach < total:
        marks.append(Sign(kind="deadline", step=reach, label="deadline"))
    reached = f"step {last:,} of {total:,}" if total else f"step {last:,}"
    return Plot(
        title=short(facts.title, 60),
        subtitle="  ·  ".join(part for part in ("loss", facts.machine, reached) if part),
        axis="step",
        total=total,
        series=curves,
        marks=marks,
    )


def _choose(metrics: Mapping[str, Sequence[MetricPoint]]) -> list[tuple[str, list[MetricPoint]]]:
    """Return the training loss first, then the validation losses; a series is named as it was reported."""
    losses = [name for name, points in metrics.items() if "loss" in name.lower() and points]
    held_out = [name for name in losses if is_evaluation(name)]
    rank = {name: index for index, name in enumerate(_FIRST)}
    of_steps = sorted(set(losses) - set(held_out), key=lambda name: (name.startswith("epoch_"), name))
    training = sorted(of_steps, key=lambda name: rank.get(name.lower(), len(rank)))
    return [(name, _newest_attempt_wins(metrics[name])) for name in [*training[:1], *sorted(held_out)][:CURVES]]


def _newest_attempt_wins(points: Sequence[MetricPoint]) -> list[MetricPoint]:
    """Where a later attempt went over the same steps again, its points stand."""
    kept: list[MetricPoint] = []
    bound: float = math.inf
    for attempt in sorted({point.attempt for point in points}, reverse=True):
        mine = sorted((p for p in points if p.attempt == attempt and p.step < bound), key=lambda p: p.step)
        kept = mine + kept
        bound = min([bound, *(p.step for p in mine)])
    return kept


def _curve(name: str, points: Sequence[MetricPoint]) -> Curve:
    every = max(1, math.ceil(len(points) / POINTS))
    thinned = [point for index, point in enumerate(points) if index % every == 0 or index == len(points) - 1]
    values = [p.value if p.value is not None and math.isfinite(p.value) else None for p in thinned]
    return Curve(name=short(name, 14), steps=[p.step for p in thinned], values=values)


def _odd(chosen: Sequence[tuple[str, Sequence[MetricPoint]]]) -> list[Sign]:
    first = min((p for _, points in chosen for p in points if p.value is None), key=lambda p: p.step, default=None)
    return [] if first is None else [Sign(kind="odd", step=first.step, label=_ODD.get(first.odd, "NaN"))]


def _reach(facts: JobFacts, points: Sequence[MetricPoint]) -> float | None:
    """Return the step at which the deadline will find it, at its pace of late."""
    if facts.job.deadline is None or facts.ended or len(points) < 2:
        return None
    late = points[-max(2, len(points) // 4) :]
    seconds = (late[-1].at - late[0].at).total_seconds()
    if seconds <= 0 or late[-1].step <= late[0].step:
        return None
    pace = (late[-1].step - late[0].step) / seconds
    return late[-1].step + pace * (facts.job.deadline - late[-1].at).total_seconds()


def last(curve: Curve) -> tuple[int, float] | None:
    """Return the curve's last finite value and its step; None where it has none."""
    found = zip(reversed(curve.steps), reversed(curve.values), strict=True)
    return next(((step, value) for step, value in found if value is not None), None)
