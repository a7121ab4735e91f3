"""A team's deployment whose Slack has bad days: real rentals over a fake cloud, real decisions, the real notifier.

The course of the jobs is drawn from the seed before anything happens, and never looks at Slack: two newsrooms of one
seed live through the same rentals, whether anybody is told of them or not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.catalogue import Catalogue
from bot.links import Links
from bot.notify import Notifier
from bot.people import People
from jobs.errors import NotAllowed, TooLate
from jobs.intake import Intake
from jobs.lifecycle import TERMINAL, AttemptState, JobState
from jobs.model import Job
from jobs.offers import Desk
from jobs.policy import Person
from jobs.service import Service
from jobs.settings import load
from jobs.values import DOLLAR, JobSpec
from tests.face.stage import Sketches
from tests.operators.slack import CALM, OUTAGE, ROOMS, Workspace, random_weather
from tests.support.builders import a_request, a_source, a_spec
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.mortal import Killed
from tests.support.world import Agent, World

TICK = 60.0  # seconds between two looks at everything
SPACING = 1.1  # seconds that pass between two rounds of a notifier that has more to say
HALF_A_DAY = timedelta(hours=6)  # an outage that the notifications have to survive
LAST_DECISION = 20  # minutes after which no plan has anything decided
SAY = Catalogue.load()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes of one job, in minutes."""

    room: str
    person: str
    asked: int  # since the beginning
    minutes: int
    decided: int | None  # after it was asked for; None: nobody decides
    granted: bool
    finishes: int | None  # after its machine was up; None: it runs to its deadline
    stopped: int | None  # after its machine was up: somebody presses Stop
    diverges: bool
    deaf: int  # minutes past the deadline for which its cloud does not end machines


def plans(chance: random.Random) -> Iterator[Plan]:
    """Draw what a few jobs go through."""
    for _ in range(chance.randint(1, 3)):
        minutes = chance.choice((6, 10, 16))
        yield Plan(
            room=chance.choice(ROOMS),
            person=chance.choice(("ada", "tam")),
            asked=chance.randint(0, 6),
            minutes=minutes,
            decided=chance.choice((1, 5, 10, None)),
            granted=chance.random() < 0.8,
            finishes=chance.choice((None, minutes // 2, minutes - 2)),
            stopped=chance.choice((None, None, None, minutes // 3)),
            diverges=chance.random() < 0.3,
            deaf=chance.choice((0, 0, 0, 0, 70)),
        )


class Newsroom:
    """One deployment. `told` False: there is no Slack and no notifier at all, only the jobs."""

    def __init__(self, folder: Path, seed: str, *, told: bool = True) -> None:
        self.clock = FakeClock()
        self.world = World(folder, FakeProvider(self.clock, boot_delay=timedelta(seconds=30)), clock=self.clock)
        self.slack = Workspace(clock=self.clock, chance=random.Random(f"{seed} slack"))
        self.lives = 1
        self._told = told
        self._spec: JobSpec = a_spec()
        self.settings = load({"HOURGLASS_TEAM": "vision", "HOURGLASS_LEADS": self.slack.people["lea"]})
        self.lead = Person(id=self.slack.people["lea"], lead=True)
        self._begin()
        self.service.set_budget("vision", self.lead, "auto_approve", DOLLAR * 2 // 5)

    def _begin(self) -> None:
        world, traits = self.world, {cloud.traits.name: cloud.traits for cloud in self.world.clouds}
        client = self.slack.client()
        self.directory = People(
            client=client, clock=self.clock, leads=self.settings.leads, lead_group=None, say=SAY, patience=1
        )
        self.links = Links(store=world.store, secret=b"k" * 32, base="http://files", minutes=60, clock=self.clock)
        self.service = Service(
            db=world.db,
            clock=self.clock,
            ids=world.ids,
            settings=self.settings,
            traits=traits,
            mover=lambda job, deadline: world.rentals.move_deadline(job, deadline),
            wake=lambda job_id: None,
        )
        self.intake = Intake(
            db=world.db,
            clock=self.clock,
            source=self,
            desk=Desk({cloud.traits.name: cloud for cloud in world.clouds}),
            merge=lambda request, task_file: self._spec,
            pin=lambda spec, offer: None,
            providers={cloud.traits.name: cloud for cloud in world.clouds},
            can_post=lambda channel: None,
            standing=lambda person: None,
            wake=lambda job_id: None,
        )
        self.notifier = Notifier(
            db=world.db,
            clock=self.clock,
            client=client,
            people=self.directory,
            links=self.links,
            plotter=Sketches(),
            say=SAY,
            traits=traits,
            settings=self.settings,
        )
        self.traits = traits

    def resolve(self, repo: str, ref: str) -> Any:
        """Answer as the source resolver."""
        return a_source()

    def ask(self, room: str, person: str, minutes: float) -> Job:
        """Let somebody type `/train`, and let it be priced."""
        self._spec = replace(a_spec(), minutes=float(minutes))
        request = a_request(
            channel=self.slack.rooms[room], person=self.slack.people[person], delivery=f"d{self.world.ids.token()}"
        )
        job, _ = self.service.request(request)
        self.intake.work(job.id)
        return self.world.job(job.id)

    def tell(self, most: int = 3) -> None:
        """Let the notifier say what it may, a few rounds; one that dies is started anew, and so is the rest."""
        if not self._told:
            return
        for number in range(most):
            if number:
                self.clock.advance(SPACING)
            try:
                if not self.notifier.round():
                    return
            except Killed:
                self.lives += 1
                self.world.restart()
                self._begin()

    def rest(self, patience: int = 600) -> bool:
        """Let the weather be calm and the notifier work; return whether everybody was told in so many rounds."""
        self.slack.weather = CALM
        for _ in range(patience):
            self.tell(1)
            if self.notifier.idle():
                return True
            self.clock.advance(SPACING)
        return False


class Course:
    """The life of a newsroom's jobs, minute by minute, by their plans."""

    def __init__(self, room: Newsroom, seed: str) -> None:
        self.room = room
        self.plans = list(plans(random.Random(f"{seed} jobs")))
        self._chance = random.Random(f"{seed} weather")
        self._jobs: dict[int, str] = {}
        self._agents: dict[int, Agent] = {}
        self._up: dict[int, int] = {}
        self._weather_until = 0
        self._half_a_day = self._chance.random() < 0.1

    def run(self) -> None:
        """Live until every job has ended and Slack's bad days are over."""
        start, minute = self.room.clock.now(), 0
        while not self._over() or minute < self._weather_until:
            self._weather(minute)
            self._minute(minute)
            self.room.world.tick()
            self.room.tell()
            minute = self._next(minute)
            self.room.clock.advance(start + timedelta(seconds=TICK * minute) - self.room.clock.now())
            assert minute < 24 * 60, "a job never ended"

    def _next(self, minute: int) -> int:
        """Return when to look next: a whole outage has nothing to show once the jobs are over, nor has a long wait."""
        if self._over():
            return max(minute + 1, self._weather_until)
        states = {self.room.world.job(job_id).state for job_id in self._jobs.values()}
        waits = len(self._jobs) == len(self.plans) and states <= {*TERMINAL, JobState.AWAITING_APPROVAL}
        return minute + (10 if waits and minute > LAST_DECISION else 1)

    def _over(self) -> bool:
        if len(self._jobs) < len(self.plans):
            return False
        return all(self.room.world.job(job_id).state in TERMINAL for job_id in self._jobs.values())

    def _weather(self, minute: int) -> None:
        if minute < self._weather_until:
            return
        if self._half_a_day and minute >= 5:
            self._half_a_day = False
            self.room.slack.weather, lasts = OUTAGE, int(HALF_A_DAY / timedelta(minutes=1))
        else:
            self.room.slack.weather, lasts = random_weather(self._chance), self._chance.randint(2, 10)
            if self._over():
                lasts = 0
        self._weather_until = minute + lasts

    def _minute(self, minute: int) -> None:
        world = self.room.world
        world.cloud.deaf = any(self._deaf(number, plan) for number, plan in enumerate(self.plans))
        for number, plan in enumerate(self.plans):
            if minute == plan.asked:
                self._jobs[number] = self.room.ask(plan.room, plan.person, plan.minutes).id
            if number in self._jobs:
                self._one(number, plan, world.job(self._jobs[number]), minute)

    def _one(self, number: int, plan: Plan, job: Job, minute: int) -> None:
        if job.state is JobState.AWAITING_APPROVAL:
            self._decide(plan, job, minute)
            self.room.service.remind_due()
            self.room.service.expire_due()
            return
        rows = self.room.world.attempts(job.id)
        if not rows or rows[-1].state not in (AttemptState.LAUNCHED, AttemptState.UP, AttemptState.ENDING):
            return
        late = self.room.clock.now() >= rows[-1].deadline
        if number not in self._agents:
            self._agents[number] = Agent(self.room.world, job.id).says("stage", stage="run", note="")
            self._up[number] = minute
        elif job.state is JobState.RUNNING and not late:
            self._trains(number, plan, job, minute - self._up[number])

    def _deaf(self, number: int, plan: Plan) -> bool:
        rows = self.room.world.attempts(self._jobs[number]) if plan.deaf and number in self._jobs else []
        now = self.room.clock.now()
        return bool(rows) and rows[-1].deadline <= now < rows[-1].deadline + timedelta(minutes=plan.deaf)

    def _decide(self, plan: Plan, job: Job, minute: int) -> None:
        if plan.decided is None or minute != plan.asked + plan.decided:
            return
        try:
            if plan.granted:
                self.room.service.approve(job.id, self.room.lead)
            else:
                self.room.service.deny(job.id, self.room.lead, "no")
        except (TooLate, NotAllowed):
            return

    def _trains(self, number: int, plan: Plan, job: Job, ran: int) -> None:
        agent = self._agents[number]
        loss: float | str = "NaN" if plan.diverges and ran == 4 else 4.0 / (ran + 1)
        at = self.room.clock.now().timestamp()
        agent.writes(
            [
                {"t": at, "kind": "progress", "data": {"step": ran * 10, "total": plan.minutes * 10}},
                {"t": at, "kind": "metric", "data": {"step": ran * 10, "values": {"loss": loss}}},
            ]
        )
        if ran % 4 == 3:
            agent.saves(f"step-{ran}", ran)
        if ran == plan.stopped:
            self.room.world.stop(job.id, job.person)
        elif ran == plan.finishes:
            agent.ends("finished")
