"""Statements that every pass and every command needs, built once: building one takes longer than running it.

What a guard compares is bound under the column's name with `was_` before it, so that an update's new values keep
the columns' own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table, UpdateBase, bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, func, select

from jobs.errors import TooLate
from jobs.model import Attempt, Channel, Job, Team

JOB = select(Job).where(col(Job.id) == bindparam("id")).execution_options(populate_existing=True)
ATTEMPT = select(Attempt).where(col(Attempt.id) == bindparam("id")).execution_options(populate_existing=True)
ATTEMPTS = (
    select(Attempt).where(col(Attempt.job_id) == bindparam("job_id")).order_by(col(Attempt.number), col(Attempt.rank))
)
_MAPPED = select(Channel.team_id).where(col(Channel.id) == bindparam("channel")).scalar_subquery()
TEAM = select(Team).where(col(Team.id) == bindparam("id")).execution_options(populate_existing=True)
TEAM_OF_CHANNEL = (
    select(Team)
    .where(col(Team.id) == func.coalesce(_MAPPED, bindparam("default")))
    .execution_options(populate_existing=True)
)


def table_of(model: type[SQLModel]) -> Table:
    """Return the table that a model is mapped to."""
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel makes it and does not declare it
    return table


def changed(tx: Session, model: type[SQLModel], was: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """Set `values` where the columns are as they were; return how many rows that changed.

    The session's own objects do not hear of it.
    """
    tx.flush()  # what was added comes first, as it would with a statement of the session's
    guard = {f"was_{name}": value for name, value in was.items()}
    return tx.connection().execute(_guarded(model, tuple(was)), {**values, **guard}).rowcount


def move_cursors(tx: Session, cursors: Mapping[int, int]) -> None:
    """Set attempts' cursors by their ids, each from the number before; raises `TooLate`, and none may be kept then."""
    if not cursors:
        return
    rows = [{"was_id": each, "was_cursor": cursor - 1, "cursor": cursor} for each, cursor in cursors.items()]
    moved = tx.connection().execute(_guarded(Attempt, ("id", "cursor")), rows).rowcount
    if moved != len(rows):
        raise TooLate("Another hand has read a machine's words in this moment.")


def inserted_once(tx: Session, model: type[SQLModel], values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same key stands; return whether it was inserted."""
    tx.flush()
    connection = tx.connection()
    return connection.execute(_insert_or_nothing(model, connection.dialect.name), dict(values)).rowcount == 1


def insert_all(tx: Session, model: type[SQLModel], values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of equal columns in one go; their numbers are not asked for."""
    if values:
        tx.flush()
        tx.connection().execute(_insert(model), [dict(each) for each in values])


def insert_row(tx: Session, row: SQLModel) -> None:
    """Insert a row as it is; it stays outside of the session, which takes long to file what is read no more."""
    insert_all(tx, type(row), [{column.key: getattr(row, column.key) for column in table_of(type(row)).columns}])


@cache
def _guarded(model: type[SQLModel], was: tuple[str, ...]) -> UpdateBase:
    table = table_of(model)
    return update(table).where(*(table.c[name] == bindparam(f"was_{name}", type_=table.c[name].type) for name in was))


@cache
def _insert(model: type[SQLModel]) -> UpdateBase:
    return insert(table_of(model))


@cache
def _insert_or_nothing(model: type[SQLModel], dialect: str) -> UpdateBase:
    table = table_of(model)
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
