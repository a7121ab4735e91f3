"""Teams and jobs written back into the database as the store has them: the missing added, the older replaced.

What is as new or newer stays. Entries and notes are only ever added. Curves are not in the store: the bot reads them
again from the first chunk of each machine that stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import func
from sqlmodel import Session, SQLModel, col, select, update

from jobs import db
from jobs.endings import LIVE
from jobs.evidence import Evidence
from jobs.lifecycle import AttemptState
from jobs.model import Attempt, Card, Channel, Checkpoint, Entry, EntryKind, Note, NoteKind, Outbox, Period
from jobs.model import Team as TeamRow
from jobs.snapshots import JobRows, TeamRows, is_newer

# People were told of an end that is this old, as far as they ever will be.
OLD_NEWS = timedelta(days=1)

Table = TypeVar("Table", bound=SQLModel)


@dataclass(kw_only=True)
class Report:
    """What was found, and what became of it."""

    teams: list[str] = field(default_factory=list)  # added or brought up to date
    capless: list[str] = field(default_factory=list)  # teams whose limits are nowhere: nothing starts for them
    added: list[str] = field(default_factory=list)  # jobs that the database did not know
    advanced: list[str] = field(default_factory=list)  # jobs that it knew as they had been earlier
    known: int = 0  # jobs that it knew as they are
    standing: list[str] = field(default_factory=list)  # machines with a row, `provider/id`
    from_tags: list[str] = field(default_factory=list)  # jobs of which only their machines' tags are left
    left: list[str] = field(default_factory=list)  # machines without a row; nothing was done to them
    held: int = 0  # micro-dollars, over all months
    spent: int = 0
    fresh: list[str] = field(default_factory=list)  # restored jobs about which people may still have to be told
    last_note: int = 0  # that the database had
    old_news: int = 0  # the last note of that and of the others


def rebuild(tx: Session, found: Evidence, months: Months, report: Report, now: datetime) -> None:
    """Add and advance teams and jobs; `sum_up` comes last."""
    report.last_note = _last_note(tx)
    for team in found.teams.values():
        _restore_team(tx, team, report)
    old, new = _parted(found.jobs.values(), now)
    for rows in old:
        _restore_job(tx, rows, months, report)
    report.old_news = _last_note(tx)
    for rows in new:
        if _restore_job(tx, rows, months, report):
            report.fresh.append(rows.job.id)


def _last_note(tx: Session) -> int:
    return tx.exec(select(func.max(Note.id))).one() or 0


def sum_up(tx: Session, report: Report) -> None:
    """Let every month say what its entries add up to, whatever it said before."""
    total: defaultdict[int, dict[EntryKind, int]] = defaultdict(lambda: dict.fromkeys(EntryKind, 0))
    sums = select(Entry.period_id, Entry.kind, func.sum(Entry.micros)).group_by(col(Entry.period_id), col(Entry.kind))
    for period_id, kind, micros in tx.exec(sums):
        total[period_id][EntryKind(kind)] = int(micros)
    for period in tx.exec(select(Period)).all():
        of = total[period.id or 0]
        period.held = of[EntryKind.HOLD] - of[EntryKind.RELEASE] - of[EntryKind.CHARGE]
        period.spent = of[EntryKind.CHARGE] + of[EntryKind.OVERRUN]
        period.granted = of[EntryKind.GRANT] - of[EntryKind.REVOKE]
        tx.add(period)
        report.held += period.held
        report.spent += period.spent
    tx.flush()


def _parted(jobs: Iterable[JobRows], now: datetime) -> tuple[list[JobRows], list[JobRows]]:
    """Return the jobs that are old news, and the others; each oldest first."""
    old: list[JobRows] = []
    new: list[JobRows] = []
    for rows in sorted(jobs, key=lambda each: (each.job.created_at, each.job.id)):
        ended = rows.job.finished_at
        (old if ended is not None and now - ended > OLD_NEWS else new).append(rows)
    return old, new


# ---------------------------------------------------------------- teams and months


class Months:
    """The numbers of months, made where a month is not written yet."""

    def __init__(
        self, tx: Session, records: Mapping[str, TeamRows], *, zone: str, now: datetime, report: Report
    ) -> None:
        self._tx, self._zone, self._now, self._report = tx, zone, now, report
        self._recorded = {(row.team_id, row.month): row for team in records.values() for row in team.periods}

    def team(self, team_id: str) -> TeamRow:
        """Return the team; one of which nothing is left gets no cap, so that nothing starts before a lead said so."""
        team = self._tx.get(TeamRow, team_id)
        if team is None:
            team = db.ensure_team(self._tx, team_id, name=team_id, zone=self._zone, at=self._now)
            self._report.capless.append(team_id)
        return team

    def number(self, team_id: str, month: str) -> int:
        """Return the month's id."""
        team = self.team(team_id)
        period = self._tx.exec(select(Period).where(Period.team_id == team_id, Period.month == month)).first()
        if period is None:
            said = self._recorded.get((team_id, month))
            cap, alerted = (said.cap, said.alerted) if said else (team.cap or 0, 0)
            period = Period(team_id=team_id, month=month, cap=cap, alerted=alerted)
            self._tx.add(period)
            self._tx.flush()
        return period.id or 0


def _restore_team(tx: Session, rows: TeamRows, report: Report) -> None:
    """Write a team as its record has it, where the record saw more changes than the database did."""
    team_id = rows.team.id
    team = tx.get(TeamRow, team_id)
    seen = select(func.count()).where(Note.team_id == team_id, Note.kind == NoteKind.BUDGET.value)
    newer = team is None or tx.exec(seen).one() < rows.changes
    if team is None:
        tx.add(rows.team)
        tx.flush()
    elif newer:
        _overwrite(team, rows.team, keep=("id",))
        tx.flush()
    for channel in rows.channels:
        if newer or tx.get(Channel, channel) is None:
            tx.merge(Channel(id=channel, team_id=team_id))
    for said in rows.periods:
        period = tx.exec(select(Period).where(Period.team_id == team_id, Period.month == said.month)).first()
        if period is None:
            tx.add(Period(team_id=team_id, month=said.month, cap=said.cap, alerted=said.alerted))
        elif newer:
            period.cap, period.alerted = said.cap, said.alerted
    _add_notes(tx, rows.notes)
    _add_told(tx, rows.told)
    tx.flush()
    if newer:
        report.teams.append(team_id)


# ---------------------------------------------------------------- jobs


def _restore_job(tx: Session, rows: JobRows, months: Months, report: Report) -> bool:
    """Write a job as the store has it; False where the database knows it as well or better."""
    job = db.find_job(tx, rows.job.id)
    if job is not None and not is_newer(rows.job, job):
        report.known += 1
        return False
    months.team(rows.job.team_id)
    rows.job.period_id = None if rows.month is None else months.number(rows.job.team_id, rows.month)
    if job is None:
        tx.add(rows.job)
        report.added.append(rows.job.id)
    else:
        _overwrite(job, rows.job, keep=("id",))
        report.advanced.append(job.id)
    tx.flush()
    db.seen(tx, rows.job.delivery, rows.job.created_at)  # Slack may deliver it once more
    for month, entry in rows.entries:
        values = entry.model_dump(exclude={"id"}) | {"period_id": months.number(rows.job.team_id, month)}
        db.insert_once(tx, Entry, values)
    for attempt in rows.attempts:
        _restore_attempt(tx, attempt)
    for saved in rows.checkpoints:
        if tx.exec(select(Checkpoint.id).where(Checkpoint.manifest == saved.manifest)).first() is None:
            tx.add(saved)
    _add_notes(tx, rows.notes)
    _add_cards(tx, rows.cards)
    _add_told(tx, rows.told)
    tx.flush()
    return True


def _restore_attempt(tx: Session, said: Attempt) -> None:
    """Write an attempt down; the machine of an intent counts as asked for, since it may have been."""
    if said.state is AttemptState.INTENT:
        said.called_at = said.called_at or said.intent_at
    row = tx.exec(select(Attempt).where(Attempt.launch_key == said.launch_key)).first()
    if row is not None:
        _overwrite(row, said, keep=("id", "cursor"))  # its curves are here up to that chunk
        return
    if said.state in LIVE:
        said.cursor = 0  # its curves are not here: they are read again
    tx.add(said)


def _add_notes(tx: Session, notes: Sequence[Note]) -> None:
    for note in notes:
        db.insert_once(tx, Note, note.model_dump(exclude={"id"}))


def _add_told(tx: Session, told: Sequence[Outbox]) -> None:
    for row in told:
        values = row.model_dump(exclude={"id"})
        if not db.insert_once(tx, Outbox, values):
            # The older database still owes it.
            tx.exec(update(Outbox).where(col(Outbox.key) == row.key).values(state=row.state, ts=row.ts))


def _add_cards(tx: Session, cards: Sequence[Card]) -> None:
    for card in cards:
        same = (Card.job_id == card.job_id, Card.role == card.role, Card.recipient == card.recipient)
        row = tx.exec(select(Card).where(*same)).first()
        if row is None:
            tx.add(card)
        else:
            _overwrite(row, card, keep=("id",))


def _overwrite(row: Table, said: Table, *, keep: Sequence[str]) -> None:
    for name in type(row).model_fields:
        if name not in keep:
            setattr(row, name, getattr(said, name))
