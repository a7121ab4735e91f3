"""A glance at all jobs or machines at once, to see which of them need a hand.

One statement for thousands of rows, and of each row only the columns that decide it: a column that was left out
raises when it is asked for. Whatever is then done to a row is decided anew on the whole row, read in its turn, so a
glance that has grown old misses at most what the next pass sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy
from sqlalchemy.orm import QueryableAttribute, defer, load_only
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import Session, col, select

from jobs.endings import LIVE
from jobs.lifecycle import WITH_MACHINE, AttemptState
from jobs.model import Attempt, Job

_JOB = (Job.state, Job.attempt, Job.deadline, Job.spec, Job.outcome, Job.stop_reason, Job.stopping_at, Job.warned)
_ATTEMPT = (
    Attempt.job_id, Attempt.number, Attempt.rank, Attempt.launch_key, Attempt.state, Attempt.provider,
    Attempt.deadline, Attempt.instance_id, Attempt.launched_at, Attempt.absent_at, Attempt.cursor,
)  # fmt: skip


def only(*columns: object) -> ExecutableOption:
    """Return the option that reads these columns of a row alone; another one raises when it is asked for."""
    return load_only(*map(_column, columns), raiseload=True)


def _column(column: object) -> QueryableAttribute[Any]:
    return cast("QueryableAttribute[Any]", column)  # what SQLModel makes of a field that is declared as its value


_JOBS = (
    select(Job).where(col(Job.state).in_(WITH_MACHINE)).order_by(col(Job.created_at), col(Job.id)).options(only(*_JOB))
)
_MACHINES = (
    select(Attempt, Job)
    .join(Job, col(Job.id) == col(Attempt.job_id))
    .where(col(Attempt.state).in_(LIVE))
    .order_by(col(Attempt.id))
    .options(only(*_ATTEMPT), only(*_JOB))
)
_BARE = (
    select(Job.id)
    .where(
        col(Job.state).in_(WITH_MACHINE),
        ~sqlalchemy.exists().where(col(Attempt.job_id) == col(Job.id), col(Attempt.state).in_(LIVE)),
    )
    .order_by(col(Job.created_at), col(Job.id))
)
_LATE = (
    select(Attempt)
    .where(col(Attempt.state).in_(LIVE), col(Attempt.deadline) < sqlalchemy.bindparam("now"))
    .order_by(col(Attempt.id))
)

_SPEAKERS = (
    select(Attempt)
    .where(col(Attempt.state).in_((AttemptState.LAUNCHED, AttemptState.UP, AttemptState.ENDING)))
    .order_by(col(Attempt.id))
    .options(only(Attempt.job_id, Attempt.number, Attempt.rank, Attempt.cursor))
)
# Whole rows but for what is large and seldom asked for, which is read when it is.
_WITH_JOBS = (
    select(Attempt, Job)
    .join(Job, col(Job.id) == col(Attempt.job_id))
    .where(col(Attempt.id).in_(sqlalchemy.bindparam("ids", expanding=True)))
    .options(*(defer(column) for column in map(_column, (Job.request, Job.source, Job.spec, Job.offer, Attempt.offer))))
)


def jobs_with_machine(tx: Session) -> list[Job]:
    """Return the jobs that have or get a machine, oldest first."""
    return list(tx.exec(_JOBS))


def machines(tx: Session) -> list[tuple[Attempt, Job]]:
    """Return every machine that may stand, each with its job, oldest first."""
    return [(attempt, job) for attempt, job in tx.exec(_MACHINES)]


def jobs_without_machine(tx: Session) -> list[str]:
    """Return the jobs of which every machine is gone and that have not been moved on, oldest first."""
    return list(tx.exec(_BARE))


def speakers(tx: Session) -> list[Attempt]:
    """Return the machines that may have written something, oldest first: their names and cursors."""
    return list(tx.exec(_SPEAKERS))


def with_jobs(tx: Session, ids: Sequence[int]) -> dict[int, tuple[Attempt, Job]]:
    """Return attempts and their jobs by the attempts' ids, as rows of this transaction."""
    found = tx.exec(_WITH_JOBS, params={"ids": list(ids)})
    return {attempt.id or 0: (attempt, job) for attempt, job in found}


def late_machines(tx: Session, now: datetime) -> list[Attempt]:
    """Return the machines that may stand past their deadline, whole rows, oldest first."""
    return list(tx.exec(_LATE, params={"now": now}))


def states_by_key(tx: Session, keys: list[str]) -> Mapping[str, AttemptState]:
    """Return the states of the attempts that have one of these launch keys."""
    found = sqlalchemy.select(col(Attempt.launch_key), col(Attempt.state)).where(col(Attempt.launch_key).in_(keys))
    return {row.launch_key: row.state for row in tx.connection().execute(found)}
