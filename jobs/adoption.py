"""Machines of our home that no row knows, and rows that were written off too early.

They are there after a database was restored from an old backup, or by a provider that told an untruth. A machine
whose job is known gets a row again, and the enforcing pass ends it if the job has moved on without it. One that
nobody knows is left alone until the deadline that its own tags carry; then it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlmodel import Session

from jobs import db, glances, milestones, orders
from jobs.endings import LIVE
from jobs.errors import NotWritten, ProviderError
from jobs.lifecycle import TERMINAL, WITH_MACHINE, AttemptEventName, AttemptState, JobEventName, JobState
from jobs.model import Attempt, Job, NoteKind
from jobs.ports import Ports
from jobs.providers import Instance, InstanceState, Provider

log = structlog.get_logger(__name__)

KNOWN = WITH_MACHINE | TERMINAL | {JobState.QUEUED}


class Adoption:
    """Looks through what a provider lists for machines that the rows do not account for."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._heard: set[str] = set()  # providers whose listing was looked through since this process began

    def consider(self, provider: Provider, instances: Sequence[Instance], *, trusted: bool) -> None:
        """Adopt or end what no live row accounts for. `trusted` False: nothing ends by the wall clock."""
        if self._look(provider, instances, trusted=trusted):
            self._heard.add(provider.traits.name)

    def has_heard(self) -> bool:
        """Return whether every provider has told since the start what stands, and strays have their rows."""
        return self._heard >= {provider.traits.name for provider in self._ports.providers.values()}

    def _look(self, provider: Provider, instances: Sequence[Instance], *, trusted: bool) -> bool:
        """Deal with each; False where one could not be dealt with."""
        ours = [
            instance
            for instance in instances
            if instance.tags.get("home") == self._ports.home and instance.state is not InstanceState.GONE
        ]
        if not ours:
            return True
        keys = [instance.tags.get("key", "") for instance in ours]
        with self._ports.db.read() as tx:
            states = glances.states_by_key(tx, keys)
        well = True
        for instance in ours:
            state = states.get(instance.tags.get("key", ""))
            if state in LIVE:
                continue
            try:
                if state is not None:
                    self._end(provider, instance, "written off")
                else:
                    self._stray(provider, instance, trusted)
            except ProviderError as error:
                log.warning("adopt.failed", provider=provider.traits.name, instance=instance.id, error=str(error))
                well = False
            except Exception:  # a stray that cannot be dealt with must not keep the pass from the machines we know
                log.exception("adopt.broke", provider=provider.traits.name, instance=instance.id)
                well = False
        return well

    def _stray(self, provider: Provider, instance: Instance, trusted: bool) -> None:
        """Adopt the machine, or end it once it is past its deadline: also where its row cannot be written."""
        try:
            adopted = self._adopt(provider, instance)
        except NotWritten:
            if not (trusted and self._past(instance)):
                raise
            adopted = False
        if not adopted and trusted and self._past(instance):
            self._end(provider, instance, "unknown and past its deadline")

    def _past(self, instance: Instance) -> bool:
        deadline = orders.tagged_deadline(instance)
        if deadline is None:
            log.error("machine.no_deadline", provider=instance.provider, instance=instance.id)
            return False
        return self._ports.clock.now() >= deadline

    def _end(self, provider: Provider, instance: Instance, why: str) -> None:
        if instance.state is not InstanceState.ENDING:
            tags = dict(instance.tags)
            log.error("machine.stray", provider=instance.provider, instance=instance.id, tags=tags, why=why)
        provider.terminate(instance)  # also where it is said to be ending: it may not have been meant

    def _adopt(self, provider: Provider, instance: Instance) -> bool:
        """Give the machine a row; False where its job or its tags are not known."""
        now = self._ports.clock.now()
        number, deadline = orders.tagged_number(instance, "attempt"), orders.tagged_deadline(instance)
        key = instance.tags.get("key", "")
        if number is None or number < 1 or deadline is None or not key:
            return False
        with self._ports.db.write() as tx:
            job = db.find_job(tx, instance.tags.get("job", ""))
            if job is None or job.state not in KNOWN or job.spec is None:
                return False
            row = self._row(tx, job, instance, key=key, number=number, deadline=deadline, now=now)
            alone = not any(other.state in LIVE and other.id != row.id for other in db.attempts(tx, job.id))
            if job.state is JobState.QUEUED and alone and number > job.attempt:
                # The rows are older than the machine: it is the one that the job was waiting for.
                fresh = {"short_at": None, "first_left_at": None}
                db.move(tx, job, JobEventName.LAUNCH, now, attempt=number, deadline=job.deadline or deadline, **fresh)
            milestones.Facts(tx=tx, job=job, attempt=number, now=now).write(
                f"a{number}:r{row.rank}:adopted",
                NoteKind.ADOPTED,
                {"provider": instance.provider, "instance": instance.id, "region": instance.region},
            )
        log.warning("machine.adopted", job=job.id, key=key, provider=provider.traits.name, instance=instance.id)
        self._ports.wake(job.id)
        return True

    def _row(
        self, tx: Session, job: Job, instance: Instance, *, key: str, number: int, deadline: datetime, now: datetime
    ) -> Attempt:
        since = min(now, instance.launched_at or now)
        row = Attempt(
            job_id=job.id,
            number=number,
            rank=orders.tagged_number(instance, "rank") or 0,
            launch_key=key,
            state=AttemptState.INTENT,
            provider=instance.provider,
            offer=job.offer or {},
            # What it costs is not known any more; it cannot have been over the ceiling.
            micros_per_hour=job.rate_ceiling or 0,
            deadline=deadline,
            region=instance.region,
            intent_at=since,
            called_at=since,
        )
        tx.add(row)
        tx.flush()
        db.move_attempt(tx, row, AttemptEventName.LAUNCHED, now, instance_id=instance.id, launched_at=since)
        return row
