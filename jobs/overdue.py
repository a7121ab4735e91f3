"""A machine that is alive past its deadline: its hold grows with what it costs, and after a while people are called.

Whether it is alive counts as yes until its provider says no: money that may be owed is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlmodel import col, func, select

from jobs import db, ledger, milestones
from jobs.endings import LIVE, OVERDUE_AFTER, deadline_of
from jobs.errors import Unauthorized
from jobs.lifecycle import TERMINAL
from jobs.model import Attempt, Job, Note, NoteKind
from jobs.ports import Ports
from jobs.providers import Guarantee, Traits
from jobs.records import parse
from jobs.settlements import cost
from jobs.values import JobSpec, Micros

log = structlog.get_logger(__name__)

NO_CREDENTIALS = "no_credentials"  # a trouble that is the leads', whoever's job it is
# After the first page; a machine that nobody ends costs money each hour.
PAGED_EVERY = timedelta(hours=1)
# What is assumed of a provider that nobody can ask: its machine costs its rate for as long as it may stand.
UNCONFIGURED = Traits(
    name="unconfigured",
    guarantee=Guarantee.NONE,
    hard_lag=timedelta(0),
    startup=timedelta(0),
    granule=timedelta(seconds=1),
    minimum=timedelta(0),
    bills=True,
    extendable=False,
    idempotent=False,
    runs_images=False,
)


class Overdue:
    """Keeps the money and the people up to date about machines that do not end."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def consider(self, attempt: Attempt) -> None:
        """Grow the hold of a machine past its deadline, and page the leads once it is long past it."""
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            row = db.attempt_as_is(tx, attempt)
            job = db.get_job(tx, row.job_id)
            late = now - deadline_of(job, row)
            if row.state not in LIVE or row.called_at is None or late.total_seconds() <= 0:
                return
            if job.state not in TERMINAL and (more := self._owed(job, db.attempts(tx, job.id)) - job.hold) > 0:
                key = f"{job.id}:overdue:{row.id}:{int(now.timestamp())}"
                ledger.grow_hold(tx, job=job, micros=more, key=key, at=now, must_fit=False)
            if late < OVERDUE_AFTER:
                return
            log.error("machine.overdue", job=job.id, key=row.launch_key, minutes=late.total_seconds() / 60)
            hour = int((late - OVERDUE_AFTER) / PAGED_EVERY)
            milestones.Facts(tx=tx, job=job, attempt=row.number, now=now).write(
                f"a{row.number}:r{row.rank}:overdue" + (f":{hour}" if hour else ""),
                NoteKind.OVERDUE,
                {
                    "minutes": late.total_seconds() / 60,
                    "provider": row.provider,
                    "instance": row.instance_id or "",
                    "region": row.region,
                },
            )

    def unreachable(self, attempt: Attempt) -> None:
        """Tell, once, of a machine whose provider is not configured any more: nothing here can end it."""
        now = self._ports.clock.now()
        log.error("provider.missing", provider=attempt.provider, job=attempt.job_id, key=attempt.launch_key)
        text = (
            f"Its machine may stand at `{attempt.provider}`, which is no longer configured, so nothing here can end it "
            f"and its money stays held. Whoever runs the bot names `{attempt.provider}` in HOURGLASS_PROVIDERS again."
        )
        with self._ports.db.write() as tx:
            job = db.get_job(tx, attempt.job_id)
            milestones.Facts(tx=tx, job=job, attempt=attempt.number, now=now).write(
                f"a{attempt.number}:no_provider", NoteKind.TROUBLE, {"code": "no_provider", "text": text}
            )

    def locked_out(self, provider: str, job_ids: Sequence[str], error: Unauthorized) -> None:
        """Tell each team's leads, once a day, that a provider does not take the bot's credentials any more.

        In the thread of one of the team's jobs there: its other machines are meant as well.
        """
        now = self._ports.clock.now()
        data = {
            "code": NO_CREDENTIALS,
            "text": f"The bot cannot look after its machines at `{provider}`. {error}",
        }
        with self._ports.db.read() as tx:
            standing = select(Job.team_id, func.min(Job.id)).where(col(Job.id).in_(job_ids)).group_by(Job.team_id)
            teams = {f"{team}:{provider}:{NO_CREDENTIALS}:{now.date()}": (team, job) for team, job in tx.exec(standing)}
            told = set(tx.exec(select(Note.key).where(col(Note.key).in_(teams))))
        if not teams.keys() - told:
            return
        with self._ports.db.write() as tx:
            for key, (team, job) in teams.items():
                db.note(tx, key=key, kind=NoteKind.TROUBLE, at=now, team_id=team, job_id=job, data=data)

    def _owed(self, job: Job, rows: list[Attempt]) -> Micros:
        """Return what the job would cost if every machine ended now."""
        now, spec = self._ports.clock.now(), parse(JobSpec, job.spec or {})
        owed = 0
        for row in rows:
            provider = self._ports.providers.get(row.provider)
            if row.billed is not None:
                owed += row.billed
            elif row.called_at is not None:
                owed += cost(row, spec, provider.traits if provider else UNCONFIGURED, now)
        return owed
