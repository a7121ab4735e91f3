"""Rentals whose date triggers are lost, doubled, late and stray, under a bot that is restarted: does each end in time?

One run is a few rentals of minutes by the real scheduler, the real rentals and APScheduler's own machinery, turned by
hand. Its faults are drawn from its seed before it begins. Time in which no bot runs does not count as lateness; what
counts is measured at the cloud, not in the rows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from jobs import db as rows
from jobs import policy
from jobs.errors import HourglassError
from jobs.lifecycle import TERMINAL, JobState
from jobs.model import Job
from jobs.policy import Person
from jobs.records import parse
from jobs.scheduler import Scheduler
from jobs.service import Service
from jobs.settings import load
from jobs.values import JobSpec
from tests.races.handwork import Beats, Clockwork, Hands
from tests.support.builders import a_spec
from tests.support.world import Agent, World

PASS = 30.0  # seconds between enforcing passes
ALLOWED = timedelta(seconds=PASS)
LEAD = Person(id="U9LEAD", lead=True)
FAULTS = ("lost", "all lost", "doubled", "late", "stray", "moved", "moved unheard", "restart", "wake lost")


@dataclass(kw_only=True)
class Outcome:
    """What a run came to."""

    deadlines: int = 0
    missed: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)  # seconds after each deadline, outages apart
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often the bot ticks."""

    enforce_seconds: float = PASS
    follow_seconds: float = 60.0


class Idle:
    """Intake and approvals that have nothing to do."""

    def due(self) -> list[str]:
        """Return that nothing waits for a price."""
        return []

    def work(self, job_id: str) -> None:
        """Do nothing."""

    def expire_due(self) -> None:
        """Do nothing."""

    def remind_due(self) -> None:
        """Do nothing."""


class Run:
    """One run. `faults` None: those that the seed draws."""

    def __init__(
        self, folder: Path, seed: int, *, enforce_seconds: float = PASS, faults: list[str] | None = None
    ) -> None:
        self._random = random.Random(seed)
        self._world = World(folder)
        self._rhythm = Rhythm(enforce_seconds=enforce_seconds)
        self._outages: list[tuple[datetime, datetime]] = []
        self._held_until = self._world.now()
        self._outcome = Outcome()
        self._agents: list[Agent] = []
        self._start_bot()
        drawn = self._random.choices(FAULTS, k=self._random.randint(2, 8)) if faults is None else faults
        self._plans = self._planned(drawn)

    def play(self) -> Outcome:
        """Let time run until every machine has been gone for a while, and judge."""
        while self._plans or any(job.state not in TERMINAL for job in self._jobs()):
            self._step()
            assert self._world.clock.monotonic() < 100_000, "This run comes to no end."
        self._stop_bot()
        self._judge()
        self._world.db.close()
        return self._outcome

    # ------------------------------------------------------------ the bot

    def _start_bot(self) -> None:
        world = self._world
        world.restart()
        self._clockwork, self._beats = Clockwork(world.clock), Beats(world.clock)
        self._hands: Hands | None = None
        self._scheduler = Scheduler(
            db=world.db,
            intake=Idle(),
            rentals=world.rentals,
            follow=world.follow,
            service=Idle(),
            settings=self._rhythm,
            clockwork=self._clockwork,
            beats=self._beats,
            hands=self._hired,
        )
        world.wake = self._scheduler.wake
        self._service = Service(
            db=world.db,
            clock=world.clock,
            ids=world.ids,
            settings=load({"HOURGLASS_TEAM": "vision"}),
            traits={"cloud": world.cloud.traits},
            mover=lambda job, deadline: world.rentals.move_deadline(job, deadline),
            wake=lambda job_id: world.wake(job_id),
        )
        self._scheduler.start()

    def _hired(self, work: Callable[[str], None], size: int) -> Hands:
        self._hands = Hands(work, size)
        return self._hands

    def _stop_bot(self) -> None:
        self._scheduler.stop()

    # ------------------------------------------------------------ time

    def _planned(self, faults: list[str]) -> list[tuple[datetime, Callable[[], None]]]:
        """Draw when jobs come and when each fault strikes, latest first."""
        begin = self._world.now()

        def at(most: float) -> datetime:
            return begin + timedelta(seconds=round(self._random.uniform(1, most), 3))

        plans: list[tuple[datetime, Callable[[], None]]] = [
            (at(120), self._new_job) for _ in range(self._random.randint(1, 3))
        ]
        for name in faults:
            plans.append((at(420), lambda name=name: self._strike(name)))
        return sorted(plans, key=lambda plan: plan[0], reverse=True)

    def _step(self) -> None:
        """Go to the next moment at which anything happens, and let it happen."""
        clock, now = self._world.clock, self._world.now()
        moments = [now + timedelta(seconds=self._beats.due() - clock.monotonic())]
        if self._plans:
            moments.append(self._plans[-1][0])
        trigger = self._clockwork.due()
        if trigger is not None:
            moments.append(max(trigger, self._held_until))
        clock.advance(max(timedelta(0), min(moments) - now))
        while self._plans and self._plans[-1][0] <= self._world.now():
            self._plans.pop()[1]()
        self._turn()

    def _turn(self) -> None:
        """Do once what the bot's threads would do now."""
        if self._world.now() >= self._held_until:
            self._clockwork.turn()
        self._beats.turn()
        assert self._hands is not None
        self._hands.work()

    # ------------------------------------------------------------ what happens

    def _new_job(self) -> None:
        minutes = round(self._random.uniform(1.5, 6), 2)
        job_id = self._world.queued(a_spec(minutes=minutes, providers=("cloud",)))
        self._scheduler.wake(job_id)
        self._turn()
        if self._random.random() < 0.7:
            self._agents.append(Agent(self._world, job_id).says("stage", stage="run", note=""))

    def _strike(self, name: str) -> None:
        """Let a fault happen, where there is something for it to happen to."""
        triggers = [job for job in self._clockwork.get_jobs() if ":" in job.id]
        running = [job for job in self._jobs() if job.state in (JobState.PROVISIONING, JobState.RUNNING)]
        now = self._world.now()
        match name:
            case "lost" if triggers:
                self._clockwork.remove_job(self._random.choice(triggers).id)
            case "all lost" if triggers:
                self._clockwork.remove_all_jobs()
            case "doubled" if triggers:
                for twin in triggers:
                    self._clockwork.add_job(twin.func, "date", run_date=twin.next_run_time, args=twin.args)
            case "late":
                self._held_until = now + timedelta(seconds=self._random.uniform(5, 180))
            case "stray" if triggers:
                self._random.choice(triggers).modify(next_run_time=now)
            case "moved" | "moved unheard" if running:
                self._move(self._random.choice(running).id, heard=name == "moved")
            case "restart":
                self._restart()
            case "wake lost":
                assert self._hands is not None
                self._hands.stop(0.0)
            case _:
                return
        self._outcome.faults[name] += 1

    def _move(self, job_id: str, *, heard: bool) -> None:
        """Extend a job; unheard, nobody tells the scheduler, whose triggers then stand at the old deadline."""
        if not heard:
            self._world.wake = lambda _: None
        try:
            self._service.extend(job_id, LEAD, round(self._random.uniform(0.5, 2), 2))
        except HourglassError:
            self._outcome.faults["extension refused"] += 1
        finally:
            self._world.wake = self._scheduler.wake

    def _restart(self) -> None:
        self._stop_bot()
        down = self._world.now()
        self._world.clock.advance(self._random.uniform(0, 90))
        self._outages.append((down, self._world.now()))
        self._held_until = self._world.now()
        self._start_bot()

    # ------------------------------------------------------------ judgement

    def _jobs(self) -> list[Job]:
        with self._world.db.read() as tx:
            return rows.jobs_in(tx, *JobState)

    def _judge(self) -> None:
        for job in self._jobs():
            (machine,) = [machine for machine in self._world.cloud.machines if machine.order.job == job.id]
            assert job.deadline is not None
            self._outcome.deadlines += 1
            if machine.ends_at is None or machine.ends_at < self._soonest(job, job.deadline):
                self._outcome.early.append(f"{job.id}: {machine.ends_at} before {job.deadline}")
                continue
            late = machine.ends_at - job.deadline - self._down(job.deadline, machine.ends_at)
            self._outcome.late.append(max(0.0, late.total_seconds()))
            if late > ALLOWED:
                self._outcome.missed.append(f"{job.id}: {late.total_seconds():.0f} s late")
            if job.state is not JobState.TIMED_OUT:
                self._outcome.unsettled.append(f"{job.id}: {job.state.value}")
        if not self._world.balanced() or self._world.period().held:
            self._outcome.unsettled.append("the month is not the sum of its entries, or still holds something")

    def _soonest(self, job: Job, deadline: datetime) -> datetime:
        """Return when a machine may end: where nobody ever spoke, nobody is there who could use the grace."""
        return deadline if job.started_at else deadline - policy.grace(parse(JobSpec, job.spec or {}).minutes)

    def _down(self, begin: datetime, end: datetime) -> timedelta:
        """Return how much of a span no bot ran in."""
        overlaps = (min(end, up) - max(begin, down) for down, up in self._outages)
        return sum((max(timedelta(0), each) for each in overlaps), timedelta(0))
