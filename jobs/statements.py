"""Statements that every pass and every command needs, built once: building one takes longer than running it.

What a guard compares is bound under the column's name with `was_` before it, so that an update's new values keep
the columns' own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlmodel import Session, SQLModel

from jobs.errors import TooLate
from jobs.model import Attempt, Channel, Checkpoint, Job, Mark, Note, Period, Team
from jobs.prepared import Command, Query, Rows, table_of

_JOB, _ATTEMPT, _TEAM, _PERIOD = table_of(Job), table_of(Attempt), table_of(Team), table_of(Period)
_CHANNEL, _CHECKPOINT, _NOTE, _MARK = table_of(Channel), table_of(Checkpoint), table_of(Note), table_of(Mark)
JOBS, ATTEMPTS, TEAMS, PERIODS, NOTES = Rows(Job), Rows(Attempt), Rows(Team), Rows(Period), Rows(Note)
CHECKPOINTS = Rows(Checkpoint)

JOB = Query(select(*JOBS.columns).where(_JOB.c.id == bindparam("id")), JOBS)
JOBS_IN = Query(
    select(*JOBS.columns)
    .where(_JOB.c.state.in_(bindparam("states", expanding=True)))
    .order_by(_JOB.c.created_at, _JOB.c.id),
    JOBS,
    many="states",
)
ATTEMPT = Query(select(*ATTEMPTS.columns).where(_ATTEMPT.c.id == bindparam("id")), ATTEMPTS)
ATTEMPTS_OF_JOB = Query(
    select(*ATTEMPTS.columns)
    .where(_ATTEMPT.c.job_id == bindparam("job_id"))
    .order_by(_ATTEMPT.c.number, _ATTEMPT.c.rank),
    ATTEMPTS,
)
CHECKPOINTS_OF_JOB = Query(
    select(*CHECKPOINTS.columns)
    .where(_CHECKPOINT.c.job_id == bindparam("job_id"))
    .order_by(_CHECKPOINT.c.attempt, _CHECKPOINT.c.at, _CHECKPOINT.c.id),
    CHECKPOINTS,
)
NOTES_AFTER = Query(
    select(*NOTES.columns).where(_NOTE.c.id > bindparam("after")).order_by(_NOTE.c.id).limit(bindparam("most")), NOTES
)
TEAM = Query(select(*TEAMS.columns).where(_TEAM.c.id == bindparam("id")), TEAMS)
_MAPPED = select(_CHANNEL.c.team_id).where(_CHANNEL.c.id == bindparam("channel")).scalar_subquery()
TEAM_OF_CHANNEL = Query(select(*TEAMS.columns).where(_TEAM.c.id == func.coalesce(_MAPPED, bindparam("default"))), TEAMS)
PERIOD = Query(
    select(*PERIODS.columns).where(_PERIOD.c.team_id == bindparam("team_id"), _PERIOD.c.month == bindparam("month")),
    PERIODS,
)
PERIOD_BY_ID = Query(select(*PERIODS.columns).where(_PERIOD.c.id == bindparam("id")), PERIODS)
MARK = Query(select(_MARK.c.value).where(_MARK.c.name == bindparam("name")))


def changed(tx: Session, model: type[SQLModel], was: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """Set `values` where the columns are as they were; return how many rows that changed.

    The session's own objects do not hear of it.
    """
    guard = {f"was_{name}": value for name, value in was.items()}
    return _guarded(model, tuple(was), tuple(values)).run(tx, {**values, **guard})


def move_cursors(tx: Session, cursors: Mapping[int, int]) -> None:
    """Set attempts' cursors by their ids, each from the number before; raises `TooLate`, and none may be kept then."""
    if not cursors:
        return
    rows = [{"was_id": each, "was_cursor": cursor - 1, "cursor": cursor} for each, cursor in cursors.items()]
    if _guarded(Attempt, ("id", "cursor"), ("cursor",)).run(tx, *rows) != len(rows):
        raise TooLate("Another hand has read a machine's words in this moment.")


def set_mark(tx: Session, values: Mapping[str, Any]) -> None:
    """Write a named position, or write it anew."""
    if not changed(tx, Mark, {"name": values["name"]}, values):
        inserted_once(tx, Mark, values)


def inserted_once(tx: Session, model: type[SQLModel], values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same key stands; return whether it was inserted."""
    row = {**_defaults(model), **values}
    dialect = tx.get_bind().dialect.name
    return _insert_or_nothing(model, dialect, tuple(row)).run(tx, row) == 1


def insert_all(tx: Session, model: type[SQLModel], values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of equal columns in one go; their numbers are not asked for."""
    if values:
        rows = [{**_defaults(model), **each} for each in values]
        _insert(model, tuple(rows[0])).run(tx, *rows)


def insert_row(tx: Session, row: SQLModel) -> None:
    """Insert a row as it is; it stays outside of the session, which takes long to file what is read no more."""
    insert_all(tx, type(row), [{column.key: getattr(row, column.key) for column in table_of(type(row)).columns}])


@cache
def _guarded(model: type[SQLModel], was: tuple[str, ...], names: tuple[str, ...]) -> Command:
    table = table_of(model)
    guards = [table.c[name] == bindparam(f"was_{name}", type_=table.c[name].type) for name in was]
    return Command(update(table).where(*guards), names)


@cache
def _insert(model: type[SQLModel], names: tuple[str, ...]) -> Command:
    return Command(insert(table_of(model)).inline(), names)


@cache
def _insert_or_nothing(model: type[SQLModel], dialect: str, names: tuple[str, ...]) -> Command:
    table: Table = table_of(model)
    if dialect == "postgresql":
        return Command(postgresql.insert(table).inline().on_conflict_do_nothing(), names)
    return Command(sqlite.insert(table).inline().on_conflict_do_nothing(), names)


@cache
def _defaults(model: type[SQLModel]) -> Mapping[str, Any]:
    """Return the values of columns that an insert may leave out."""
    columns = table_of(model).columns
    return {each.key: each.default.arg for each in columns if isinstance(each.default, ScalarElementColumnDefault)}
