"""What one chunk of a machine's words does to the rows, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, delete, select

from jobs import cadence, db, milestones, telemetry
from jobs.charts import Chart
from jobs.endings import after_outcome, is_of_several
from jobs.lifecycle import TERMINAL, AttemptEventName, AttemptState, JobEventName, JobState
from jobs.model import Attempt, Checkpoint, Job, NoteKind
from jobs.records import parse
from jobs.values import JobSpec
from trainer import wire


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A checkpoint whose manifest stands in the store."""

    saved: telemetry.Saved
    files: Sequence[Mapping[str, Any]]
    bytes: int


def apply(
    tx: Session,
    job: Job,
    attempt: Attempt,
    chart: Chart,
    now: datetime,
    tidings: telemetry.Tidings,
    proven: Sequence[Proven],
) -> bool:
    """Apply a chunk, to the chart too; return whether somebody should look at the job at once.

    A job that is over, or that has another machine by now, hears of checkpoints alone.
    """
    if attempt.number == job.attempt and job.state not in TERMINAL:
        return _Chunk(tx, job, attempt, chart, now).all(tidings, proven)
    _record_checkpoints(tx, job, attempt, proven)
    return False


class _Chunk:
    """One chunk's effects on a job that goes on."""

    def __init__(self, tx: Session, job: Job, attempt: Attempt, chart: Chart, now: datetime) -> None:
        self.tx, self.job, self.attempt, self.chart, self.now = tx, job, attempt, chart, now
        self.facts = milestones.Facts(tx=tx, job=job, attempt=attempt.number, now=now, rank=attempt.rank)

    def all(self, tidings: telemetry.Tidings, proven: Sequence[Proven]) -> bool:
        """Apply everything; return whether somebody should look at the job at once."""
        if not tidings.spoke:
            return False
        news = self._up()
        leads = self.attempt.rank == 0  # the other nodes' words are for their troubles, saves and ends
        columns = dict(tidings.columns) if leads else {}
        if leads and tidings.anew:
            milestones.anew(self.facts, self.chart, tidings.anew)
        if leads:
            columns |= cadence.after(self.job, tidings.steps, anew=wire.Stage.RUN in tidings.stages)
            columns |= milestones.curves(self.facts, self.chart, tidings.points, columns.get("step", self.job.step))
        if columns:
            db.touch(self.tx, self.job, self.now, **columns)
        for stage in tidings.stages if leads else ():
            self.facts.write(f"a{self.attempt.number}:stage:{stage.value}", NoteKind.STAGE, {"stage": stage.value})
        if leads and tidings.resumed:
            data = {"stage": wire.Stage.RUN.value, "resumed": tidings.resumed}
            self.facts.write(f"a{self.attempt.number}:resumed", NoteKind.STAGE, data)
        for found in _record_checkpoints(self.tx, self.job, self.attempt, proven):
            milestones.checkpoint(self.facts, found, self._rental())
        if leads:
            milestones.plots(self.facts, self.chart)
        milestones.troubles(self.facts, tidings.troubles)
        if wire.Stage.SAVE in tidings.stages or tidings.outcome is not None:
            self._left()
        if tidings.outcome is not None:
            self._outcome(tidings.outcome)
            news = True
        return news

    def _up(self) -> bool:
        """The machine has spoken: it is up, and its job runs."""
        if self.attempt.state is AttemptState.LAUNCHED:
            db.move_attempt(self.tx, self.attempt, AttemptEventName.UP, self.now)
        if self.job.state is not JobState.PROVISIONING or self._awaits_others():
            return False
        db.move(self.tx, self.job, JobEventName.RUN, self.now, outcome=None)
        offer = self.attempt.offer
        self.facts.write(
            f"a{self.attempt.number}:running",
            NoteKind.RUNNING,
            {"provider": self.attempt.provider, "offer": offer.get("name", ""), "region": self.attempt.region},
        )
        return True

    def _awaits_others(self) -> bool:
        """Of several machines the job runs when each has spoken: until then one may still be asked for."""
        silent = (AttemptState.INTENT, AttemptState.LAUNCHED)
        return is_of_several(self.job) and any(row.state in silent for row in self._machines())

    def _machines(self) -> list[Attempt]:
        return [row for row in db.attempts(self.tx, self.job.id) if row.number == self.attempt.number]

    def _left(self) -> None:
        """Of several machines this one's command has ended: the others' time to end runs from the first that does."""
        if is_of_several(self.job) and self.attempt.left_at is None:
            db.touch_attempt(self.tx, self.attempt, self.now, left_at=self.now)
            db.touch(self.tx, self.job, self.now, first_left_at=self.job.first_left_at or self.now)

    def _outcome(self, told: Mapping[str, Any]) -> None:
        outcome = {**told, "attempt": self.attempt.number}
        own = wire.Reason(told["reason"])
        if self.attempt.outcome is None:
            db.touch_attempt(self.tx, self.attempt, self.now, outcome=own.value)
        if self.job.outcome is not None and self.job.outcome.get("attempt") == self.attempt.number:
            return  # the first word counts: a node that was ended because another one failed has no say
        several = is_of_several(self.job)
        if several and own is wire.Reason.FINISHED and any(row.outcome != own.value for row in self._machines()):
            return  # the others may still be saving
        spec = parse(JobSpec, self.job.spec or {})
        reason = after_outcome(self.job, spec, own, self.now)
        if reason is None or (several and own is not wire.Reason.FINISHED):
            # Interrupted, and to go on elsewhere once this machine is gone; or said by one of several, while the
            # others may still be saving, and perhaps about one that is lost: `endings.conclude` will see.
            short = {"short_at": self.job.short_at or self.now} if several else {}
            db.touch(self.tx, self.job, self.now, outcome=outcome, **short)
            return
        columns: dict[str, Any] = {"outcome": outcome, "stop_reason": reason.value}
        if self.job.state is JobState.STOPPING:
            db.touch(self.tx, self.job, self.now, **columns)
        else:
            db.move(self.tx, self.job, JobEventName.STOP, self.now, stopping_at=self.now, **columns)
        milestones.ended(self.facts, reason, outcome)

    def _rental(self) -> timedelta:
        return self.attempt.deadline - self.attempt.intent_at


def _record_checkpoints(tx: Session, job: Job, attempt: Attempt, proven: Sequence[Proven]) -> list[Checkpoint]:
    """Write down whole checkpoints, strike out those that they replaced; return what is new."""
    new = []
    for found in proven:
        saved = found.saved
        if saved.removed:
            # By their keys: another machine of the attempt may have a checkpoint of the same name.
            gone = [wire.manifest_key(job.id, attempt.number, name, attempt.rank) for name in saved.removed]
            tx.exec(delete(Checkpoint).where(col(Checkpoint.manifest).in_(gone)))
        if tx.exec(select(Checkpoint.id).where(col(Checkpoint.manifest) == saved.manifest)).first() is not None:
            continue
        row = Checkpoint(
            job_id=job.id,
            attempt=attempt.number,
            name=saved.name,
            step=saved.step,
            manifest=saved.manifest,
            files=[dict(file) for file in found.files],
            bytes=found.bytes,
            at=saved.at,
        )
        tx.add(row)
        tx.flush()
        new.append(row)
    return new
