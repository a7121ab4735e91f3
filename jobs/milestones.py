"""What of a machine's words is worth telling people: written once each, as notes, inside the caller's transaction.

The keys make it so: a first plot is one fact of a job, a trouble one of an attempt and its code. Nothing here
renders; `bot.notify` decides which notes become messages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, delete, func, select

from jobs import charts, db, divergence, statements
from jobs import curves as rules
from jobs.charts import Chart
from jobs.divergence import Alarm
from jobs.model import Attempt, Checkpoint, Job, MetricPoint, Note, NoteKind
from jobs.series import is_evaluation
from jobs.telemetry import Point, Trouble
from trainer.wire import Reason

# A plot says nothing new within this of the one before.
PLOTS_APART = timedelta(seconds=60)
# Checkpoints are told of at first, then no more often than this or a quarter of the rental.
CHECKPOINTS_APART = timedelta(minutes=15)
# The machine says it of every value, once. Whether something is wrong is told from the curves (`jobs.divergence`).
NOT_FINITE = "not_finite"
TROUBLES_LIMIT = 12  # codes an attempt, and parts a code; a script that warns at each step tells nothing more
CHECKPOINTS_TOLD = 3  # newest ones named in the note of the end; older ones may have been cleared away


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Where facts about one attempt of a job are written."""

    tx: Session
    job: Job
    attempt: int
    now: datetime
    rank: int = 0  # of the machine whose words they are, where there are several

    def write(self, suffix: str, kind: NoteKind, data: Mapping[str, Any]) -> bool:
        """Write a fact under the job's key once; return whether it is new."""
        return db.note(
            self.tx,
            key=f"{self.job.id}:{suffix}",
            kind=kind,
            at=self.now,
            team_id=self.job.team_id,
            job_id=self.job.id,
            data={**data, "attempt": self.attempt},
        )

    def last(self, kind: NoteKind) -> datetime | None:
        """Return when a fact of this kind was last written about the job."""
        of_kind = select(func.max(Note.at)).where(Note.job_id == self.job.id, Note.kind == kind.value)
        return self.tx.exec(of_kind).one()


def curves(facts: Facts, chart: Chart, points: Sequence[Point], step: int | None) -> dict[str, Any]:
    """Keep the points that the rule keeps, the chart with them; return the job's columns that follow from them.

    `step` stands in where a point does not say its own.
    """
    if not points:
        return {}
    kept: list[dict[str, Any]] = []
    wider: dict[str, int] = {}
    passed: list[Point] = []
    for point in points:
        has_room = point.series in chart.extents or len(chart.extents) < rules.SERIES_LIMIT
        if has_room and not _keep(facts, chart, point, step, kept, wider):
            passed.append(point)
    _watch(facts, chart, kept, passed, step)
    statements.insert_all(facts.tx, MetricPoint, kept)
    if wider:
        for series, width in wider.items():
            _thin(facts, series, width)
        fresh = charts.read(facts.tx, facts.job.id, facts.attempt)
        chart.extents, chart.points, chart.watches = fresh.extents, fresh.points, fresh.watches
    loss = rules.loss_series(chart.extents)
    told = [point for point in points if point.series == loss]
    return {"loss": told[-1].value} if told else {}


def _keep(
    facts: Facts,
    chart: Chart,
    point: Point,
    stand_in: int | None,
    kept: list[dict[str, Any]],
    wider: dict[str, int],
) -> bool:
    extent = chart.extents.get(point.series)
    step = point.step if point.step is not None else stand_in
    if extent is None:
        step = step or 0
    else:
        if step is None or (point.step is None and step <= extent.last):
            step = extent.last + 1  # a trainer that prints no steps counts as one a line
        if not rules.keeps(extent.first, extent.last, step):
            return False
        width = rules.stride(extent.first, step)
        if width > rules.stride(extent.first, extent.last):
            wider[point.series] = width
    chart.has(point.series, step)
    place = {"job_id": facts.job.id, "attempt": facts.attempt, "series": point.series, "step": step}
    kept.append({**place, "value": point.value, "odd": point.odd, "at": point.at})
    return True


def _thin(facts: Facts, series: str, width: int) -> None:
    mine = (
        col(MetricPoint.job_id) == facts.job.id,
        col(MetricPoint.attempt) == facts.attempt,
        col(MetricPoint.series) == series,
    )
    steps = list(facts.tx.exec(select(MetricPoint.step).where(*mine).order_by(col(MetricPoint.step))))
    drop = sorted(set(steps) - rules.thinned(steps, width))
    for start in range(0, len(drop), 500):  # within every database's limit of parameters
        facts.tx.exec(delete(MetricPoint).where(*mine, col(MetricPoint.step).in_(drop[start : start + 500])))


def anew(facts: Facts, chart: Chart, series: Collection[str]) -> None:
    """Forget what was told of some series: it was misread, at other steps perhaps."""
    mine = (col(MetricPoint.job_id) == facts.job.id, col(MetricPoint.attempt) == facts.attempt)
    facts.tx.exec(delete(MetricPoint).where(*mine, col(MetricPoint.series).in_(series)))
    chart.anew += 1
    facts.write(f"anew:{chart.anew}", NoteKind.ANEW, {"series": list(series)})
    fresh = charts.read(facts.tx, facts.job.id, facts.attempt)
    chart.extents, chart.points, chart.watches = fresh.extents, fresh.points, fresh.watches
    chart.plotted_at = None  # the picture that stands in the thread shows what was misread


def _watch(
    facts: Facts, chart: Chart, kept: Sequence[Mapping[str, Any]], passed: Sequence[Point], stand_in: int | None
) -> None:
    """Tell of what is wrong with a loss, whichever it is, by the points that are kept: a restart forgets none of them.

    Of those that are passed over only that they are no number counts.
    """
    watches = chart.watches
    watches.know(chart.extents)
    alarms = [watches.take(each["series"], each["step"], each["value"], each["odd"]) for each in kept]
    for point in passed:
        step = point.step if point.step is not None else stand_in
        alarms.append(watches.glance(point.series, step, point.odd))
    found: dict[tuple[str, str], list[Alarm]] = {}
    for alarm in filter(None, alarms):
        # That an evaluation is NaN must not be all that is said of a training that becomes so later.
        part = "evaluation" if is_evaluation(alarm.series) else ""
        found.setdefault((alarm.code, part), []).append(alarm)
    told = [Trouble(code=code, text=divergence.first_of(of).text, part=part) for (code, part), of in found.items()]
    troubles(facts, told)


def plots(facts: Facts, chart: Chart) -> None:
    """Ask for the first plot as soon as there is a curve, and for another half-way."""
    series = rules.loss_series(chart.points)
    if chart.plotted_at is None:
        if series is not None and chart.points[series] >= rules.ENOUGH_POINTS:
            again = f":{chart.anew}" if chart.anew else ""
            facts.write(f"first_plot{again}", NoteKind.FIRST_PLOT, {"series": series})
            chart.plotted_at = facts.now
        return
    step, total = facts.job.step, facts.job.total
    if step is None or not total or step * 2 < total or facts.now - chart.plotted_at < PLOTS_APART:
        return
    if not chart.halved:
        facts.write("plot:50", NoteKind.PLOT, {"percent": 50, "series": series})
        chart.halved = True


def _loss_points(facts: Facts) -> tuple[str | None, int]:
    grouped = (
        select(MetricPoint.series, func.count()).where(MetricPoint.job_id == facts.job.id).group_by(MetricPoint.series)
    )
    counts = dict(facts.tx.exec(grouped).all())
    series = rules.loss_series(counts)
    return series, counts.get(series, 0) if series else 0


def checkpoint(facts: Facts, row: Checkpoint, rental: timedelta) -> None:
    """Tell of a checkpoint: the first, then now and then."""
    told = facts.last(NoteKind.CHECKPOINT)
    if told is not None and facts.now - told < max(CHECKPOINTS_APART, rental / 4):
        return
    facts.write(f"checkpoint:{facts.attempt}:{row.name}", NoteKind.CHECKPOINT, _named(row))


def troubles(facts: Facts, found: Sequence[Trouble]) -> None:
    """Tell of troubles, each code once an attempt and machine, and once for each part of the run that it names.

    What another machine has said in the same words is not told again.
    """
    prefix = f"a{facts.attempt}:trouble:"
    machine = f":machine-{facts.rank + 1}" if facts.rank else ""
    for trouble in found:
        if trouble.code == NOT_FINITE:
            continue
        mine = (Note.job_id == facts.job.id, Note.kind == NoteKind.TROUBLE.value)
        notes = [one for one in facts.tx.exec(select(Note.key, Note.data).where(*mine)) if prefix in one[0]]
        told = [key.split(prefix, 1)[1].split(":", 1)[0] for key, _ in notes]
        others = [data for _, data in notes if data.get("machine", 1) != facts.rank + 1]
        if any(data.get("text") == trouble.text for data in others):
            continue
        # Parts count by themselves: many checkpoints' troubles must not keep back that the machine is taken away.
        if told.count(trouble.code) >= TROUBLES_LIMIT or len({*told, trouble.code}) > TROUBLES_LIMIT:
            continue
        facts.write(
            f"{prefix}{trouble.code}" + (f":{trouble.part}" if trouble.part else "") + machine,
            NoteKind.TROUBLE,
            {"code": trouble.code, "text": trouble.text}
            | ({"machine": facts.rank + 1} if facts.rank else {})
            | ({"template": trouble.template} if trouble.template else {}),
        )


def left_behind(facts: Facts, machines: Sequence[Attempt], waited: timedelta) -> None:
    """Tell which machines' commands went on when another one's had ended; people count them from 1."""
    names = ", ".join(str(row.rank + 1) for row in machines)
    text = f"Another machine's command ended {waited // timedelta(minutes=1)} minutes ago, and that of machine {names} "
    text += "goes on: it may wait for a process that is gone. It is asked to save and to stop."
    troubles(facts, [Trouble(code="left_behind", text=text)])


def ended(facts: Facts, reason: Reason, outcome: Mapping[str, Any] | None = None, text: str = "") -> None:
    """Tell how the job ended, with the last plot and the newest checkpoints; once a job."""
    told = outcome or {}
    series, count = _loss_points(facts)
    if count > 1:
        facts.write("plot:100", NoteKind.PLOT, {"percent": 100, "series": series})
    saved = db.checkpoints(facts.tx, facts.job.id)[-CHECKPOINTS_TOLD:]
    facts.write(
        "ended",
        NoteKind.ENDED,
        {
            "reason": reason.value,
            "text": text,
            "code": told.get("code"),
            "signal": told.get("signal"),
            "tail": list(told.get("tail") or []),
            "loss": facts.job.loss,
            "step": facts.job.step,
            "checkpoints": [_named(row) for row in reversed(saved)],
        },
    )


def _named(row: Checkpoint) -> dict[str, Any]:
    return {"name": row.name, "step": row.step, "manifest": row.manifest, "bytes": row.bytes}
