"""How far a job's curves reach: what has to be known before another point is kept.

It is read from the points once and then kept beside the cursor that it belongs to: reading a job's thousands of points
again for each chunk is most of what a chunk would cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, func, select

from jobs.divergence import Watches, is_gradient, is_loss
from jobs.model import MetricPoint, Note, NoteKind


@dataclass(kw_only=True)
class Extent:
    """How far one curve of one attempt reaches, in steps."""

    first: int
    last: int


@dataclass(kw_only=True)
class Chart:
    """The curves of a job while one of its attempts draws them, by series."""

    extents: dict[str, Extent] = field(default_factory=dict)  # of this attempt
    watches: Watches = field(default_factory=Watches)  # what this attempt's losses were like, point by point
    points: dict[str, int] = field(default_factory=dict)  # kept, of all attempts
    plotted_at: datetime | None = None  # when the first plot was asked for
    halved: bool = False  # the plot half-way was asked for; False: not known
    anew: int = 0  # how often a series was forgotten because it had been misread

    def has(self, series: str, step: int) -> None:
        """Take note of a point that is kept; its step lies beyond the last."""
        extent = self.extents.setdefault(series, Extent(first=step, last=step))
        extent.last = step
        self.points[series] = self.points.get(series, 0) + 1


def read(tx: Session, job_id: str, attempt: int) -> Chart:
    """Return the chart as the rows have it."""
    mine = (col(MetricPoint.job_id) == job_id, col(MetricPoint.attempt) == attempt)
    extents = select(MetricPoint.series, func.min(MetricPoint.step), func.max(MetricPoint.step)).where(*mine)
    counts = select(MetricPoint.series, func.count()).where(MetricPoint.job_id == job_id).group_by(MetricPoint.series)
    anew, forgotten_at = _noted(tx, job_id, NoteKind.ANEW)
    _, plotted_at = _noted(tx, job_id, NoteKind.FIRST_PLOT)
    chart = Chart(
        extents={
            series: Extent(first=first, last=last)
            for series, first, last in tx.exec(extents.group_by(MetricPoint.series))
        },
        points=dict(tx.exec(counts).all()),
        plotted_at=None if plotted_at and forgotten_at and plotted_at < forgotten_at else plotted_at,
        anew=anew,
    )
    _watch(tx, job_id, attempt, chart)
    return chart


def _noted(tx: Session, job_id: str, kind: NoteKind) -> tuple[int, datetime | None]:
    """Return how often a fact of this kind was written about a job, and when the last time."""
    of_kind = select(func.count(), func.max(Note.at)).where(Note.job_id == job_id, Note.kind == kind.value)
    return tx.exec(of_kind).one()


def _watch(tx: Session, job_id: str, attempt: int, chart: Chart) -> None:
    """Show the chart's watches what its losses were."""
    series = [name for name in chart.extents if is_loss(name) or is_gradient(name)]
    if not series:
        return
    mine = (col(MetricPoint.job_id) == job_id, col(MetricPoint.attempt) == attempt)
    of_losses = select(MetricPoint.series, MetricPoint.step, MetricPoint.value, MetricPoint.odd).where(*mine)
    points = tx.exec(of_losses.where(col(MetricPoint.series).in_(series)).order_by(col(MetricPoint.step)))
    chart.watches.know(chart.extents)
    for name, step, value, odd in points:
        chart.watches.take(name, step, value, odd)
