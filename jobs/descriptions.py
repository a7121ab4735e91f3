"""What a team says of a job's lines while it runs: as `progress:` in its task file, and holds from its first line on.

It stands in the job's spec, so that its machines and those of later attempts read so, and in its request, so that a
rerun does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from jobs import db, records, withdrawal
from jobs.errors import BadRequest, NotAllowed
from jobs.lifecycle import TERMINAL, JobState
from jobs.model import Job
from jobs.policy import Person
from jobs.taskfile import MOST_TEMPLATES
from jobs.values import JobSpec, Request
from trainer import templates


def read(lines: Sequence[str]) -> tuple[str, ...]:
    """Return descriptions in their plain form; raises `BadRequest`."""
    found = dict.fromkeys(filter(None, (line.strip() for line in lines)))
    if len(found) > MOST_TEMPLATES:
        raise BadRequest(f"{len(found)} lines are described; {MOST_TEMPLATES} are read.")
    try:
        return tuple(templates.parse(line).text for line in found)
    except ValueError as error:
        raise BadRequest(f"{str(error)[0].upper()}{str(error)[1:]}.") from error


def check(job: Job, by: Person) -> None:
    """Raise `TooLate` or `NotAllowed`: the requester may, the people whom the job notifies, and leads."""
    if job.state in TERMINAL or job.state is JobState.STOPPING:
        raise withdrawal.over(job)
    if not by.lead and by.id not in (job.person, *job.notify):
        raise NotAllowed(
            f"Job {job.id} is {job.person}'s: only they, the people it notifies and leads may say what its lines mean."
        )


def describe(tx: Session, job_id: str, by: Person, lines: Sequence[str], at: datetime) -> Job:
    """Let a job's lines be read so; raises `BadRequest`, and what `check` does."""
    job = db.get_job(tx, job_id)
    check(job, by)
    progress = read(lines)
    request = records.parse(Request, job.request)
    again = dataclasses.replace(request, overrides={**request.overrides, "progress": list(progress)})
    columns = {"request": records.dump(again)}
    if job.spec:
        spec = dataclasses.replace(records.parse(JobSpec, job.spec), progress=progress, described=True)
        columns["spec"] = records.dump(spec)
    return db.touch(tx, job, at, **columns)
