"""The ledger beside a provider's bill, job by job: what was booked, what was billed, and whether they agree.

A job's charge belongs to the month of its hold; the bill counts by the day of use. So the jobs of a month are looked
for over the days of all of their machines, and what other months' jobs used in it is theirs. A job whose last machine
went less than a day ago may not be in the bill yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from sqlmodel import Session, col, select

from jobs import ledger
from jobs.model import Attempt, EntryKind, Job, Period
from jobs.values import DOLLAR, Micros

LAG = timedelta(hours=24)  # after which use is in the bill
ALWAYS = DOLLAR // 20  # by which a job may differ: a bill rounds each line of its own


class Verdict(StrEnum):
    """What comes of comparing one job."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_BILLED = "not billed"  # booked, and the bill knows no such job
    NOT_BOOKED = "not booked"  # billed, and the ledger knows no such job
    TOO_NEW = "too new"  # it ended less than a day ago, or has not ended


FLAGGED = frozenset({Verdict.DIFFERS, Verdict.NOT_BILLED, Verdict.NOT_BOOKED})


@dataclass(frozen=True, kw_only=True)
class Booked:
    """What the ledger has of a job's machines at one provider."""

    job: str
    team: str
    micros: Micros
    since: datetime  # of its first machine
    until: datetime | None  # of its last one; None: one stands, or its money is not closed


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job, compared."""

    job: str
    team: str  # empty where the ledger knows no such job
    booked: Micros
    billed: Micros
    verdict: Verdict

    @property
    def difference(self) -> Micros:
        """Return by how much the bill is higher."""
        return self.billed - self.booked


def booked(tx: Session, month: str, provider: str) -> list[Booked]:
    """Return what was charged to a month (`2026-11`, of every team) for machines of a provider, oldest job first."""
    found = []
    wanted = select(Job).join(Period, col(Period.id) == col(Job.period_id)).where(Period.month == month)
    for job in tx.exec(wanted.order_by(col(Job.created_at), col(Job.id))):
        rows = list(tx.exec(select(Attempt).where(Attempt.job_id == job.id)))
        mine = [row for row in rows if row.provider == provider and row.launched_at is not None]
        if not mine:
            continue
        charged = sum(
            entry.micros for entry in ledger.entries(tx, job.id) if entry.kind in (EntryKind.CHARGE, EntryKind.OVERRUN)
        )
        elsewhere = sum(row.billed or 0 for row in rows if row.provider != provider)
        ends = [row.billed_until for row in mine]
        over = job.charged is not None and None not in ends
        found.append(
            Booked(
                job=job.id,
                team=job.team_id,
                micros=charged - elsewhere,
                since=min(row.launched_at for row in mine if row.launched_at is not None),
                until=max(end for end in ends if end is not None) if over else None,
            )
        )
    return found


def known_jobs(tx: Session) -> frozenset[str]:
    """Return every job that the ledger knows, of any month."""
    return frozenset(tx.exec(select(Job.id)))


def days_of(month: str, jobs: Iterable[Booked], now: datetime) -> tuple[date, date]:
    """Return the days to ask for: the month's and those of its jobs' machines, the last one not included.

    Raises `ValueError` for what is no month.
    """
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).date()
    after = (first + timedelta(days=32)).replace(day=1)
    listed = list(jobs)
    since = min([first, *(job.since.astimezone(UTC).date() for job in listed)])
    last = max([after, *((job.until or now).astimezone(UTC).date() + timedelta(days=1) for job in listed)])
    return since, min(last, now.astimezone(UTC).date() + timedelta(days=1))


def compare(
    jobs: Sequence[Booked],
    billed: Mapping[str, Micros],
    *,
    known: frozenset[str],
    tolerance: float,
    now: datetime,
) -> list[Row]:
    """Return the jobs of a month, compared, and after them what is billed and in no ledger.

    `tolerance` is a share of what was booked; `known` are the jobs of every month.
    """
    rows = [
        Row(
            job=job.job,
            team=job.team,
            booked=job.micros,
            billed=billed.get(job.job, 0),
            verdict=_verdict(job, billed.get(job.job), tolerance, now),
        )
        for job in jobs
    ]
    strangers = sorted(set(billed) - known)
    return rows + [
        Row(job=name, team="", booked=0, billed=billed[name], verdict=Verdict.NOT_BOOKED)
        for name in strangers
        if billed[name]
    ]


def _verdict(job: Booked, billed: Micros | None, tolerance: float, now: datetime) -> Verdict:
    if job.until is None or now - job.until < LAG:
        return Verdict.TOO_NEW
    if billed is None and job.micros > ALWAYS:
        return Verdict.NOT_BILLED
    within = max(ALWAYS, round(job.micros * tolerance))
    return Verdict.AGREES if abs((billed or 0) - job.micros) <= within else Verdict.DIFFERS
