"""Transactions and guarded updates: the only way in which a row changes.

A row that many may change is changed by `UPDATE … WHERE` the state and version that the decision was made on;
whoever comes second changes nothing and is told so. Rows handed out stay readable after their transaction; what
was decided on them is checked again by the guard. After a transaction that was rolled back, read the row again.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session, SQLModel, col, select, update

from jobs import engine as engines
from jobs import statements
from jobs.errors import NotFound, NotWritten, TooLate
from jobs.lifecycle import (
    TERMINAL,
    AttemptEventName,
    AttemptState,
    JobEventName,
    JobState,
    next_attempt_state,
    next_job_state,
)
from jobs.model import Attempt, Checkpoint, Job, MetricPoint, Note, NoteKind, Period, Seen, Team
from jobs.turns import Turns
from trainer.masking import Mask

_STAMPS = {
    AttemptEventName.LAUNCHED: "launched_at",
    AttemptEventName.UP: "up_at",
    AttemptEventName.END: "end_asked_at",
    AttemptEventName.GONE: "gone_at",
}


# Columns with the words of providers, machines and repositories, which may say more than they should.
_FOREIGN = frozenset({"data", "error", "gpu_seen", "note", "outcome", "stage_note"})
_MASK = "mask"  # of a session's `info`

Row = TypeVar("Row", Job, Attempt)


class Database:
    """One database, opened by `Database.open`; `write` and `read` are its only doors. Safe between threads."""

    def __init__(self, engine: Engine, *, mask: Mask | None = None) -> None:
        """Take `engine`; `mask` goes over the words of others before they are written."""
        self.engine = engine
        self._info = {_MASK: mask} if mask else {}
        # SQLite lets one writer in and makes the others poll; our threads queue here instead.
        self._turn = Turns() if engine.dialect.name == "sqlite" else None
        self._alone = engines.in_memory(engine.url)  # one connection: readers take turns too
        self._inside = threading.local()

    @classmethod
    def open(cls, url: str, *, migrate: bool = True, mask: Mask | None = None) -> Database:
        """Open the database and bring its schema up to date; raises `Misconfigured`. `sqlite://` is in memory."""
        engine = engines.connect(url)
        if migrate:
            engines.upgrade(engine)
        return cls(engine, mask=mask)

    @contextmanager
    def write(self, patience: float = engines.DEFAULT_PATIENCE) -> Iterator[Session]:
        """Open one transaction: committed at the end of the block, rolled back when it raises.

        Waits `patience` seconds for its turn among our threads, before all that have more of it, then as long for
        another process. Raises `NotWritten` when it does not come, or the database fails; nothing was changed then.
        """
        with self._entered(self._turn, patience):
            try:
                with engines.transaction(self.engine, patience=patience) as connection, self._session(connection) as tx:
                    yield tx
                    tx.flush()
            except OperationalError as error:
                raise NotWritten(f"Nothing was written ({error.orig}). Try again in a moment.") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open one consistent look at the rows; that something was written raises at the end of the block."""
        turn = self._turn if self._alone else None
        with self._entered(turn), engines.transaction(self.engine, reads=True) as connection:
            tx = self._session(connection, autoflush=False)
            try:
                yield tx
            finally:
                if tx.in_transaction():  # otherwise it was never used but for its connection
                    tx.close()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()

    def _session(self, connection: Connection, *, autoflush: bool = True) -> Session:
        """Return a session over a transaction that somebody else commits."""
        return Session(
            connection,
            autoflush=autoflush,
            expire_on_commit=False,
            join_transaction_mode="rollback_only",
            info=self._info,
        )

    @contextmanager
    def _entered(self, turn: Turns | None, patience: float | None = None) -> Iterator[None]:
        if getattr(self._inside, "busy", False):
            # It would wait for its own outer transaction, or read what that one is about to change.
            raise RuntimeError("A transaction was opened inside another one of the same thread.")
        if turn and not turn.acquire(patience):
            raise NotWritten("Nothing was written: too much else is being written. Try again in a moment.")
        self._inside.busy = True
        try:
            yield
        finally:
            self._inside.busy = False
            if turn:
                turn.release()


# ---------------------------------------------------------------- guarded updates


def move(tx: Session, job: Job, event: JobEventName, at: datetime, **columns: Any) -> Job:
    """Apply `event` to the job and set `columns` with it; the row given is brought up to date and returned.

    Raises `IllegalEvent` where the life cycle has no arrow, `TooLate` when the row is no longer as it was read.
    Stamps `finished_at` with a terminal state and `started_at` with the first RUN, unless they are given.
    """
    state = next_job_state(job.state, event)
    if state in TERMINAL:
        columns.setdefault("finished_at", at)
    if event is JobEventName.RUN and job.started_at is None:
        columns.setdefault("started_at", at)
    changes = {"state": state, "version": job.version + 1, **_masked(tx, columns)}
    if statements.changed(tx, Job, _as_read(job), changes) != 1:
        raise _overtaken(tx, job)
    return _now_is(tx, job, changes)


def touch(tx: Session, job: Job, at: datetime, **columns: Any) -> Job:
    """Set `columns` on a job that is still in the state it was read in; its version grows, whatever that was.

    Raises `TooLate` when the state changed. `at` is when the change was seen, for the reader of a trace.
    """
    changes = {**_masked(tx, columns), "version": job.version + 1}
    if statements.changed(tx, Job, _as_read(job), changes) != 1:
        changes["version"] = _touched_anyway(tx, job, changes)
    return _now_is(tx, job, changes)


def _as_read(job: Job) -> dict[str, Any]:
    return {"id": job.id, "state": job.state, "version": job.version}


def _touched_anyway(tx: Session, job: Job, changes: Mapping[str, Any]) -> int:
    """Change a job that others touched since it was read; return its version."""
    guard = (col(Job.id) == job.id, col(Job.state) == job.state)
    if tx.exec(update(Job).where(*guard).values({**changes, "version": Job.version + 1})).rowcount != 1:
        raise _overtaken(tx, job)
    return tx.exec(select(Job.version).where(Job.id == job.id)).one()


def move_attempt(tx: Session, attempt: Attempt, event: AttemptEventName, at: datetime, **columns: Any) -> Attempt:
    """Apply `event` to the attempt and set `columns` with it; stamps the event's own time unless it is given.

    Raises `IllegalEvent` where the life cycle has no arrow, `TooLate` when its state is no longer as it was read.
    """
    state = next_attempt_state(attempt.state, event)
    if event in _STAMPS:
        columns.setdefault(_STAMPS[event], at)
    return touch_attempt(tx, attempt, at, state=state, **columns)


def touch_attempt(tx: Session, attempt: Attempt, at: datetime, **columns: Any) -> Attempt:
    """Set `columns` on an attempt that is still in the state it was read in; raises `TooLate` otherwise."""
    columns = _masked(tx, columns)
    if statements.changed(tx, Attempt, {"id": attempt.id, "state": attempt.state}, columns) != 1:
        raise TooLate(f"Attempt {attempt.number} of {attempt.job_id} was changed by another hand.", at=at)
    return _now_is(tx, attempt, columns)


def _now_is(tx: Session, row: Row, columns: Mapping[str, Any]) -> Row:
    """Bring the row given up to date, and the transaction's own where that is another object."""
    key = inspect(row).key
    own = None if key is None else tx.identity_map.get(key)
    for each in {id(one): one for one in (row, own) if one is not None}.values():
        for name, value in columns.items():
            set_committed_value(each, name, value)
    return row


def _masked(tx: Session, columns: Mapping[str, Any]) -> dict[str, Any]:
    mask: Mask | None = tx.info.get(_MASK)
    if mask is None:
        return dict(columns)
    return {name: mask.deep(value) if name in _FOREIGN else value for name, value in columns.items()}


def _overtaken(tx: Session, job: Job) -> TooLate:
    row = find_job(tx, job.id)
    found = row.state.value.replace("_", " ") if row else "gone"
    return TooLate(f"Job {job.id} is {found} by now; look at it again before you decide.")


# ---------------------------------------------------------------- written once


def insert_once(tx: Session, table: type[SQLModel], values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same key stands; return whether it was inserted."""
    return statements.inserted_once(tx, table, _masked(tx, values))


def note(
    tx: Session,
    *,
    key: str,
    kind: NoteKind,
    at: datetime,
    team_id: str,
    job_id: str | None = None,
    by: str = "",
    data: Mapping[str, Any] | None = None,
) -> bool:
    """Write a fact down once; return False where its key was written before."""
    values = {"key": key, "kind": kind.value, "at": at, "team_id": team_id, "job_id": job_id, "by": by}
    return insert_once(tx, Note, {**values, "data": dict(data or {})})


def note_on(
    tx: Session,
    job: Job,
    kind: NoteKind,
    at: datetime,
    *,
    by: str = "",
    data: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> bool:
    """Write a fact about a job down once; without `key`, a job has one fact of a kind."""
    key = key or f"{job.id}:{kind.value}"
    return note(tx, key=key, kind=kind, at=at, team_id=job.team_id, job_id=job.id, by=by, data=data)


def seen(tx: Session, key: str, at: datetime) -> bool:
    """Return True for a delivery that comes for the first time, and remember it."""
    return insert_once(tx, Seen, {"key": key, "at": at})


# ---------------------------------------------------------------- look-ups


def find_job(tx: Session, job_id: str) -> Job | None:
    """Return the job as the database has it now, None where there is none."""
    return statements.JOB.first(tx, id=job_id)


def get_job(tx: Session, job_id: str) -> Job:
    """Return the job; raises `NotFound`, which names the nearest id."""
    job = find_job(tx, job_id)
    if job is None:
        recent = tx.exec(select(Job.id).order_by(col(Job.created_at).desc()).limit(500)).all()
        near = difflib.get_close_matches(job_id, recent, n=1, cutoff=0.5)
        hint = f"Did you mean `{near[0]}`?" if near else "`/train list` shows the jobs of this channel."
        raise NotFound(f"There is no job `{job_id}`. {hint}")
    return job


def jobs_in(tx: Session, *states: JobState) -> list[Job]:
    """Return the jobs in these states, oldest first."""
    return statements.JOBS_IN.all(tx, states=states)


def jobs_of_team(tx: Session, team_id: str, limit: int = 20, *, person: str = "") -> list[Job]:
    """Return a team's newest jobs, newest first; of one person where one is named."""
    wanted = select(Job).where(Job.team_id == team_id)
    if person:
        wanted = wanted.where(Job.person == person)
    return list(tx.exec(wanted.order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)))


def find_job_by_thread(tx: Session, channel: str, thread_ts: str) -> Job | None:
    """Return the job whose thread this is."""
    return tx.exec(select(Job).where(Job.channel == channel, Job.thread_ts == thread_ts)).first()


def attempts(tx: Session, job_id: str) -> list[Attempt]:
    """Return a job's attempts in their order, ranks within."""
    return statements.ATTEMPTS_OF_JOB.all(tx, job_id=job_id)


def attempt_as_is(tx: Session, attempt: Attempt) -> Attempt:
    """Return the row of an attempt that was read before, as the database has it now."""
    return statements.ATTEMPT.one(tx, id=attempt.id)


def live_attempts(tx: Session) -> list[Attempt]:
    """Return every attempt whose machine may stand, oldest first."""
    over = (AttemptState.GONE, AttemptState.NEVER)
    return list(tx.exec(select(Attempt).where(col(Attempt.state).not_in(over)).order_by(col(Attempt.id))))


def metrics(tx: Session, job_id: str) -> dict[str, list[MetricPoint]]:
    """Return a job's curves by series, each in the order of steps, a later attempt after an earlier one."""
    curves: dict[str, list[MetricPoint]] = {}
    wanted = select(MetricPoint).where(MetricPoint.job_id == job_id)
    for point in tx.exec(wanted.order_by(col(MetricPoint.step), col(MetricPoint.attempt))):
        curves.setdefault(point.series, []).append(point)
    return curves


def checkpoints(tx: Session, job_id: str) -> list[Checkpoint]:
    """Return a job's whole checkpoints, oldest first."""
    return statements.CHECKPOINTS_OF_JOB.all(tx, job_id=job_id)


def notes(tx: Session, job_id: str) -> list[Note]:
    """Return what was written down about a job, oldest first."""
    return list(tx.exec(select(Note).where(Note.job_id == job_id).order_by(col(Note.id))))


def resumed(tx: Session, job_id: str, attempt: int) -> Mapping[str, Any] | None:
    """Return the checkpoint that an attempt's command went on from, as its agent told it: name, step."""
    data = tx.exec(select(Note.data).where(Note.key == f"{job_id}:a{attempt}:resumed")).one_or_none()
    return None if data is None else data.get("resumed")


def notes_after(tx: Session, note_id: int, limit: int) -> list[Note]:
    """Return the notes of every team written after `note_id`, oldest first."""
    return statements.NOTES_AFTER.all(tx, after=note_id, most=limit)


def mark(tx: Session, name: str) -> str | None:
    """Return the value of a named position, None where it was never set."""
    found = statements.MARK.first(tx, name=name)
    return str(found[0]) if found else None


def set_mark(tx: Session, name: str, value: str, at: datetime) -> None:
    """Set a named position."""
    statements.set_mark(tx, {"name": name, "value": value, "at": at})


# ---------------------------------------------------------------- teams and months


def get_team(tx: Session, team_id: str) -> Team:
    """Return the team as the database has it now; raises `NotFound`."""
    team = statements.TEAM.first(tx, id=team_id)
    if team is None:
        raise NotFound(f"There is no team `{team_id}`. `hourglass team list` shows them.")
    return team


def team_of_channel(tx: Session, channel: str, default: str) -> Team:
    """Return the team that a channel spends for, `default` where it is not mapped; raises `NotFound`."""
    team = statements.TEAM_OF_CHANNEL.first(tx, channel=channel, default=default)
    return team or get_team(tx, default)  # which says that there is none


def ensure_team(tx: Session, team_id: str, *, name: str, zone: str, at: datetime) -> Team:
    """Return the team, created with the default limits and without a budget where it does not exist."""
    team = statements.TEAM.first(tx, id=team_id)
    if team is None:
        team = Team(id=team_id, name=name, zone=zone, created_at=at)
        tx.add(team)
        tx.flush()
    return team


def month_of(zone: str, at: datetime) -> str:
    """Return the month in which `at` falls on that zone's calendar: `2026-11`."""
    return at.astimezone(UTC if zone == "UTC" else ZoneInfo(zone)).strftime("%Y-%m")


def find_period(tx: Session, team: Team, at: datetime) -> Period | None:
    """Return a team's month, None where nothing was written about it yet."""
    return statements.PERIOD.first(tx, team_id=team.id, month=month_of(team.zone, at))


def find_period_by_id(tx: Session, period_id: int) -> Period | None:
    """Return a month as the database has it now."""
    return statements.PERIOD_BY_ID.first(tx, id=period_id)


def period_of(tx: Session, team: Team, at: datetime) -> Period:
    """Return a team's month, created with the team's cap; needs a transaction that writes."""
    period = find_period(tx, team, at)
    if period is None:
        period = Period(team_id=team.id, month=month_of(team.zone, at), cap=team.cap or 0)
        tx.add(period)
        tx.flush()
    return period
