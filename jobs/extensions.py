"""More time for a machine that runs: the hold grows first, the deadline moves last.

`begin` and `finish` are two transactions with the provider's own limit, the tag and the control file moved in
between. Whatever fails leaves the old deadline, which is the one that is enforced; a hold that grew for nothing is
given back at once, or with the rest when the job is settled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from jobs import db, ledger, policy, records
from jobs.approvals import FROZEN
from jobs.errors import BadRequest, Frozen, NotAllowed, OverBudget, Refused, TooLate
from jobs.lifecycle import TERMINAL, AttemptState, JobState
from jobs.model import Job, NoteKind, Team
from jobs.policy import Person, Why
from jobs.providers import Traits
from jobs.values import JobSpec, Micros
from jobs.withdrawal import over


@dataclass(frozen=True, kw_only=True)
class Extension:
    """An extension whose money is held and whose deadline has not moved yet."""

    job_id: str
    key: str  # of the hold that was added
    by: str
    minutes: float  # more of them
    added: Micros
    old: datetime
    new: datetime


def begin(
    tx: Session, job_id: str, by: Person, minutes: float, *, at: datetime, traits: Mapping[str, Traits]
) -> Extension:
    """Hold what `minutes` more may cost.

    Raises `BadRequest`, `TooLate`, `NotAllowed` (a lead has to press), `OverBudget`, `Frozen`, or `Refused` with what
    to do instead.
    """
    job = db.get_job(tx, job_id)
    deadline = _deadline(job)
    if not minutes > 0:
        raise BadRequest(f"`{policy.duration(minutes)}` is no extension. Try `/train extend {job.id} 1h`.")
    if not by.lead and by.id not in (job.person, *job.notify):
        raise NotAllowed(f"Job {job.id} is {job.person}'s: only they, the people it notifies and leads may extend it.")
    team = db.get_team(tx, job.team_id)
    spec = records.parse(JobSpec, job.spec or {})
    longer = dataclasses.replace(spec, minutes=spec.minutes + minutes)
    known = _extendable(tx, job, spec, traits)
    hold = policy.hold_of(dataclasses.replace(longer, max_cost=None), ceiling=job.rate_ceiling or 0, traits=known)
    added = max(0, hold - job.hold)
    weak = any(map(policy.is_weak, known))
    _must_be_allowed(tx, job, team, by, longer, hold=hold, added=added, weak=weak)
    key = f"{job.id}:extend:{job.version}"
    if not ledger.grow_hold(tx, job=job, micros=added, key=key, at=at, must_fit=True):
        raise OverBudget(
            f"{policy.duration(minutes)} more would hold {policy.dollars(added)}, and the budget has not that much "
            "free. A lead raises it with `/budget cap`."
        )
    new = deadline + timedelta(minutes=minutes)
    return Extension(job_id=job.id, key=key, by=by.id, minutes=minutes, added=added, old=deadline, new=new)


def finish(tx: Session, extension: Extension, *, at: datetime) -> Job:
    """Move the deadline; raises `TooLate` where the job is ending by now or its deadline is another one."""
    job = db.get_job(tx, extension.job_id)
    if _deadline(job) != extension.old:
        raise TooLate(f"The deadline of job {job.id} moved meanwhile. Look at its card before you extend it again.")
    spec = records.parse(JobSpec, job.spec or {})
    longer = records.dump(dataclasses.replace(spec, minutes=spec.minutes + extension.minutes))
    db.touch(tx, job, at, deadline=extension.new, spec=longer, warned=False)
    data = {"deadline": extension.new.timestamp(), "minutes": extension.minutes, "hold": job.hold}
    db.note_on(tx, job, NoteKind.EXTENDED, at, by=extension.by, data=data, key=f"{extension.key}:done")
    return job


def undo(tx: Session, extension: Extension, *, at: datetime) -> bool:
    """Give back the hold of an extension that came to nothing; False where that is done, or the job is settled."""
    job = db.get_job(tx, extension.job_id)
    if job.state in TERMINAL:
        return False  # settling gave it back with the rest
    return ledger.shrink_hold(tx, job=job, micros=extension.added, key=f"{extension.key}:undo", at=at)


def _deadline(job: Job) -> datetime:
    """Return the deadline that may be moved; raises `TooLate` or `Refused` where there is none."""
    if job.state in TERMINAL or job.state is JobState.STOPPING:
        raise over(job)
    if job.deadline is None or job.state not in (JobState.PROVISIONING, JobState.RUNNING):
        raise Refused(f"Job {job.id} has no machine yet. Stop it, and ask again with more hours.")
    return job.deadline


def _extendable(tx: Session, job: Job, spec: JobSpec, traits: Mapping[str, Traits]) -> list[Traits]:
    """Return the providers that the job may run on; raises `Refused` where its machine's deadline is fixed."""
    over_now = (AttemptState.GONE, AttemptState.NEVER)
    standing = [attempt.provider for attempt in db.attempts(tx, job.id) if attempt.state not in over_now]
    if not all(name in traits and traits[name].extendable for name in standing):
        raise Refused(
            f"The deadline of job {job.id}'s machine is fixed. Press *Continue from checkpoint*: a new machine goes on "
            "from the last checkpoint."
        )
    known = [traits[name] for name in spec.providers if name in traits]
    if not known:
        raise Refused(f"No provider of job {job.id} is configured any more, so it cannot be extended.")
    return known


def _must_be_allowed(
    tx: Session, job: Job, team: Team, by: Person, longer: JobSpec, *, hold: Micros, added: Micros, weak: bool
) -> None:
    """Apply the rules of a new rental to the whole of the longer one."""
    if team.frozen:
        raise Frozen(FROZEN)
    if longer.minutes > team.longest_minutes:
        longest = policy.duration(team.longest_minutes)
        raise Refused(f"That makes {policy.duration(longer.minutes)}; the longest job of this team is {longest}.")
    if longer.max_cost is not None and hold > longer.max_cost:
        most = policy.dollars(longer.max_cost)
        raise Refused(f"That could cost {policy.dollars(hold)}, and the job was started with max_cost={most}.")
    if policy.may_approve(by, job) is None:
        return
    used = ledger.used_by(tx, ledger.month_of_hold(tx, job), job.person)
    if hold >= team.auto_approve:
        limit = policy.dollars(team.auto_approve)
        raise NotAllowed(f"With that it holds {policy.dollars(hold)}; from {limit} on a lead has to press Extend.")
    if weak:
        raise NotAllowed("Nobody but us ends that machine, so a lead has to press Extend.")
    if Why.SHARE in policy.asks(team, hold=added, free=added, used=used):
        raise NotAllowed(
            f"With that {job.person} is over {team.share_percent} % of the month: a lead has to extend it."
        )
