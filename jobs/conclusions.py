"""What becomes of a job none of whose machines is left: another machine, or its end.

The machine's last words are read first: a script may have finished in the very moment in which its machine went.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from jobs import db, endings, milestones, policy
from jobs.endings import LIVE, Conclusion
from jobs.errors import IllegalEvent, TooLate
from jobs.lifecycle import WITH_MACHINE, AttemptState, JobEventName, JobState
from jobs.model import Attempt, Job, NoteKind
from jobs.patience import latest
from jobs.ports import Ports
from jobs.records import parse
from jobs.settlements import Settlements
from jobs.values import JobSpec
from trainer.storage import StoreFault
from trainer.wire import Reason

log = structlog.get_logger(__name__)

# How long the last words of a gone machine are waited for when they cannot be read.
WORDS_WAIT = timedelta(minutes=10)
# Between a node that was refused and the next try for all of them.
RETRY_WAIT = timedelta(seconds=15)


class Conclusions:
    """Moves jobs on whose machines are gone."""

    def __init__(self, ports: Ports, settlements: Settlements) -> None:
        self._ports = ports
        self._settlements = settlements

    def one(self, job_id: str) -> None:
        """Conclude a job if all of its machines are gone and their last words are read; trouble is logged."""
        try:
            self._one(job_id)
        except (TooLate, IllegalEvent) as error:
            log.info("conclude.overtaken", job=job_id, error=str(error))
        except Exception:  # the other jobs are concluded all the same; the trace is in the log
            log.exception("conclude.broke", job=job_id)

    def _one(self, job_id: str) -> None:
        now = self._ports.clock.now()
        with self._ports.db.read() as tx:
            job, rows = db.get_job(tx, job_id), db.attempts(tx, job_id)
        if job.state not in WITH_MACHINE or any(row.state in LIVE for row in rows):
            return
        if not self._heard(job, rows, now):
            return
        if self._move(job_id, now):
            self._ports.wake(job_id)  # for another machine
        else:
            self._settlements.close(job_id)

    def _heard(self, job: Job, rows: Sequence[Attempt], now: datetime) -> bool:
        """Read what the gone machines left; False while that does not work and there is still patience."""
        for row in rows:
            if row.number != job.attempt or row.state is not AttemptState.GONE:
                continue
            try:
                self._ports.drain(row)
            except StoreFault as fault:
                log.warning("conclude.unheard", job=job.id, attempt=row.number, error=str(fault))
            except Exception:  # whatever the words are, they must not keep the job and its money open for ever
                log.exception("conclude.deaf", job=job.id, attempt=row.number)
            else:
                continue
            if now - (row.gone_at or now) < WORDS_WAIT:
                return False
        return True

    def _move(self, job_id: str, now: datetime) -> bool:
        """Apply what follows from the machines being gone; return whether the job is to have another one."""
        with self._ports.db.write() as tx:
            job, rows = db.get_job(tx, job_id), db.attempts(tx, job_id)
            if job.state not in WITH_MACHINE or any(row.state in LIVE for row in rows):
                return False
            conclusion = endings.conclude(job, parse(JobSpec, job.spec or {}), rows, now)
            match conclusion.event:
                case JobEventName.RETRY if now < latest(job, parse(JobSpec, job.spec or {}), rows):
                    db.move(tx, job, JobEventName.RETRY, now, not_before=now + RETRY_WAIT)
                case JobEventName.RETRY:  # launches that came to nothing all that time
                    self._stop(tx, job, Reason.LAUNCH_FAILED, now)
                case JobEventName.RECLAIM:
                    self._reclaim(tx, job, rows, conclusion, now)
                case JobEventName.STOP:
                    self._stop(tx, job, conclusion.reason or Reason.LOST, now)
                case _:
                    pass  # STOPPING already
            return job.state is JobState.QUEUED

    def _reclaim(self, tx: Session, job: Job, rows: Sequence[Attempt], conclusion: Conclusion, now: datetime) -> None:
        reason = conclusion.reason or Reason.LOST
        wait = policy.retry_after(reason, endings.attempts_stood(rows))
        if wait is None:
            self._stop(tx, job, reason, now)
            return
        db.move(tx, job, JobEventName.RECLAIM, now, not_before=now + wait, outcome=None)
        milestones.Facts(tx=tx, job=job, attempt=job.attempt, now=now).write(
            f"a{job.attempt}:reclaimed", NoteKind.RECLAIMED, {"reason": reason.value}
        )

    def _stop(self, tx: Session, job: Job, reason: Reason, now: datetime) -> None:
        db.move(tx, job, JobEventName.STOP, now, stop_reason=reason.value, stopping_at=now)
