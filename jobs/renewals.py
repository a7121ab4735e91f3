"""The credentials of machines that run, renewed at half of their life for as long as the deadline is beyond it.

STS lends for 12 hours at most, and for one where the bot itself runs on a role; rentals last longer, and are made
longer. The next credentials lie under `control/`, where the machine looks for them and can write nothing. What fails
is tried again in the next pass, and told in the thread while there is still time to do something about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from jobs import db, milestones
from jobs.endings import LIVE, deadline_of
from jobs.errors import ProviderError
from jobs.inputs import reads
from jobs.leases import EXPIRES, Span, lease_of, note_span, read_span
from jobs.lifecycle import AttemptState
from jobs.model import Attempt, Job, NoteKind
from jobs.ports import Ports
from jobs.records import parse
from jobs.values import JobSpec
from trainer import wire
from trainer.storage import StoreFault

log = structlog.get_logger(__name__)

ENOUGH = timedelta(minutes=5)  # beyond the deadline: what a machine still has to upload when its time is up
DUE, PRESSING = 0.5, 0.75  # parts of a loan: when the next is asked for, when people hear that there is none
_RUNS = (AttemptState.LAUNCHED, AttemptState.UP)


class Renewals:
    """Lends running machines their next credentials; remembers only what is written down."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._spans: dict[tuple[str, int], Span | None] = {}  # of the machines that stood in the last pass

    def round(self, live: Sequence[tuple[Attempt, Job]]) -> None:
        """Renew what is due of these machines, one session for all that an attempt has."""
        mine = {(row.job_id, row.number): (row, job) for row, job in live if row.rank == 0}
        for key in set(self._spans) - set(mine):
            self._forget(*key)
        for key, (row, job) in mine.items():
            if row.state not in _RUNS:
                continue
            try:
                self._consider(key, row, job)
            except (ProviderError, StoreFault) as error:
                log.warning("credentials.not_renewed", job=row.job_id, attempt=row.number, error=str(error))
                self._tell(key, row, error)
            except Exception:  # one machine's trouble must not keep the others from their credentials
                log.exception("credentials.broke", job=row.job_id, attempt=row.number)

    def _consider(self, key: tuple[str, int], row: Attempt, job: Job) -> None:
        if key not in self._spans:
            self._spans[key] = read_span(self._ports.store, *key)
        span, now, deadline = self._spans[key], self._ports.clock.now(), deadline_of(job, row)
        needed = deadline + ENOUGH
        if span is None or span.until >= needed or now >= needed or now < span.spent(DUE):
            return
        inputs = reads(parse(JobSpec, job.spec or {}).inputs)
        lent = self._ports.renew(row.job_id, row.number, deadline, inputs)
        if EXPIRES not in lent:
            return
        self._ports.store.put(wire.lease_key(*key), wire.to_json(lease_of(lent)))
        self._spans[key] = note_span(self._ports.store, *key, 0, now, lent)
        log.info("credentials.renewed", job=row.job_id, attempt=row.number)

    def _tell(self, key: tuple[str, int], row: Attempt, error: ProviderError | StoreFault) -> None:
        """Tell once of a loan that comes to its end, while whoever runs the bot can still help."""
        now, span = self._ports.clock.now(), self._spans.get(key)
        if span is None or now < span.spent(PRESSING):
            return
        text = (
            f"This machine reaches its files until {_clock(span.until)}, and no longer: its credentials could not be "
            f"renewed. {error}"
        )
        with self._ports.db.write() as tx:
            fresh, job = db.attempt_as_is(tx, row), db.get_job(tx, row.job_id)
            if fresh.state in LIVE:
                facts = milestones.Facts(tx=tx, job=job, attempt=row.number, now=now)
                data = {"code": "credentials", "text": text}
                facts.write(f"a{row.number}:credentials:{int(span.until.timestamp())}", NoteKind.TROUBLE, data)

    def _forget(self, job: str, attempt: int) -> None:
        """Remove what lies ready for a machine that is gone; its session ends by itself anyway."""
        if self._spans.pop((job, attempt)) is None:
            return
        try:
            self._ports.store.delete(wire.lease_key(job, attempt))
        except StoreFault as error:
            log.warning("credentials.kept", job=job, attempt=attempt, error=str(error))


def _clock(at: datetime) -> str:
    return f"{at:%H:%M} UTC"
