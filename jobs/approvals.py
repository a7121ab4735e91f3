"""A lead's word: asked for, reminded of, given once, or not given in time.

The press is judged anew: who presses, in what role, whether somebody was first. What is approved is the row
(commit, image digest, rate ceiling, hold), never a new price. A job that exceeded the free budget holds nothing
while it waits; grant, hold and QUEUED are one transaction at the press.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlmodel import Session

from jobs import db, ledger, policy, records
from jobs.errors import BadRequest, Frozen, NotAllowed, OverBudget, Refused, TooLate
from jobs.lifecycle import JobEventName, JobState
from jobs.model import EntryKind, Job, NoteKind, Team
from jobs.policy import Person
from jobs.providers import Traits
from jobs.values import JobSpec, Micros
from jobs.withdrawal import over, withdraw

REMINDERS = (15, 60)  # minutes after the question
FROZEN = "New rentals are frozen for this team. A lead types `/budget unfreeze`."

_NOT_YOU = {
    "guest": "A guest cannot decide about the team's money. Ask one of its leads.",
    "not_lead": "Only a lead of this team can decide that.",
    "own_job": "You asked for this job, so another lead has to approve it.",
}


def approve(
    tx: Session,
    job_id: str,
    by: Person,
    *,
    minutes: float | None,
    at: datetime,
    lifetime: timedelta,
    traits: Mapping[str, Traits],
) -> Job:
    """Let a job start, for `minutes` where that is shorter than what was asked for.

    Raises `TooLate` naming who decided and when, `NotAllowed`, `Frozen`, `BadRequest` for minutes that are not
    shorter. `lifetime` is how long the question stands.
    """
    job = db.get_job(tx, job_id)
    _must_be_open(job, at, lifetime)
    if code := policy.may_approve(by, job):
        raise NotAllowed(_NOT_YOU[code])
    team = db.get_team(tx, job.team_id)
    if team.frozen:
        raise Frozen(FROZEN)
    if minutes is not None:
        _shorten(tx, job, minutes, at, traits)
    granted = _cover(tx, job, team, by, at)
    db.move(tx, job, JobEventName.GRANT, at, decided_by=by.id, decided_at=at)
    data = {"minutes": _spec(job).minutes, "hold": job.hold, "grant": granted, "shorter": minutes is not None}
    db.note_on(tx, job, NoteKind.GRANTED, at, by=by.id, data=data)
    return job


def deny(tx: Session, job_id: str, by: Person, reason: str, *, at: datetime, lifetime: timedelta) -> Job:
    """Refuse a job and give back what it holds; raises `TooLate` naming who decided and when, or `NotAllowed`."""
    job = db.get_job(tx, job_id)
    _must_be_open(job, at, lifetime)
    code = policy.may_approve(by, job)
    if code and code != "own_job":
        raise NotAllowed(_NOT_YOU[code])
    reason = reason.strip()[:500]
    withdraw(tx, job, JobEventName.DENY, at, decided_by=by.id, decided_at=at, decision_note=reason)
    db.note_on(tx, job, NoteKind.DENIED, at, by=by.id, data={"reason": reason})
    return job


def expire(tx: Session, job_id: str, *, at: datetime, lifetime: timedelta) -> bool:
    """End a question that nobody answered in time; False where it is not, or no longer, due."""
    job = db.get_job(tx, job_id)
    if job.state is not JobState.AWAITING_APPROVAL or not _is_due(job, at, lifetime):
        return False
    withdraw(tx, job, JobEventName.EXPIRE, at)
    db.note_on(tx, job, NoteKind.EXPIRED, at, data={"minutes": lifetime / timedelta(minutes=1)})
    return True


def remind(tx: Session, job_id: str, *, at: datetime) -> bool:
    """Write the latest reminder that is due, once; those that were slept through are left out."""
    job = db.get_job(tx, job_id)
    if job.state is not JobState.AWAITING_APPROVAL or job.asked_at is None:
        return False
    due = sum(at - job.asked_at >= timedelta(minutes=minutes) for minutes in REMINDERS)
    if due <= job.reminded:
        return False
    db.touch(tx, job, at, reminded=due)
    data = {"minutes": REMINDERS[due - 1], "why": job.needs_lead}
    return db.note_on(tx, job, NoteKind.REMINDED, at, data=data, key=f"{job.id}:reminded:{due}")


def _must_be_open(job: Job, at: datetime, lifetime: timedelta) -> None:
    if job.state is JobState.AWAITING_APPROVAL:
        if _is_due(job, at, lifetime):
            raise TooLate(
                f"Nobody decided in {policy.duration(lifetime / timedelta(minutes=1))}: job {job.id} expired."
            )
        return
    if job.state is JobState.REQUESTED:
        raise Refused(f"Job {job.id} is still being priced; its card will ask when a lead is needed.")
    if job.decided_by and job.decided_at:
        verb = "denied" if job.state is JobState.DENIED else "approved"
        text = f"{job.decided_by} {verb} job {job.id} at {job.decided_at:%H:%M} UTC."
        raise TooLate(text, by=job.decided_by, at=job.decided_at)
    if job.needs_lead:
        raise over(job)
    raise TooLate(f"Job {job.id} needed nobody's approval.")


def _is_due(job: Job, at: datetime, lifetime: timedelta) -> bool:
    return job.asked_at is not None and at - job.asked_at >= lifetime


def _spec(job: Job) -> JobSpec:
    return records.parse(JobSpec, job.spec or {})


def _shorten(tx: Session, job: Job, minutes: float, at: datetime, traits: Mapping[str, Traits]) -> None:
    """Cut the row to fewer minutes, and its hold with it."""
    spec = _spec(job)
    if not 0 < minutes < spec.minutes:
        asked = policy.duration(spec.minutes)
        raise BadRequest(f"`{policy.duration(minutes)}` is not shorter than the {asked} that were asked for.")
    shorter = dataclasses.replace(spec, minutes=minutes)
    known = [traits[name] for name in spec.providers if name in traits]
    if not known or job.rate_ceiling is None:
        raise Refused(f"No provider of job {job.id} is configured any more. Ask for it again with `/train rerun`.")
    hold = min(job.hold, policy.hold_of(shorter, ceiling=job.rate_ceiling, traits=known))
    if _holds(tx, job):
        ledger.shrink_hold(tx, job=job, micros=job.hold - hold, key=f"{job.id}:shorter", at=at)
    db.touch(tx, job, at, spec=records.dump(shorter), hold=hold)


def _cover(tx: Session, job: Job, team: Team, by: Person, at: datetime) -> Micros:
    """Hold what is not held yet, with a grant for what the month does not have; return what was granted."""
    if _holds(tx, job):
        return 0
    period = db.period_of(tx, team, at)
    lacking = max(0, job.hold - (period.cap + period.granted - period.held - period.spent)) if job.hold else 0
    if lacking:
        ledger.grant(
            tx,
            job_id=job.id,
            person=job.person,
            period=period,
            micros=lacking,
            by=by.id,
            key=f"{job.id}:grant",
            at=at,
        )
    if not ledger.open_hold(
        tx, job_id=job.id, person=job.person, period=period, micros=job.hold, key=f"{job.id}:hold:1", at=at
    ):
        raise OverBudget("The budget moved while you pressed. Press Approve again.")
    db.touch(tx, job, at, period_id=period.id)
    return lacking


def _holds(tx: Session, job: Job) -> bool:
    return any(entry.kind is EntryKind.HOLD for entry in ledger.entries(tx, job.id))
