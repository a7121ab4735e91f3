"""What a running machine is asked for: the control file, and a deadline that moves.

The file is derived from the rows and written when it differs, so whatever a crash or an extension that failed left
in it is corrected by the next pass. While a deadline moves, the pass leaves that job's file alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from jobs import db, orders
from jobs.endings import LIVE, deadline_of
from jobs.errors import HourglassError, ProviderError, Refused, StoreError, TooLate
from jobs.journal import Journal
from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt, Job
from jobs.ports import Claims, Ports
from jobs.providers import Instance, Provider
from trainer import wire
from trainer.storage import StoreFault

log = structlog.get_logger(__name__)

# Floats on the wire: closer than this is the same moment.
SAME = timedelta(milliseconds=10)


class Controls:
    """Writes control files, and moves deadlines."""

    def __init__(self, ports: Ports, journal: Journal) -> None:
        self._ports = ports
        self._journal = journal
        self._moving = Claims()

    def stand(self, job: Job, attempt: Attempt) -> bool:
        """Return whether the control file says what the rows say; raises `StoreFault`."""
        data = self._ports.store.get(wire.control_key(attempt.job_id, attempt.number))
        try:
            stands = None if data is None else wire.from_json(wire.Control, data)
        except ValueError:
            return False
        return stands is not None and _says(stands, deadline_of(job, attempt), wanted_stop(job), described(job))

    def reconcile(self, job: Job, attempt: Attempt) -> None:
        """Let the control file say what the rows say; raises `StoreFault`."""
        with self._moving.claim(job.id) as mine:
            if mine:
                self._write(attempt, deadline_of(job, attempt), wanted_stop(job), described(job))

    def move_deadline(self, job: Job, deadline: datetime) -> None:
        """Move every machine of the job to a new deadline: provider, control file, the attempt's column last.

        The mover of `jobs.service`, which has the money held before and moves the job's column after. Raises
        `Refused`, `TooLate`, `ProviderError` or `StoreError`; the old deadline stands then. A deadline that is not
        beyond the job's own takes back an extension that came to nothing, whatever the job does by now.
        """
        with self._moving.claim(job.id) as mine:
            if not mine:
                raise TooLate(f"The deadline of job {job.id} is being moved by another press.")
            with self._ports.db.read() as tx:
                fresh = db.get_job(tx, job.id)
                machines = [row for row in db.attempts(tx, job.id) if row.state in LIVE and row.number == job.attempt]
            if fresh.deadline is not None and deadline <= fresh.deadline:
                self._back(machines, deadline, wanted_stop(fresh))
                self._columns_back(machines, deadline)
                return
            if not machines or any(row.state not in (AttemptState.LAUNCHED, AttemptState.UP) for row in machines):
                raise TooLate(f"Job {job.id} has no machine that runs now. Look at its card, then try again.")
            moved: list[Attempt] = []
            try:
                self._journal.write(job.id)  # with the hold that pays for it
                for row in machines:
                    moved.append(row)
                    self._move(row, deadline)
                self._commit(job, machines, deadline)
            except (HourglassError, StoreFault) as error:
                self._back(moved)
                if isinstance(error, StoreFault):
                    raise StoreError(f"The machine could not be told. {error}") from error
                raise

    def set_limit(self, provider: Provider, job_id: str, instance: Instance, deadline: datetime) -> bool:
        """Let the provider's timer and the tag say the deadline; False while somebody moves it.

        Raises `ProviderError`.
        """
        with self._moving.claim(job_id) as mine:
            if mine:
                provider.extend(instance, deadline)
            return mine

    def _move(self, row: Attempt, deadline: datetime) -> None:
        provider = self._ports.providers[row.provider]
        if not provider.traits.extendable:
            raise Refused("This machine's deadline is fixed. Continue from its checkpoint on a new one.")
        instance = provider.find(row.launch_key)
        if instance is None:
            raise TooLate(f"The provider does not show the machine of job {row.job_id} now. Try again in a minute.")
        provider.extend(instance, deadline)
        self._write(row, deadline, None)

    def _commit(self, job: Job, machines: list[Attempt], deadline: datetime) -> None:
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            state = db.get_job(tx, job.id).state
            if state not in (JobState.PROVISIONING, JobState.RUNNING):
                raise TooLate(f"Job {job.id} is {state.value} by now.")
            for machine in machines:
                row = db.attempt_as_is(tx, machine)
                if row.state not in (AttemptState.LAUNCHED, AttemptState.UP):
                    raise TooLate(f"The machine of job {job.id} is ending by now.")
                db.touch_attempt(tx, row, now, deadline=deadline)

    def _back(self, moved: list[Attempt], deadline: datetime | None = None, stop: wire.Reason | None = None) -> None:
        """Put the old deadlines back where they were moved; what fails here is still enforced from the column.

        Without `deadline` it is each row's own.
        """
        for row in moved:
            old = deadline or row.deadline
            for undo in (partial(self._limit_back, row, old), partial(self._write, row, old, stop)):
                try:
                    undo()
                except (ProviderError, StoreFault) as error:
                    log.warning("extend.not_undone", job=row.job_id, attempt=row.number, error=str(error))

    def _limit_back(self, row: Attempt, deadline: datetime) -> None:
        provider = self._ports.providers[row.provider]
        instance = provider.find(row.launch_key) if provider.traits.extendable else None
        if instance is not None:
            provider.extend(instance, deadline)

    def _columns_back(self, machines: list[Attempt], deadline: datetime) -> None:
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            for machine in machines:
                row = db.attempt_as_is(tx, machine)
                db.touch_attempt(tx, row, now, deadline=deadline)

    def _write(
        self,
        attempt: Attempt,
        deadline: datetime,
        stop: wire.Reason | None,
        progress: Sequence[str] | None = None,
    ) -> None:
        key = wire.control_key(attempt.job_id, attempt.number)
        seq = 1
        data = self._ports.store.get(key)
        if data is not None:
            try:
                stands = wire.from_json(wire.Control, data)
                seq = stands.seq + 1
                if _says(stands, deadline, stop, progress):
                    return
            except ValueError:
                # Unreadable is worse than old for the machine: beyond any number that it can have seen.
                seq = int(self._ports.clock.now().timestamp())
        self._ports.store.put(key, orders.control(seq=seq, deadline=deadline, stop=stop, progress=progress))


def _says(control: wire.Control, deadline: datetime, stop: wire.Reason | None, progress: Sequence[str] | None) -> bool:
    if progress is not None and control.progress != progress:
        return False
    return control.stop == stop and abs(control.deadline - deadline.timestamp()) < SAME.total_seconds()


def wanted_stop(job: Job) -> wire.Reason | None:
    """Return why the machine is asked to stop, None while it is not."""
    if job.state is not JobState.STOPPING:
        return None
    return wire.Reason(job.stop_reason or wire.Reason.STOPPED)


def described(job: Job) -> Sequence[str] | None:
    """Return what somebody said of its lines beside its task file, None where nobody did."""
    spec = job.spec or {}
    return list(spec.get("progress", ())) if spec.get("described") else None
