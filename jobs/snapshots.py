"""A job's and a team's rows as one object each, as they lie in the store beside the database.

They are what a lost database is rebuilt from: every row is in them but the curves, which are read again from what
the machines wrote. Numbers that a database gives by itself (ids of entries, months, notes) are left out: months are
named, the other rows are found by their own keys. Nothing here holds the value of a secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import BindParameter, ColumnElement, bindparam, func, select, true
from sqlmodel import Session, SQLModel

from jobs import db
from jobs.lifecycle import TERMINAL
from jobs.model import Attempt, Card, Channel, Checkpoint, Entry, Job, Note, NoteKind, Outbox, Period, Team
from jobs.prepared import Query, Rows, table_of

VERSION = 1
JOBS = "records/jobs"  # of jobs that are not settled
TEAMS = "records/teams"
RECEIPTS = "receipts"  # of those that are; they carry their rows too

# What the new database numbers for itself.
_OWN = frozenset({"id", "period_id", "note_id"})

Table = TypeVar("Table", bound=SQLModel)


def job_key(job_id: str) -> str:
    """Return where the rows of a job lie that is not settled; no machine may read there."""
    return f"{JOBS}/{job_id}.json"


def team_key(team_id: str) -> str:
    """Return where a team's rows lie."""
    return f"{TEAMS}/{team_id}.json"


def receipt_key(job_id: str) -> str:
    """Return where a settled job's receipt lies in the store."""
    return f"{RECEIPTS}/{job_id}.json"


@dataclass(frozen=True, kw_only=True)
class JobRows:
    """Everything that is written about one job; rows belong to no database until they are added to one."""

    job: Job
    month: str | None  # of its hold: "2026-11"
    attempts: Sequence[Attempt] = ()
    entries: Sequence[tuple[str, Entry]] = ()  # (month, entry), oldest first
    notes: Sequence[Note] = ()
    checkpoints: Sequence[Checkpoint] = ()
    cards: Sequence[Card] = ()
    told: Sequence[Outbox] = ()  # messages that were said, by their keys; their words are left out


def is_newer(said: Job, known: Job) -> bool:
    """Return whether the store's word on a job is newer than another.

    What is settled is the last word. Versions alone do not tell: where two backups were put back one after the other,
    each database went on counting from its own.
    """
    if known.state not in TERMINAL and said.state in TERMINAL:
        return True
    return said.version > known.version


@dataclass(frozen=True, kw_only=True)
class TeamRows:
    """Everything that is written about one team but its jobs."""

    team: Team
    channels: Sequence[str] = ()
    periods: Sequence[Period] = ()  # what they hold and have spent follows from the jobs' entries
    notes: Sequence[Note] = ()
    told: Sequence[Outbox] = field(default=())

    @property
    def changes(self) -> int:
        """How often its limits were changed; of two records the one with more is the newer."""
        return sum(note.kind == NoteKind.BUDGET for note in self.notes)


# ---------------------------------------------------------------- rows to bytes

# Built once: a record is written with each launch and each change.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_OUTBOX, _NOTE, _PERIOD, _CHANNEL = table_of(Outbox), table_of(Note), table_of(Period), table_of(Channel)
_SAID = _OUTBOX.c.state.in_(("done", "dropped"))


ALL = true()


def _of(table: type[Table], owner: str, *order: str, which: ColumnElement[bool] = ALL) -> Query[Table]:
    """Return what asks for the rows whose column `owner` is one of `ids`, in the order of these columns."""
    columns, rows = table_of(table).c, Rows(table)
    wanted = select(*rows.columns).where(columns[owner].in_(_IDS), which)
    return Query(wanted.order_by(*(columns[name] for name in order)), rows, many="ids")


_JOBS = _of(Job, "id", "id")
_PERIODS = _of(Period, "team_id", "team_id", "month")
_ATTEMPTS = _of(Attempt, "job_id", "number", "rank")
_ENTRIES = _of(Entry, "job_id", "id")
_NOTES = _of(Note, "job_id", "id")
_CHECKPOINTS = _of(Checkpoint, "job_id", "id")
_CARDS = _of(Card, "job_id", "id")
_TOLD = _of(Outbox, "job_id", "id", which=_SAID)
_TOLD_OF_NOTES = _of(Outbox, "note_id", "id", which=_SAID)
_TEAM_NOTES = _of(Note, "team_id", "id", which=_NOTE.c.job_id.is_(None))
_CHANNELS = Query(select(_CHANNEL.c.id).where(_CHANNEL.c.team_id == bindparam("team")).order_by(_CHANNEL.c.id))

# A message is said once, so those that were follow from the notes and from those that are still to be said.
_OWED = _OUTBOX.join(_NOTE, _NOTE.c.id == _OUTBOX.c.note_id)
_TEAM_PARTS = (
    Query(select(*table_of(Team).columns).order_by(table_of(Team).c.id)),
    Query(select(_CHANNEL.c.team_id, _CHANNEL.c.id).order_by(_CHANNEL.c.id)),
    Query(select(_PERIOD.c.team_id, _PERIOD.c.month, _PERIOD.c.cap, _PERIOD.c.alerted).order_by(_PERIOD.c.month)),
    Query(select(_NOTE.c.team_id, func.max(_NOTE.c.id)).where(_NOTE.c.job_id.is_(None)).group_by(_NOTE.c.team_id)),
    Query(
        select(_NOTE.c.team_id, _OUTBOX.c.id)
        .select_from(_OWED)
        .where(_OUTBOX.c.state.in_(("owed", "uncertain")), _OUTBOX.c.job_id.is_(None))
        .order_by(_OUTBOX.c.id)
    ),
)


def of_job(tx: Session, job_id: str) -> dict[str, Any]:
    """Return a job's rows as plain JSON values; raises `NotFound`."""
    return of_jobs(tx, [db.get_job(tx, job_id).id])[job_id]


def of_jobs(tx: Session, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of several jobs by their ids, with one statement a table; a job that is not there is left out."""
    jobs = _JOBS.all(tx, ids=job_ids) if job_ids else []
    if not jobs:
        return {}
    months = {period.id: period.month for period in _PERIODS.all(tx, ids=sorted({job.team_id for job in jobs}))}
    attempts, entries = _ATTEMPTS.all(tx, ids=job_ids), _ENTRIES.all(tx, ids=job_ids)
    notes, checkpoints = _NOTES.all(tx, ids=job_ids), _CHECKPOINTS.all(tx, ids=job_ids)
    cards = _CARDS.all(tx, ids=job_ids)
    told = _plain_told(_TOLD.all(tx, ids=job_ids))
    return {
        job.id: {
            "version": VERSION,
            "job": {**_plain(job), "id": job.id},
            "month": months.get(job.period_id),
            "attempts": [_plain(row) for row in attempts if row.job_id == job.id],
            "entries": [{**_plain(row), "month": months[row.period_id]} for row in entries if row.job_id == job.id],
            "notes": [_plain(row) for row in notes if row.job_id == job.id],
            "checkpoints": [_plain(row) for row in checkpoints if row.job_id == job.id],
            "cards": [_plain(row) for row in cards if row.job_id == job.id],
            "told": [row for row in told if row["job_id"] == job.id],
        }
        for job in jobs
    }


def of_team(tx: Session, team_id: str) -> dict[str, Any]:
    """Return a team's rows as plain JSON values; raises `NotFound`."""
    team = db.get_team(tx, team_id)
    notes, periods = _TEAM_NOTES.all(tx, ids=[team_id]), _PERIODS.all(tx, ids=[team_id])
    kept = ("team_id", "month", "cap", "alerted")
    return {
        "version": VERSION,
        "team": {**_plain(team), "id": team.id},
        "channels": [channel for (channel,) in _CHANNELS.all(tx, team=team_id)],
        "periods": [{name: getattr(row, name) for name in kept} for row in periods],
        "notes": [_plain(row) for row in notes],
        "told": _plain_told(_TOLD_OF_NOTES.all(tx, ids=[note.id for note in notes]) if notes else ()),
    }


def team_prints(tx: Session) -> dict[str, tuple[object, ...]]:
    """Return the teams, each with what changes whenever its record does."""
    parts = ((row[0], row[1:]) for each in _TEAM_PARTS for row in each.all(tx))
    prints: dict[str, tuple[object, ...]] = {}
    for team_id, part in parts:
        prints[team_id] = (*prints.get(team_id, ()), *part)
    return prints


def to_json(home: str, rows: Mapping[str, Any], **more: Any) -> bytes:
    """Return the object that lies in the store; equal rows give equal bytes. What people read has lines."""
    return json.dumps({"home": home, **more, "rows": rows}, indent=1 if more else None, sort_keys=True).encode()


def _plain(row: SQLModel) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude=set(_OWN))


def _plain_told(said: Iterable[Outbox]) -> list[dict[str, Any]]:
    """Return which messages were said; of a plot also how far it went, since the next one goes on from there."""
    return [
        {**_plain(row), "payload": {key: row.payload[key] for key in ("at", "step") if key in row.payload}}
        for row in said
    ]


# ---------------------------------------------------------------- bytes to rows


def read(data: bytes) -> tuple[str, Mapping[str, Any] | None]:
    """Return an object's home and its plain rows, None where it carries none; raises `ValueError`."""
    try:
        found = json.loads(data)
        home, rows = str(found["home"]), found.get("rows")
        if rows is not None and rows["version"] > VERSION:
            raise ValueError(f"it was written by a newer Hourglass (version {rows['version']})")
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no record: {error}") from error
    return home, rows


def job_rows(plain: Mapping[str, Any]) -> JobRows:
    """Return the rows that `of_job` made plain; raises `ValueError`."""
    try:
        return JobRows(
            job=Job.model_validate(plain["job"]),
            month=plain["month"],
            attempts=_rows(Attempt, plain["attempts"]),
            # A month that is not in the database yet has no number; zero is put right when it has one.
            entries=[(each["month"], Entry.model_validate({**each, "period_id": 0})) for each in plain["entries"]],
            notes=_rows(Note, plain["notes"]),
            checkpoints=_rows(Checkpoint, plain["checkpoints"]),
            cards=_rows(Card, plain["cards"]),
            told=_rows(Outbox, plain["told"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"its rows lack {error}") from error


def team_rows(plain: Mapping[str, Any]) -> TeamRows:
    """Return the rows that `of_team` made plain; raises `ValueError`."""
    try:
        return TeamRows(
            team=Team.model_validate(plain["team"]),
            channels=[str(channel) for channel in plain["channels"]],
            periods=_rows(Period, plain["periods"]),
            notes=_rows(Note, plain["notes"]),
            told=_rows(Outbox, plain["told"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"its rows lack {error}") from error


def _rows(table: type[Table], plain: Sequence[Mapping[str, Any]]) -> list[Table]:
    return [table.model_validate(each) for each in plain]
