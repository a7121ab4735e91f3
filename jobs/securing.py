"""A machine that its provider's own timer has to end: the timer stands, or the job does not go on.

A provider that keeps such timers beside its machines (`Guarantee.EXTERNAL`) cannot make both in one call. So each
machine begins unsecured: nothing that it says is heard, and its job does not run, until its timer and its tag were
seen to say the deadline. Each pass looks again. What cannot be put right in time ends the job; a timer that could be
read before and cannot be asked for now is believed to stand.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from jobs import db, endings, milestones
from jobs.controls import Controls
from jobs.errors import ProviderError, Throttled, Unknown
from jobs.lifecycle import AttemptState, JobEventName, JobState
from jobs.model import Attempt, NoteKind
from jobs.ports import Ports
from jobs.providers import Instance, Provider
from trainer.wire import Reason

log = structlog.get_logger(__name__)

# How long a machine may stand without its timer: one that has not begun costs money for nothing; one that trains has
# the timer on the machine and the bot behind it meanwhile, and work to lose.
NEW_FOR = timedelta(minutes=3)
RUNNING_FOR = timedelta(minutes=10)


class Securing:
    """Sets providers' timers, and stops jobs whose machines have none."""

    def __init__(self, ports: Ports, controls: Controls) -> None:
        self._ports = ports
        self._controls = controls

    def secure(self, provider: Provider, attempt: Attempt, instance: Instance) -> None:
        """Let the machine's timer say its deadline; raises `ProviderError`, and stops the job once that is too late."""
        with self._ports.db.read() as tx:
            job = db.get_job(tx, attempt.job_id)
        try:
            done = self._controls.set_limit(provider, job.id, instance, endings.deadline_of(job, attempt))
        except ProviderError as error:
            self._fails(attempt, error)
            raise
        if done and attempt.unsecured_since is not None:
            self.stands(attempt)

    def stands(self, attempt: Attempt) -> None:
        """Write down that the timer stands: from now on the machine is heard."""
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            row = db.attempt_as_is(tx, attempt)
            if row.state in endings.LIVE and row.unsecured_since is not None:
                db.touch_attempt(tx, row, now, unsecured_since=None)
        self._ports.wake(attempt.job_id)

    def _fails(self, attempt: Attempt, error: ProviderError) -> None:
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            row, job = db.attempt_as_is(tx, attempt), db.get_job(tx, attempt.job_id)
            if row.state not in endings.LIVE or job.state not in (JobState.PROVISIONING, JobState.RUNNING):
                return
            since = row.unsecured_since
            if since is None:
                since = now
                db.touch_attempt(tx, row, now, unsecured_since=now)
            facts = milestones.Facts(tx=tx, job=job, attempt=row.number, now=now)
            if not isinstance(error, Unknown | Throttled):
                text = f"Nothing at {row.provider} would end this machine if the bot were down. {error}"
                facts.write(
                    f"a{row.number}:r{row.rank}:unsecured", NoteKind.TROUBLE, {"code": "unsecured", "text": text}
                )
            if now < _too_late(row, since):
                return
            log.error("machine.unsecured", job=job.id, key=row.launch_key, error=str(error))
            reason = Reason.UNSECURED.value
            db.move(tx, job, JobEventName.STOP, now, stop_reason=reason, stopping_at=now, error=str(error))
            facts.write("stopping", NoteKind.STOPPING, {"reason": reason})
        self._ports.wake(attempt.job_id)


def _too_late(row: Attempt, since: datetime) -> datetime:
    """Return until when a machine may stand without its timer."""
    if row.state is AttemptState.LAUNCHED:
        return max(since, row.launched_at or since) + NEW_FOR
    return since + RUNNING_FOR
