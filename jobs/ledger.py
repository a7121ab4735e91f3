"""The team's money: held before it can be spent, charged as a fact, never corrected in place.

Each effect is one entry with a unique key, written once, beside one change of the month's row in the same
transaction. Per month, always:

    held    = HOLD - RELEASE - CHARGE       a hold ends as what was charged and what was given back
    spent   = CHARGE + OVERRUN              an overrun is the part of a charge that no hold covered
    granted = GRANT - REVOKE                a one-off grant belongs to its job: what it did not need goes back
    free    = cap + granted - held - spent

A new hold is one conditional UPDATE against the cap, so that two jobs cannot both have the last dollar. A charge
is written whatever the cap says. A hold and its charges belong to the month in which it was held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, func, select, update
from sqlmodel import Session

from jobs import db, statements
from jobs.errors import NotFound
from jobs.model import Entry, EntryKind, Job, NoteKind, Period, Team
from jobs.prepared import Command, Query, Rows, table_of
from jobs.values import Micros

ALERTS = (50, 80, 100)  # percent of what the month may spend

_ENTRY, _PERIOD, _ENTRIES = table_of(Entry), table_of(Period), Rows(Entry)
_FREE = _PERIOD.c.cap + _PERIOD.c.granted - _PERIOD.c.held - _PERIOD.c.spent
_GROWN = (
    update(_PERIOD)
    .where(_PERIOD.c.id == bindparam("month"))
    .values({name: _PERIOD.c[name] + bindparam(f"more_{name}") for name in ("held", "spent", "granted")})
)
_ADD, _ADD_IF_FREE = Command(_GROWN, ()), Command(_GROWN.where(bindparam("more_held") <= _FREE), ())
_OF_JOB = Query(select(*_ENTRIES.columns).where(_ENTRY.c.job_id == bindparam("job_id")).order_by(_ENTRY.c.id), _ENTRIES)
_OF_KEY = Query(select(_ENTRY.c.id).where(_ENTRY.c.key == bindparam("key")))
# Held and spent: what a charge takes from the one it adds to the other.
_SIGNED = case(
    (_ENTRY.c.kind.in_((EntryKind.HOLD, EntryKind.OVERRUN)), _ENTRY.c.micros),
    (_ENTRY.c.kind == EntryKind.RELEASE, -_ENTRY.c.micros),
    else_=0,
)
_BY_PERSON = Query(
    select(_ENTRY.c.person, func.sum(_SIGNED)).where(_ENTRY.c.period_id == bindparam("month")).group_by(_ENTRY.c.person)
)
_BY_JOB = Query(
    select(_ENTRY.c.job_id, _ENTRY.c.kind, func.sum(_ENTRY.c.micros), func.max(_ENTRY.c.id))
    .where(_ENTRY.c.period_id == bindparam("month"))
    .group_by(_ENTRY.c.job_id, _ENTRY.c.kind)
)


@dataclass(frozen=True, kw_only=True)
class Closed:
    """How a job's hold ended, in micro-dollars."""

    charged: Micros  # in all, what no hold covered included
    held: Micros
    released: Micros
    overrun: Micros
    again: bool = False  # it had been closed before: nothing was done now


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A team's month, in micro-dollars."""

    month: str  # "2026-11", in the team's zone
    cap: Micros | None  # None: no lead has set one, nothing starts
    granted: Micros
    held: Micros
    spent: Micros
    by_person: Sequence[tuple[str, Micros]]  # held and spent, the most first
    by_job: Sequence[tuple[str, Micros, Micros]]  # job, still held, charged; the newest first

    @property
    def free(self) -> Micros:
        """What a new hold may take; negative after an overrun or a lowered cap."""
        return (self.cap or 0) + self.granted - self.held - self.spent


def open_hold(tx: Session, *, job_id: str, person: str, period: Period, micros: Micros, key: str, at: datetime) -> bool:
    """Hold `micros` for a job if they fit under the cap; False: they do not, and nothing was changed.

    The same key again is True and changes nothing.
    """
    if _written(tx, key):
        return True
    # Holding nothing takes nothing from anybody: a free machine may start in a month that was overrun.
    if not _add(tx, period, must_fit=micros > 0, held=micros):
        return False
    _write(tx, EntryKind.HOLD, key=key, period=period, job_id=job_id, person=person, micros=micros, at=at)
    _alert(tx, period, at)
    return True


def grow_hold(tx: Session, *, job: Job, micros: Micros, key: str, at: datetime, must_fit: bool) -> bool:
    """Add to a job's hold, in the month of that hold; False: it must fit and does not, nothing was changed.

    Without `must_fit` it is a fact (a machine alive past its deadline) and always written. The same key again is
    True and changes nothing. The job's `hold` grows with it.
    """
    if _written(tx, key):
        return True
    period = month_of_hold(tx, job)
    if must_fit:
        if not open_hold(tx, job_id=job.id, person=job.person, period=period, micros=micros, key=key, at=at):
            return False
    else:
        _add(tx, period, held=micros)
        _write(tx, EntryKind.HOLD, key=key, period=period, job_id=job.id, person=job.person, micros=micros, at=at)
        _alert(tx, period, at)
    db.touch(tx, job, at, hold=job.hold + micros)
    return True


def shrink_hold(tx: Session, *, job: Job, micros: Micros, key: str, at: datetime) -> bool:
    """Give back a part of a job's hold; False where this key did so before. Raises `ValueError` beyond the hold."""
    if _written(tx, key):
        return False
    if micros > open_of(entries(tx, job.id)):
        raise ValueError(f"{micros} is more than job {job.id} holds.")
    period = month_of_hold(tx, job)
    _add(tx, period, held=-micros)
    _write(tx, EntryKind.RELEASE, key=key, period=period, job_id=job.id, person=job.person, micros=micros, at=at)
    db.touch(tx, job, at, hold=job.hold - micros)
    return True


def grant(
    tx: Session, *, job_id: str, person: str, period: Period, micros: Micros, by: str, key: str, at: datetime
) -> bool:
    """Raise the month by `micros` for one job, on the word of the lead `by`; False where this key did so before."""
    if _written(tx, key):
        return False
    _add(tx, period, granted=micros)
    _write(
        tx, EntryKind.GRANT, key=key, period=period, job_id=job_id, person=person, micros=micros, at=at, note=f"by {by}"
    )
    return True


def close(tx: Session, *, job: Job, charge: Micros, at: datetime) -> Closed:
    """End a job's hold with what it cost; belongs in the transaction that makes the job terminal.

    Everything held becomes a charge or is given back; what exceeds the hold is charged as an overrun; what a
    one-off grant did not need goes back. A second call does nothing and says so. Raises `NotFound` when there is
    something to charge and the job never held anything.
    """
    written = entries(tx, job.id)
    if any(entry.key == _charge_key(job.id) for entry in written):
        return _closed(written, again=True)
    if job.period_id is None and not charge:
        return Closed(charged=0, held=0, released=0, overrun=0)
    period = month_of_hold(tx, job)
    held = open_of(written)
    granted = sum(entry.micros for entry in written if entry.kind is EntryKind.GRANT)
    covered, overrun = min(charge, held), max(0, charge - held)
    # The grant was for what the month could not pay, so it is the last part to be used up.
    revoked = min(granted, held - covered)
    _add(tx, period, held=-held, spent=charge, granted=-revoked)
    for kind, key, micros, always in (
        (EntryKind.CHARGE, _charge_key(job.id), covered, True),  # its key is what makes the close happen once
        (EntryKind.RELEASE, f"{job.id}:release", held - covered, False),
        (EntryKind.OVERRUN, f"{job.id}:overrun", overrun, False),
        (EntryKind.REVOKE, f"{job.id}:revoke", revoked, False),
    ):
        if micros or always:
            _write(tx, kind, key=key, period=period, job_id=job.id, person=job.person, micros=micros, at=at)
    _alert(tx, period, at)
    return Closed(charged=charge, held=held, released=held - covered, overrun=overrun)


def add_late(tx: Session, *, job: Job, micros: Micros, key: str, at: datetime) -> bool:
    """Charge what came to light after a job was settled, as an overrun of its month; False where this key did before.

    A job that never held anything has it in the month of `at`.
    """
    if _written(tx, key):
        return False
    period = month_of_hold(tx, job) if job.period_id else db.period_of(tx, db.get_team(tx, job.team_id), at)
    _add(tx, period, spent=micros)
    _write(tx, EntryKind.OVERRUN, key=key, period=period, job_id=job.id, person=job.person, micros=micros, at=at)
    db.touch(tx, job, at, charged=(job.charged or 0) + micros, period_id=period.id)
    _alert(tx, period, at)
    return True


def set_cap(tx: Session, *, team: Team, period: Period, cap: Micros) -> None:
    """Set the cap of a month that has begun, and let its alerts be told anew from where it stands."""
    _set(tx, period, cap=cap)
    _set(tx, period, alerted=max((percent for percent in ALERTS if _reached(period, percent)), default=0))


def entries(tx: Session, job_id: str) -> list[Entry]:
    """Return what was written about a job's money, oldest first."""
    return _OF_JOB.all(tx, job_id=job_id)


def open_of(written: Sequence[Entry]) -> Micros:
    """Return what is still held by these entries of one job."""
    signs = {EntryKind.HOLD: 1, EntryKind.RELEASE: -1, EntryKind.CHARGE: -1}
    return sum(signs.get(entry.kind, 0) * entry.micros for entry in written)


def used_by(tx: Session, period: Period, person: str) -> Micros:
    """Return what a person holds and has spent of a month."""
    return dict(_by_person(tx, period)).get(person, 0)


def summary(tx: Session, team: Team, at: datetime) -> Budget:
    """Return the team's month at `at`; writes nothing, so a month in which nothing happened reads as zeros."""
    period = db.find_period(tx, team, at)
    month = db.month_of(team.zone, at)
    if period is None:
        return Budget(month=month, cap=team.cap, granted=0, held=0, spent=0, by_person=(), by_job=())
    return Budget(
        month=month,
        cap=team.cap,
        granted=period.granted,
        held=period.held,
        spent=period.spent,
        by_person=[row for row in _by_person(tx, period) if row[1]],
        by_job=_by_job(tx, period),
    )


# ---------------------------------------------------------------- rows


def _charge_key(job_id: str) -> str:
    return f"{job_id}:charge"


def _closed(written: Sequence[Entry], *, again: bool) -> Closed:
    total = {kind: sum(entry.micros for entry in written if entry.kind is kind) for kind in EntryKind}
    last_release = sum(entry.micros for entry in written if entry.key.endswith(":release"))
    return Closed(
        charged=total[EntryKind.CHARGE] + total[EntryKind.OVERRUN],
        held=total[EntryKind.CHARGE] + last_release,
        released=last_release,
        overrun=total[EntryKind.OVERRUN],
        again=again,
    )


def _written(tx: Session, key: str) -> bool:
    return bool(_OF_KEY.all(tx, key=key))


def _write(
    tx: Session,
    kind: EntryKind,
    *,
    key: str,
    period: Period,
    job_id: str,
    person: str,
    micros: Micros,
    at: datetime,
    note: str = "",
) -> None:
    if micros < 0 or period.id is None:
        raise ValueError(f"Entry {key} of {micros} micros cannot be written.")
    values = {"key": key, "period_id": period.id, "job_id": job_id, "person": person, "kind": kind, "micros": micros}
    statements.insert_all(tx, Entry, [{**values, "at": at, "note": note}])


def _add(
    tx: Session,
    period: Period,
    *,
    must_fit: bool = False,
    held: Micros = 0,
    spent: Micros = 0,
    granted: Micros = 0,
) -> bool:
    change = {"month": period.id, "more_held": held, "more_spent": spent, "more_granted": granted}
    if (_ADD_IF_FREE if must_fit else _ADD).run(tx, change) != 1:
        return False
    _refresh(tx, period)
    return True


def _set(tx: Session, period: Period, **columns: int) -> None:
    statements.changed(tx, Period, {"id": period.id}, columns)
    _refresh(tx, period)


def _refresh(tx: Session, period: Period) -> None:
    """Bring the transaction's own row of a month up to date."""
    assert period.id is not None and period in tx  # it was read or made here  # noqa: S101
    db.find_period_by_id(tx, period.id)


def month_of_hold(tx: Session, job: Job) -> Period:
    period = None if job.period_id is None else db.find_period_by_id(tx, job.period_id)
    if period is None:
        raise NotFound(f"Job {job.id} never held anything, so there is no month to write to.")
    return period


def _reached(period: Period, percent: int) -> bool:
    total = period.cap + period.granted
    return total > 0 and (period.held + period.spent) * 100 >= percent * total


def _alert(tx: Session, period: Period, at: datetime) -> None:
    """Tell the highest step that the month has newly reached; the lower ones say nothing more."""
    reached = max((percent for percent in ALERTS if _reached(period, percent)), default=0)
    if reached <= period.alerted:
        return
    _set(tx, period, alerted=reached)
    facts = {"month": period.month, "cap": period.cap, "granted": period.granted}
    db.note(
        tx,
        key=f"{period.team_id}:{period.month}:alert:{reached}:{period.cap}",  # a new cap is alerted about anew
        kind=NoteKind.ALERT,
        at=at,
        team_id=period.team_id,
        data={"percent": reached, "held": period.held, "spent": period.spent, **facts},
    )


def _by_person(tx: Session, period: Period) -> list[tuple[str, Micros]]:
    rows = _BY_PERSON.all(tx, month=period.id)
    return sorted(((person, int(micros)) for person, micros in rows), key=lambda row: (-row[1], row[0]))


def _by_job(tx: Session, period: Period) -> list[tuple[str, Micros, Micros]]:
    rows = _BY_JOB.all(tx, month=period.id)
    newest: dict[str, int] = {}
    totals: dict[str, dict[EntryKind, int]] = {}
    for job_id, kind, micros, last in rows:
        newest[job_id] = max(newest.get(job_id, 0), last or 0)
        totals.setdefault(job_id, dict.fromkeys(EntryKind, 0))[EntryKind(kind)] = int(micros)
    return [
        (
            job_id,
            total[EntryKind.HOLD] - total[EntryKind.RELEASE] - total[EntryKind.CHARGE],
            total[EntryKind.CHARGE] + total[EntryKind.OVERRUN],
        )
        for job_id, total in sorted(totals.items(), key=lambda item: -newest[item[0]])
    ]
