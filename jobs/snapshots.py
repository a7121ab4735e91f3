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

from sqlalchemy import BindParameter, bindparam
from sqlmodel import Session, SQLModel, col, select

from jobs import db
from jobs.model import Attempt, Card, Channel, Checkpoint, Entry, Job, Note, NoteKind, Outbox, Period, Team

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
_SAID = col(Outbox.state).in_(("done", "dropped"))
_JOBS = select(Job).where(col(Job.id).in_(_IDS)).execution_options(populate_existing=True)
_PERIODS = select(Period).where(col(Period.team_id).in_(_IDS))
_ATTEMPTS = select(Attempt).where(col(Attempt.job_id).in_(_IDS)).order_by(col(Attempt.number), col(Attempt.rank))
_ENTRIES = select(Entry).where(col(Entry.job_id).in_(_IDS)).order_by(col(Entry.id))
_NOTES = select(Note).where(col(Note.job_id).in_(_IDS)).order_by(col(Note.id))
_CHECKPOINTS = select(Checkpoint).where(col(Checkpoint.job_id).in_(_IDS)).order_by(col(Checkpoint.id))
_CARDS = select(Card).where(col(Card.job_id).in_(_IDS)).order_by(col(Card.id))
_TOLD = select(Outbox).where(col(Outbox.job_id).in_(_IDS), _SAID).order_by(col(Outbox.id))


def of_job(tx: Session, job_id: str) -> dict[str, Any]:
    """Return a job's rows as plain JSON values; raises `NotFound`."""
    return of_jobs(tx, [db.get_job(tx, job_id).id])[job_id]


def of_jobs(tx: Session, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of several jobs by their ids, with one statement a table; a job that is not there is left out."""
    ids = {"ids": list(job_ids)}
    jobs = list(tx.exec(_JOBS, params=ids))
    teams = {"ids": sorted({job.team_id for job in jobs})}
    months = {period.id: period.month for period in tx.exec(_PERIODS, params=teams)}
    attempts, entries = list(tx.exec(_ATTEMPTS, params=ids)), list(tx.exec(_ENTRIES, params=ids))
    notes, checkpoints = list(tx.exec(_NOTES, params=ids)), list(tx.exec(_CHECKPOINTS, params=ids))
    cards, told = list(tx.exec(_CARDS, params=ids)), _plain_told(tx.exec(_TOLD, params=ids))
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
    about = (Note.team_id == team_id, col(Note.job_id).is_(None))
    notes = list(tx.exec(select(Note).where(*about).order_by(col(Note.id))))
    periods = tx.exec(select(Period).where(Period.team_id == team_id).order_by(col(Period.month)))
    kept = ("team_id", "month", "cap", "alerted")
    return {
        "version": VERSION,
        "team": {**_plain(team), "id": team.id},
        "channels": sorted(tx.exec(select(Channel.id).where(Channel.team_id == team_id))),
        "periods": [{name: getattr(row, name) for name in kept} for row in periods],
        "notes": [_plain(row) for row in notes],
        "told": _told(tx, col(Outbox.note_id).in_([note.id for note in notes])),
    }


def to_json(home: str, rows: Mapping[str, Any], **more: Any) -> bytes:
    """Return the object that lies in the store; equal rows give equal bytes."""
    return json.dumps({"home": home, **more, "rows": rows}, indent=1, sort_keys=True).encode()


def _plain(row: SQLModel) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude=set(_OWN))


def _told(tx: Session, whose: Any) -> list[dict[str, Any]]:
    """Return which messages were said; of a plot also how far it went, since the next one goes on from there."""
    return _plain_told(tx.exec(select(Outbox).where(whose, _SAID).order_by(col(Outbox.id))))


def _plain_told(said: Iterable[Outbox]) -> list[dict[str, Any]]:
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
