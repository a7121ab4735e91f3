"""`hourglass audit JOB`: everything that was decided, asked for and booked about a job, in the order of time.

The rows behind it are append-only, by triggers in the database: what is printed is what was written down then.
Beside the job's own facts and its money stand the changes of its team's budget while it lived.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer
from sqlmodel import Session, col, select

from bot.home import reading
from bot.markup import clean
from jobs import db, ledger, policy
from jobs.model import Job, Note, NoteKind
from jobs.settings import load

_BIG = 100_000_000  # a number that is a unix time, where a fact's name says that it is one
_TIMES = frozenset({"deadline", "retry_at", "billed_until", "finished_at"})
_MICROS = frozenset({"hold", "rate", "held", "charged", "released", "overrun", "billed", "micros", "instead_cost"})


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was written down."""

    at: datetime
    kind: str
    by: str  # person, or "" for the bot itself
    data: Mapping[str, Any]


def lines(tx: Session, job_id: str) -> list[Line]:
    """Return the audit log of a job, oldest first; raises `NotFound`."""
    job = db.get_job(tx, job_id)
    own = db.notes(tx, job.id)
    facts = sorted([*own, *_budget(tx, job, own[0])] if own else [], key=lambda note: note.id or 0)
    found = [Line(at=note.at, kind=note.kind, by=note.by, data=note.data) for note in facts]
    for entry in ledger.entries(tx, job.id):
        data = {"micros": entry.micros, "key": entry.key, "note": entry.note, "for": entry.person}
        found.append(Line(at=entry.at, kind=f"money:{entry.kind.value}", by="", data=data))
    return sorted(found, key=lambda line: line.at)  # what has the same time stays as it was written


def _budget(tx: Session, job: Job, first: Note) -> list[Note]:
    wanted = select(Note).where(Note.team_id == job.team_id, Note.kind == NoteKind.BUDGET.value)
    lived = wanted.where(col(Note.id) > first.id)
    if job.finished_at is not None:
        lived = lived.where(col(Note.at) <= job.finished_at)
    return list(tx.exec(lived))


def as_json(line: Line) -> str:
    """Return a line for programs: ASCII alone, so that nothing in it can speak to a terminal."""
    first = {"at": line.at.astimezone(UTC).isoformat(), "kind": line.kind, "by": line.by}
    return json.dumps(first | {name: value for name, value in line.data.items() if name not in first})


def as_text(line: Line) -> tuple[str, str, str, str]:
    """Return a line for people: when, what, who, and the facts, without characters that steer a terminal."""
    facts = (f"{name}={_shown(name, value)}" for name, value in line.data.items() if value not in ("", None))
    who = line.by or "hourglass"
    return f"{line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", line.kind, _plain(who), "  ".join(map(_plain, facts))


def _shown(name: str, value: object) -> str:
    if name in _TIMES and isinstance(value, int | float) and value > _BIG:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if name in _MICROS and isinstance(value, int) and not isinstance(value, bool):
        return policy.dollars(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(text: str) -> str:
    return " ".join(clean(text).split())


def run(job_id: str) -> None:
    """Print the log: a table on a terminal, lines of JSON elsewhere. Runs beside `serve`, and writes nothing."""
    with reading(load()) as database, database.read() as tx:
        found = lines(tx, job_id)
    if sys.stdout.isatty():
        _print(found)
    else:
        for line in found:
            typer.echo(as_json(line))


def _print(found: list[Line]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("when (UTC)", "what", "who", "facts", box=None, pad_edge=False)
    for line in found:
        table.add_row(*(Text(cell, overflow="fold") for cell in as_text(line)))
    Console().print(table)
