"""How a job ends while no machine stands: cancelled, denied, expired, refused.

What it holds is given back in the transaction that makes it terminal. A job that waits for another machine may
have paid for earlier ones; they are charged then.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from jobs import db, ledger
from jobs.errors import NotAllowed, TooLate
from jobs.lifecycle import TERMINAL, WITH_MACHINE, JobEventName, JobState
from jobs.model import Job, NoteKind
from jobs.policy import Person
from trainer.wire import Reason


def withdraw(tx: Session, job: Job, event: JobEventName, at: datetime, **columns: Any) -> Job:
    """Close the job's hold with what its earlier machines cost, and apply `event`, which ends it.

    Raises `IllegalEvent` or `TooLate`, and the transaction must not be committed then.
    """
    charge = sum(attempt.billed or 0 for attempt in db.attempts(tx, job.id))
    closed = ledger.close(tx, job=job, charge=charge, at=at)
    return db.move(tx, job, event, at, charged=closed.charged, **columns)


def cancel(tx: Session, job_id: str, by: Person, at: datetime) -> Job:
    """End a job at once, or ask its machine to save and stop; raises `TooLate`, `NotAllowed` or `NotFound`.

    The requester may, the people whom the job notifies, and leads.
    """
    job = db.get_job(tx, job_id)
    if job.state in TERMINAL or job.state is JobState.STOPPING:
        raise over(job)
    if not by.lead and by.id not in (job.person, *job.notify):
        raise NotAllowed(f"Job {job.id} is {job.person}'s: only they, the people it notifies and leads may stop it.")
    facts = {"stop_reason": Reason.STOPPED.value, "stop_by": by.id}
    if job.state in WITH_MACHINE:
        db.move(tx, job, JobEventName.STOP, at, stopping_at=at, **facts)
        db.note_on(tx, job, NoteKind.STOPPING, at, by=by.id, data={"reason": Reason.STOPPED.value})
        return job
    withdraw(tx, job, JobEventName.CANCEL, at, **facts)
    ended = {"reason": Reason.STOPPED.value, "state": job.state.value, "charged": job.charged}
    db.note_on(tx, job, NoteKind.ENDED, at, by=by.id, data=ended)
    return job


def over(job: Job) -> TooLate:
    """Return the error for whoever comes after a job's end has begun: how it ended, by whom, when."""
    by = job.stop_by or job.decided_by or ""
    at = job.finished_at or job.stopping_at
    when = f" at {at:%H:%M} UTC" if at else ""
    if job.state is JobState.STOPPING:
        who = f", asked by {by}" if by else ""
        return TooLate(f"Job {job.id} is stopping already ({job.stop_reason or 'ending'}{who}).", by=by, at=at)
    words = {
        JobState.SUCCEEDED: "finished",
        JobState.FAILED: f"failed ({job.stop_reason or 'error'})",
        JobState.CANCELLED: f"was cancelled by {by}" if by else "was cancelled",
        JobState.TIMED_OUT: "ran to its deadline",
        JobState.DENIED: f"was denied by {by}",
        JobState.EXPIRED: "expired, as nobody decided in time,",
    }
    return TooLate(f"Job {job.id} {words[job.state]}{when}.".replace(",.", "."), by=by, at=at)
