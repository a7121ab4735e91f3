"""When things happen: a date trigger at each deadline, the enforcing pass as the net under it, ticks, and wake-ups.

The triggers live in memory and are a courtesy: they are set again from the rows at the start, at each pass and at
each wake-up, and one that is lost costs at most the time to the next pass. The deadline column is the truth.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import structlog
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from jobs import db as rows
from jobs import glances, policy
from jobs.crew import Crew
from jobs.db import Database
from jobs.lifecycle import WITH_MACHINE, JobState
from jobs.model import Job
from jobs.pulse import Pulse
from jobs.records import parse
from jobs.values import JobSpec

log = structlog.get_logger(__name__)

DUE_SECONDS = 5.0  # between looks for jobs whose time to be tried again has come
APPROVAL_SECONDS = 30.0
WORKERS = 4  # a commit that is being fetched or an image that is being pulled must not hold up the next command
STOP_PATIENCE = 15.0

# For date triggers: whatever is late runs at once and once.
PUNCTUAL = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}


class Pricing(Protocol):
    """What works on REQUESTED jobs (`jobs.intake.Intake`)."""

    def due(self) -> list[str]:
        """Return the jobs to be worked on now."""

    def work(self, job_id: str) -> None:
        """Price a job and decide about it."""


class Renting(Protocol):
    """What works on jobs with or without a machine (`jobs.rentals.Rentals`)."""

    def due(self) -> list[str]:
        """Return the QUEUED jobs for which a machine should be looked for now."""

    def launch(self, job_id: str) -> None:
        """Find a machine."""

    def attend(self, job_id: str) -> None:
        """Do for one job what a pass would do."""

    def enforce(self) -> None:
        """Run the enforcing pass."""

    def owed_receipts(self) -> None:
        """Write the receipts that are missing."""


class Following(Protocol):
    """What reads machines' words (`jobs.follow.Follow`)."""

    def round(self) -> int:
        """Apply what is new."""


class Deciding(Protocol):
    """What approvals need (`jobs.service.Service`)."""

    def expire_due(self) -> object:
        """Expire what nobody decided."""

    def remind_due(self) -> object:
        """Remind the leads."""


class Rhythm(Protocol):
    """How often (`jobs.settings.Settings`)."""

    @property
    def enforce_seconds(self) -> float:
        """Between enforcing passes."""

    @property
    def follow_seconds(self) -> float:
        """Between looks at what the machines wrote."""


class Beat(Protocol):
    """What ticks (`jobs.pulse.Pulse`)."""

    def start(self) -> None:
        """Begin."""

    def stop(self, patience: float) -> bool:
        """Let the tick that runs come to its end, a while; return whether it did."""


class Beats(Protocol):
    """How a beat is made."""

    def __call__(self, name: str, tick: Callable[[], None], *, seconds: float, at_once: bool) -> Beat:
        """Return what calls `tick` every `seconds`, the first time at once where that is asked for."""


class Hands(Protocol):
    """Who works on jobs that were woken (`jobs.crew.Crew`)."""

    def start(self) -> None:
        """Begin."""

    def give(self, name: str) -> None:
        """Have a job worked on."""

    def stop(self, patience: float) -> bool:
        """Let what runs come to its end, a while; return whether it did."""


class Scheduler:
    """Runs the bot's work until `stop`. An exception in a tick is logged and ends nothing."""

    def __init__(
        self,
        *,
        db: Database,
        intake: Pricing,
        rentals: Renting,
        follow: Following,
        service: Deciding,
        settings: Rhythm,
        clockwork: BackgroundScheduler | None = None,  # of date triggers alone
        beats: Beats = Pulse,
        hands: Callable[[Callable[[str], None], int], Hands] = Crew,
    ) -> None:
        self._db = db
        self._intake = intake
        self._rentals = rentals
        self._follow = follow
        self._service = service
        self._settings = settings
        self._crew = hands(self._work, WORKERS)
        self._clockwork = clockwork or BackgroundScheduler(timezone=UTC, job_defaults=PUNCTUAL)
        self._beats = beats
        self._beating: list[Beat] = []
        self._planning = threading.Lock()  # the pass and the crew plan at the same time
        self._planned: dict[str, datetime] = {}
        self._passed = False

    def start(self) -> None:
        """Start the ticks, the first enforcing pass at once: what a crash left behind is looked up now."""
        self._crew.start()
        self._clockwork.add_job(_logged("receipts", self._rentals.owed_receipts), id="receipts")
        self._clockwork.start()
        self._every(self._settings.enforce_seconds, "enforce", self._enforce, at_once=True)
        self._every(self._settings.follow_seconds, "follow", self._follow.round)
        self._every(DUE_SECONDS, "due", self._give_due, at_once=True)
        self._every(APPROVAL_SECONDS, "approvals", self._approvals)

    def wake(self, job_id: str = "") -> None:
        """Have a job looked at now, by a thread of the crew; without one, everything whose time has come."""
        self._crew.give(job_id)

    def stop(self) -> None:
        """End the ticks and wait for what runs, a while; a machine that is being launched then is found again later."""
        for beat in self._beating:
            if not beat.stop(STOP_PATIENCE):
                log.warning("tick.left_behind")
        self._clockwork.shutdown(wait=True)
        self._crew.stop(STOP_PATIENCE)

    def planned(self) -> dict[str, datetime]:
        """Return the deadlines that have a trigger, by job."""
        with self._planning:
            return dict(self._planned)

    # ------------------------------------------------------------ ticks

    def _every(self, seconds: float, name: str, tick: Callable[[], object], *, at_once: bool = False) -> None:
        beat = self._beats(name, _logged(name, tick), seconds=seconds, at_once=at_once)
        self._beating.append(beat)
        beat.start()

    def _enforce(self) -> None:
        self._rentals.enforce()
        with self._db.read() as tx:
            jobs = glances.jobs_with_machine(tx)
        self._plan(jobs)
        if not self._passed:  # what is queued has waited for the first pass
            self._passed = True
            self._give_due()

    def _give_due(self) -> None:
        for job_id in (*self._intake.due(), *self._rentals.due()):
            self._crew.give(job_id)

    def _approvals(self) -> None:
        self._service.expire_due()
        self._service.remind_due()

    # ------------------------------------------------------------ one job

    def _work(self, job_id: str) -> None:
        """Do what a job needs in the state in which it is, until its state stays."""
        if not job_id:
            self._give_due()
            return
        job = self._job(job_id)
        if job is not None and job.state is JobState.REQUESTED:
            self._intake.work(job_id)
            job = self._job(job_id)
        if job is not None and job.state is JobState.QUEUED:
            self._rentals.launch(job_id)
            job = self._job(job_id)
        if job is not None and job.state in WITH_MACHINE:
            self._rentals.attend(job_id)
            job = self._job(job_id)
            if job is not None:
                self._plan_one(job)

    def _job(self, job_id: str) -> Job | None:
        with self._db.read() as tx:
            return rows.find_job(tx, job_id)

    # ------------------------------------------------------------ triggers

    def _plan(self, jobs: list[Job]) -> None:
        """Let exactly these jobs have triggers."""
        with self._planning:
            for job_id in set(self._planned) - {job.id for job in jobs}:
                del self._planned[job_id]
                for name in _names(job_id):
                    with suppress(JobLookupError):  # it has fired
                        self._clockwork.remove_job(name)
        for job in jobs:
            self._plan_one(job)

    def _plan_one(self, job: Job) -> None:
        """Have the job attended to when its grace begins and at its deadline, wherever that is by now."""
        if job.deadline is None or job.state not in WITH_MACHINE or self._planned.get(job.id) == job.deadline:
            return
        grace = policy.grace(parse(JobSpec, job.spec or {}).minutes)
        with self._planning:
            if self._planned.get(job.id) == job.deadline:
                return
            for name, at in zip(_names(job.id), (job.deadline - grace, job.deadline), strict=True):
                self._clockwork.add_job(
                    self._crew.give, "date", run_date=at, args=[job.id], id=name, replace_existing=True
                )
            self._planned[job.id] = job.deadline


def _names(job_id: str) -> tuple[str, str]:
    return f"grace:{job_id}", f"deadline:{job_id}"


def _logged(name: str, tick: Callable[[], object]) -> Callable[[], None]:
    """Return the tick with its exceptions logged: the next one comes all the same."""

    def run() -> None:
        try:
            tick()
        except Exception:  # a tick that fails is tried again at its next time; the trace is in the log
            log.exception("tick.failed", tick=name)

    return run
