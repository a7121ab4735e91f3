"""What becomes of a job for which no machine can be had now: it waits, or it ends with words that help.

Waiting is bounded: by the policy's number of tries, and by the end that its first machine would have had, since a
result that was wanted by then is not worth a machine after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from jobs import db, milestones, policy
from jobs.endings import LEAST_LEFT
from jobs.errors import Scope, TooLate
from jobs.lifecycle import AttemptState, JobEventName, JobState
from jobs.model import Attempt, Job, NoteKind
from jobs.ports import Ports
from jobs.records import parse
from jobs.settlements import Settlements
from jobs.values import JobSpec
from trainer.wire import Reason

log = structlog.get_logger(__name__)

WAIT_FOR_ONE = "Try again later or with another `gpu=`, or let it wait for one: `retry: {on_events: [no-capacity]}`."
# A rental of minutes is still worth this much patience with a store or a provider that stumbles.
LEAST_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why one offer, or all of them, came to nothing."""

    reason: Reason
    text: str
    passing: bool = False  # the same may well work in a minute: a throttle, a store that is away
    scope: Scope = Scope.PERMANENT  # how far it reaches: which other offers it rules out


class Patience:
    """Decides between waiting and giving up, and writes it down."""

    def __init__(self, ports: Ports, settlements: Settlements) -> None:
        self._ports = ports
        self._settlements = settlements

    def nothing(self, job: Job, refusals: Sequence[Refusal]) -> None:
        """Let a QUEUED job wait or fail, given what was tried; `refusals` has at least one."""
        now = self._ports.clock.now()
        spec = parse(JobSpec, job.spec or {})
        telling = next((refusal for refusal in refusals if not refusal.passing), refusals[0])
        with self._ports.db.read() as tx:
            rows = db.attempts(tx, job.id)
            waits = [
                note for note in db.notes(tx, job.id) if note.kind == NoteKind.NO_MACHINE and "retry_at" in note.data
            ]
        wait = wait_for(spec, telling, tries=len(waits) + 1)
        if wait is not None and now + wait < latest(job, spec, rows):
            self._wait(job, telling, now + wait, len(waits) + 1, now)
            return
        text = telling.text
        if telling.reason is Reason.NO_CAPACITY and "no-capacity" not in spec.retry_on:
            text = f"{text} {WAIT_FOR_ONE}"
        self._settlements.close(job.id, event=JobEventName.FAIL, reason=telling.reason, text=text)

    def _wait(self, job: Job, refusal: Refusal, until: datetime, tries: int, now: datetime) -> None:
        try:
            with self._ports.db.write() as tx:
                row = db.get_job(tx, job.id)
                if row.state is not JobState.QUEUED:
                    return
                db.touch(tx, row, now, not_before=until)
                milestones.Facts(tx=tx, job=row, attempt=row.attempt, now=now).write(
                    f"wait:{tries}",
                    NoteKind.NO_MACHINE,
                    {
                        "text": refusal.text,
                        "reason": refusal.reason.value,
                        "retry_at": until.timestamp(),
                        "first": tries == 1 and not refusal.passing,
                    },
                )
        except TooLate as error:
            log.info("launch.overtaken", job=job.id, error=str(error))
            return
        self._ports.wake(job.id)


def wait_for(spec: JobSpec, refusal: Refusal, *, tries: int) -> timedelta | None:
    """Return how long to wait before another try; None when it is not to be tried again."""
    if refusal.passing:
        return policy.retry_after(Reason.LAUNCH_FAILED, tries)
    if refusal.reason is Reason.NO_CAPACITY and "no-capacity" in spec.retry_on:
        return policy.retry_after(Reason.NO_CAPACITY, tries)
    return None


def latest(job: Job, spec: JobSpec, rows: Sequence[Attempt]) -> datetime:
    """Return until when a machine is still worth waiting for."""
    if job.deadline is not None and any(row.state is AttemptState.GONE for row in rows):
        return job.deadline - LEAST_LEFT
    began = min((row.intent_at for row in rows), default=job.decided_at or job.created_at)
    return began + max(timedelta(minutes=spec.minutes), LEAST_PATIENCE)
