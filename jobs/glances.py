"""A glance at all jobs or machines at once, to see which of them need a hand.

One statement for thousands of rows, and of each row only the columns that decide it: a column that was left out
raises when it is asked for. Whatever is then done to a row is decided anew on the whole row, read in its turn, so a
glance that has grown old misses at most what the next pass sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, exists, or_, select
from sqlmodel import Session

from jobs.endings import LIVE
from jobs.lifecycle import WITH_MACHINE, AttemptState
from jobs.model import Attempt, Job
from jobs.prepared import Pair, Query, Rows, table_of

_JOB, _ATTEMPT = table_of(Job), table_of(Attempt)
_SEEN_JOBS = Rows(
    Job,
    (
        "state", "attempt", "deadline", "spec", "outcome", "stop_reason", "short_at", "first_left_at", "stopping_at",
        "warned",
    ),
)  # fmt: skip
_SEEN = Rows(
    Attempt,
    (
        "job_id", "number", "rank", "launch_key", "state", "provider", "deadline", "instance_id", "launched_at",
        "absent_at", "cursor", "unsecured_since", "outcome",
    ),
)  # fmt: skip
_SPEAKING = Rows(Attempt, ("job_id", "number", "rank", "cursor"))
_WHOLE = Rows(Attempt)
_BOTH = Pair(_SEEN, _SEEN_JOBS)
_OF_JOB = _JOB.c.id == _ATTEMPT.c.job_id

_JOBS = Query(
    select(*_SEEN_JOBS.columns).where(_JOB.c.state.in_(WITH_MACHINE)).order_by(_JOB.c.created_at, _JOB.c.id),
    _SEEN_JOBS,
)
_MACHINES = Query(
    select(*_BOTH.columns)
    .select_from(_ATTEMPT.join(_JOB, _OF_JOB))
    .where(_ATTEMPT.c.state.in_(LIVE))
    .order_by(_ATTEMPT.c.id),
    _BOTH,
)
_BARE = Query(
    select(_JOB.c.id)
    .where(_JOB.c.state.in_(WITH_MACHINE), ~exists().where(_OF_JOB, _ATTEMPT.c.state.in_(LIVE)))
    .order_by(_JOB.c.created_at, _JOB.c.id)
)
_LATE = Query(
    select(*_WHOLE.columns)
    .where(_ATTEMPT.c.state.in_(LIVE), _ATTEMPT.c.deadline < bindparam("now"))
    .order_by(_ATTEMPT.c.id),
    _WHOLE,
)
_SPEAKERS = Query(
    select(*_SPEAKING.columns)
    # Whoever has not spoken yet is not heard before its end is sure: nothing runs that nobody would end.
    .where(
        or_(
            _ATTEMPT.c.state.in_((AttemptState.UP, AttemptState.ENDING)),
            and_(_ATTEMPT.c.state == AttemptState.LAUNCHED, _ATTEMPT.c.unsecured_since.is_(None)),
        )
    )
    .order_by(_ATTEMPT.c.id),
    _SPEAKING,
)
_STATES = Query(
    select(_ATTEMPT.c.launch_key, _ATTEMPT.c.state).where(_ATTEMPT.c.launch_key.in_(bindparam("keys", expanding=True))),
    many="keys",
)


_ENTIRE = Pair(_WHOLE, Rows(Job))
_WITH_JOBS = Query(
    select(*_ENTIRE.columns)
    .select_from(_ATTEMPT.join(_JOB, _OF_JOB))
    .where(_ATTEMPT.c.id.in_(bindparam("ids", expanding=True))),
    _ENTIRE,
    many="ids",
)


def jobs_with_machine(tx: Session) -> list[Job]:
    """Return the jobs that have or get a machine, oldest first."""
    return _JOBS.all(tx)


def machines(tx: Session) -> list[tuple[Attempt, Job]]:
    """Return every machine that may stand, each with its job, oldest first."""
    return _MACHINES.all(tx)


def jobs_without_machine(tx: Session) -> list[str]:
    """Return the jobs of which every machine is gone and that have not been moved on, oldest first."""
    return [str(job_id) for (job_id,) in _BARE.all(tx)]


def speakers(tx: Session) -> list[Attempt]:
    """Return the machines that may have written something, oldest first: their names and cursors."""
    return _SPEAKERS.all(tx)


def with_jobs(tx: Session, ids: Sequence[int]) -> dict[int, tuple[Attempt, Job]]:
    """Return attempts and their jobs by the attempts' ids, as rows of this transaction."""
    return {attempt.id or 0: (attempt, job) for attempt, job in _WITH_JOBS.all(tx, ids=ids)} if ids else {}


def late_machines(tx: Session, now: datetime) -> list[Attempt]:
    """Return the machines that may stand past their deadline, whole rows, oldest first."""
    return _LATE.all(tx, now=now)


def states_by_key(tx: Session, keys: list[str]) -> Mapping[str, AttemptState]:
    """Return the states of the attempts that have one of these launch keys."""
    return {key: state for key, state in _STATES.all(tx, keys=keys)} if keys else {}  # noqa: C416  tuples of two
