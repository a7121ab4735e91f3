"""What the machines wrote, applied to the rows: the next chunk of each by its number, never a listing.

A chunk's effects and the cursor that says it was applied are one transaction, so that a crash between two chunks
neither loses nor repeats anything. Milestones become notes in it. A chunk that makes no sense is passed over and
counted; it never stops the ones behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlmodel import Session, col, delete, select
from structlog.contextvars import bound_contextvars

from jobs import db, milestones, telemetry
from jobs.clock import Clock
from jobs.db import Database
from jobs.endings import after_outcome
from jobs.errors import HourglassError
from jobs.lifecycle import TERMINAL, AttemptEventName, AttemptState, JobEventName, JobState
from jobs.model import Attempt, Checkpoint, Job, JobSpec, NoteKind
from jobs.records import parse
from trainer import wire
from trainer.storage import Store, StoreFault

log = structlog.get_logger(__name__)

# A machine that wrote a flood while nobody looked is caught up with over several rounds, others in between.
CHUNKS_A_ROUND = 20
CHUNK_LIMIT = 8 * 1024 * 1024  # bytes; the agent writes far less
MANIFEST_LIMIT = 4 * 1024 * 1024

SPEAKING = frozenset({AttemptState.LAUNCHED, AttemptState.UP, AttemptState.ENDING})


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A checkpoint whose manifest stands in the store."""

    saved: telemetry.Saved
    files: Sequence[Mapping[str, Any]]
    bytes: int


class Follow:
    """Reads what machines write. `wake(job)` is called after a commit that somebody may wait for."""

    def __init__(self, *, db: Database, clock: Clock, store: Store, wake: Callable[[str], None]) -> None:
        self._db = db
        self._clock = clock
        self._store = store
        self._wake = wake

    def round(self) -> int:
        """Apply what is new of every machine that may stand; return how many chunks that were."""
        with self._db.read() as tx:
            speaking = [attempt for attempt in db.live_attempts(tx) if attempt.state in SPEAKING]
        applied = 0
        for attempt in speaking:
            try:
                with bound_contextvars(job=attempt.job_id, attempt=attempt.number):
                    applied += self._catch_up(attempt, CHUNKS_A_ROUND)
            except StoreFault as fault:
                log.warning("follow.store", job=attempt.job_id, attempt=attempt.number, error=str(fault))
            except Exception:  # one machine's words must never silence the others; the trace is in the log
                log.exception("follow.failed", job=attempt.job_id, attempt=attempt.number)
        return applied

    def drain(self, attempt: Attempt) -> int:
        """Apply everything that a machine left behind; raises `StoreFault` when the store cannot be read."""
        return self._catch_up(attempt, limit=None)

    def _catch_up(self, attempt: Attempt, limit: int | None) -> int:
        number, applied = attempt.cursor, 0
        while limit is None or applied < limit:
            number += 1
            key = wire.event_key(attempt.job_id, attempt.number, number, attempt.rank)
            data = self._store.get(key)
            if data is None:
                break
            if len(data) > CHUNK_LIMIT:
                log.warning("follow.too_long", key=key, bytes=len(data))
                data = b""
            if self._applied(attempt, number, data):
                applied += 1
            else:
                number = self._cursor(attempt)  # another hand was faster, and may have stopped short of the end
        return applied

    def _applied(self, attempt: Attempt, number: int, data: bytes) -> bool:
        try:
            return self._apply(attempt, number, data)
        except (HourglassError, StoreFault):
            raise  # passing: it is applied in the next round
        except Exception:  # it would break each round, and hide all that comes behind it; the trace is in the log
            log.exception("follow.passed_over", job=attempt.job_id, attempt=attempt.number, chunk=number)
            return self._apply(attempt, number, b"")

    def _cursor(self, attempt: Attempt) -> int:
        with self._db.read() as tx:
            return tx.exec(select(Attempt.cursor).where(Attempt.id == attempt.id)).one()

    def _apply(self, attempt: Attempt, number: int, data: bytes) -> bool:
        """Apply chunk `number` in one transaction; False when another hand was faster."""
        now = self._clock.now()
        tidings = telemetry.digest(data, now)
        if tidings.garbage:
            log.warning("follow.garbage", job=attempt.job_id, attempt=attempt.number, chunk=number, n=tidings.garbage)
        proven = [found for saved in tidings.saved if (found := self._prove(attempt, saved)) is not None]
        with self._db.write() as tx:
            row = tx.exec(select(Attempt).where(Attempt.id == attempt.id)).one()
            if row.cursor != number - 1:
                return False
            job = db.get_job(tx, row.job_id)
            db.touch_attempt(tx, row, now, cursor=number)
            if row.number == job.attempt and job.state not in TERMINAL:
                news = _Apply(tx, job, row, now).all(tidings, proven)
            else:
                news = False
                _record_checkpoints(tx, job, row, proven)
        if news:
            self._wake(attempt.job_id)
        return True

    def _prove(self, attempt: Attempt, saved: telemetry.Saved) -> Proven | None:
        """Return the checkpoint with its files, read from its manifest; None when there is no whole one."""
        if saved.manifest != wire.manifest_key(attempt.job_id, attempt.number, saved.name, attempt.rank):
            log.warning("follow.foreign_manifest", job=attempt.job_id, key=saved.manifest)
            return None
        try:
            size = self._store.size(saved.manifest)
            data = None if size is None or size > MANIFEST_LIMIT else self._store.get(saved.manifest)
            if data is None:
                return None
            files = telemetry.files(wire.from_json(wire.Manifest, data))
        except (StoreFault, ValueError, RecursionError) as error:
            log.warning("follow.bad_manifest", job=attempt.job_id, key=saved.manifest, error=str(error))
            return None
        return Proven(saved=saved, files=files, bytes=sum(file["size"] for file in files))


class _Apply:
    """One chunk's effects inside one transaction."""

    def __init__(self, tx: Session, job: Job, attempt: Attempt, now: datetime) -> None:
        self.tx, self.job, self.attempt, self.now = tx, job, attempt, now
        self.facts = milestones.Facts(tx=tx, job=job, attempt=attempt.number, now=now)

    def all(self, tidings: telemetry.Tidings, proven: Sequence[Proven]) -> bool:
        """Apply everything; return whether somebody should look at the job at once."""
        if not tidings.spoke:
            return False
        news = self._up()
        leads = self.attempt.rank == 0  # the other nodes' words are for their troubles, saves and ends
        columns = dict(tidings.columns) if leads else {}
        if leads:
            columns |= milestones.curves(self.facts, tidings.points, columns.get("step", self.job.step))
        if columns:
            db.touch(self.tx, self.job, self.now, **columns)
        for stage in tidings.stages if leads else ():
            self.facts.write(f"a{self.attempt.number}:stage:{stage.value}", NoteKind.STAGE, {"stage": stage.value})
        for found in _record_checkpoints(self.tx, self.job, self.attempt, proven):
            milestones.checkpoint(self.facts, found, self._rental())
        milestones.plots(self.facts)
        milestones.troubles(self.facts, tidings.troubles)
        if tidings.outcome is not None:
            self._outcome(tidings.outcome)
            news = True
        return news

    def _up(self) -> bool:
        """The machine has spoken: it is up, and its job runs."""
        if self.attempt.state is AttemptState.LAUNCHED:
            db.move_attempt(self.tx, self.attempt, AttemptEventName.UP, self.now)
        if self.job.state is not JobState.PROVISIONING:
            return False
        db.move(self.tx, self.job, JobEventName.RUN, self.now, outcome=None)
        offer = self.attempt.offer
        self.facts.write(
            f"a{self.attempt.number}:running",
            NoteKind.RUNNING,
            {"provider": self.attempt.provider, "offer": offer.get("name", ""), "region": self.attempt.region},
        )
        return True

    def _outcome(self, told: Mapping[str, Any]) -> None:
        outcome = {**told, "attempt": self.attempt.number}
        if self.job.outcome is not None and self.job.outcome.get("attempt") == self.attempt.number:
            return  # the first word counts: a node that was ended because another one failed has no say
        spec = parse(JobSpec, self.job.spec or {})
        reason = after_outcome(self.job, spec, wire.Reason(told["reason"]), self.now)
        if reason is None:
            # Interrupted, and to go on elsewhere once this machine is gone.
            db.touch(self.tx, self.job, self.now, outcome=outcome)
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
            gone = (col(Checkpoint.job_id) == job.id, col(Checkpoint.attempt) == attempt.number)
            tx.exec(delete(Checkpoint).where(*gone, col(Checkpoint.name).in_(saved.removed)))
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
