"""The money's part of the control plane over a database in memory, with scripted neighbours.

`House` is a composition root for tests: the real service and the real intake, a clock and ids of the test's own, and
a source, a desk and providers that answer what the test says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlmodel import select

from jobs import db as rows
from jobs import ledger
from jobs.clock import Ids
from jobs.db import Database
from jobs.intake import Intake
from jobs.lifecycle import AttemptState, JobEventName, JobState
from jobs.model import Attempt, Entry, EntryKind, Job, Note, Period, Team
from jobs.offers import satisfies
from jobs.policy import Person
from jobs.providers import Instance, LaunchOrder, Need, Offer, Traits
from jobs.records import dump, parse
from jobs.service import Service
from jobs.settings import load
from jobs.values import DOLLAR, JobSpec, Request, Source
from tests.support.builders import a_request, a_source, a_spec, an_offer, some_traits
from tests.support.clock import FakeClock, SequentialIds
from tests.support.databases import memory_database

LEAD = Person(id="U9LEAD", lead=True)
OTHER_LEAD = Person(id="U8GRACE", lead=True)
ADA = Person(id="U1ADA", lead=False)
BOB = Person(id="U2BOB", lead=False)
GUEST = Person(id="U7GUEST", lead=True, guest=True)


Answer = TypeVar("Answer")


class Priced:
    """A provider that only has traits and prices: nothing here rents."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.stock: Sequence[Offer] = ()

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return what is in stock: nothing, where the desk of these tests knows the prices."""
        return [offer for offer in self.stock if satisfies(offer, need)]

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Refuse: a machine has no place in these tests."""
        raise AssertionError("Nothing that handles money alone may rent.")

    def find(self, launch_key: str) -> Instance | None:
        """Return that there is none."""
        return None

    def list(self) -> Sequence[Instance]:
        """Return that there are none."""
        return ()

    def terminate(self, instance: Instance) -> None:
        """Do nothing: there are none."""

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Do nothing: there are none."""


class Neighbours:
    """What intake asks: each answer may be replaced by another, or by an error to raise."""

    def __init__(self) -> None:
        self.source: Source | Exception = a_source()
        self.spec: JobSpec | Exception = a_spec()
        self.offers: Sequence[Offer] | Exception = (an_offer(),)
        self.quotes: list[Sequence[Offer] | Exception] = []  # the next answers of the desk; then `offers`
        self.digest: str | Exception | None = None
        self.trouble: str | None = None  # what keeps the channel from being posted to
        self.outsiders: dict[str, str] = {}  # who may not rent, and why
        self.between: Callable[[], None] = lambda: None  # happens after the network, before the transaction
        self.asked: list[tuple[str, str]] = []

    def resolve(self, repo: str, ref: str) -> Source:
        """Answer as the source resolver."""
        self.asked.append((repo, ref))
        return _said(self.source)

    def quote(self, need: Need, allowed: Sequence[str]) -> Sequence[Offer]:
        """Answer as the desk."""
        return _said(self.quotes.pop(0) if self.quotes else self.offers)

    def merge(self, request: Request, task_file: str | None) -> JobSpec:
        """Answer as the spec."""
        return _said(self.spec)

    def pin(self, spec: JobSpec, offer: Offer) -> str | None:
        """Answer as the image resolver."""
        self.between()
        return _said(self.digest)

    def can_post(self, channel: str) -> str | None:
        """Answer as the channel."""
        return self.trouble


def _said(answer: Answer | Exception) -> Answer:
    if isinstance(answer, Exception):
        raise answer
    return answer


class House:
    """A team with a budget, and everything that decides about its money."""

    def __init__(
        self,
        *,
        url: str = "",
        cap: int | None = 300 * DOLLAR,
        traits: Traits | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.db = Database.open(url) if url else memory_database()
        self.settings = load({"HOURGLASS_TEAM": "vision"})
        self.woken: list[str] = []
        self.moved: list[tuple[str, datetime]] = []  # what the mover was asked for
        self.mover_says: list[Exception | None] = []  # the next answers of the mover; then it just moves
        self.neighbours = Neighbours()
        self.providers = {"cloud": Priced(traits or some_traits())}
        self.service = Service(
            db=self.db,
            clock=self.clock,
            ids=ids or SequentialIds(),
            settings=self.settings,
            traits={name: provider.traits for name, provider in self.providers.items()},
            mover=self._move,
            wake=self.woken.append,
        )
        self.intake = Intake(
            db=self.db,
            clock=self.clock,
            source=self.neighbours,
            desk=self.neighbours,
            merge=self.neighbours.merge,
            pin=self.neighbours.pin,
            providers=self.providers,
            can_post=lambda channel: self.neighbours.can_post(channel),
            standing=lambda person: self.neighbours.outsiders.get(person),
            wake=self.woken.append,
        )
        self.service.team_of("C1TRAIN")
        if cap is not None:
            self.service.set_budget("vision", LEAD, "cap", cap)

    def _move(self, job: Job, deadline: datetime) -> None:
        answer = self.mover_says.pop(0) if self.mover_says else None
        if answer:
            raise answer
        self.moved.append((job.id, deadline))

    def asked(self, **request: Any) -> Job:
        """Return a job that was typed and not worked on."""
        return self.service.request(a_request(**request))[0]

    def priced(self, *, minutes: float = 240.0, person: str = "U1ADA", **spec: Any) -> Job:
        """Return a job after intake: queued, awaiting a lead, or failed."""
        job = self.asked(person=person)
        self.price(job, minutes=minutes, **spec)
        return self.job(job.id)

    def price(self, job: Job, *, minutes: float = 240.0, **spec: Any) -> None:
        """Let intake work on a job that merges into this spec, where the neighbours have no error to tell instead."""
        if not isinstance(self.neighbours.spec, Exception):
            self.neighbours.spec = dataclasses.replace(a_spec(), minutes=minutes, **spec)
        self.intake.work(job.id)

    def with_machine(self, job: Job, *, running: bool = True, provider: str = "cloud") -> Job:
        """Give a queued job its machine, as the renting side writes it."""
        now = self.clock.now()
        with self.db.write() as tx:
            job = rows.get_job(tx, job.id)
            spec = parse(JobSpec, job.spec or {})
            deadline = job.deadline or now + timedelta(minutes=spec.minutes)
            rows.move(tx, job, JobEventName.LAUNCH, now, attempt=job.attempt + 1, deadline=deadline)
            tx.add(
                Attempt(
                    job_id=job.id,
                    number=job.attempt,
                    launch_key=f"hg-{job.id}-a{job.attempt}-r0",
                    state=AttemptState.UP if running else AttemptState.INTENT,
                    provider=provider,
                    offer=dump(an_offer(provider=provider)),
                    micros_per_hour=2 * DOLLAR,
                    deadline=deadline,
                    intent_at=now,
                )
            )
            if running:
                rows.move(tx, job, JobEventName.RUN, now)
        return job

    def job(self, job_id: str) -> Job:
        """Return the job as it is written."""
        with self.db.read() as tx:
            return rows.get_job(tx, job_id)

    def team(self) -> Team:
        """Return the team as it is written."""
        with self.db.read() as tx:
            return rows.get_team(tx, "vision")

    def period(self) -> Period:
        """Return the month as it is written."""
        with self.db.read() as tx:
            period = rows.find_period(tx, rows.get_team(tx, "vision"), self.clock.now())
        assert period is not None
        return period

    def notes(self, job_id: str) -> list[Note]:
        """Return what was written down about a job."""
        with self.db.read() as tx:
            return rows.notes(tx, job_id)

    def kinds(self, job_id: str) -> list[str]:
        """Return the kinds of the notes about a job, in order."""
        return [note.kind for note in self.notes(job_id)]

    def entries(self, job_id: str) -> list[tuple[EntryKind, int]]:
        """Return what was written about a job's money."""
        with self.db.read() as tx:
            return [(entry.kind, entry.micros) for entry in ledger.entries(tx, job_id)]

    def settle(self, job: Job, charge: int, event: JobEventName = JobEventName.SUCCEED) -> ledger.Closed:
        """End a job that has a machine, as the renting side does once that is gone."""
        now = self.clock.now()
        with self.db.write() as tx:
            job = rows.get_job(tx, job.id)
            if job.state is not JobState.STOPPING:
                rows.move(tx, job, JobEventName.STOP, now, stop_reason="finished")
            closed = ledger.close(tx, job=job, charge=charge, at=now)
            rows.move(tx, job, event, now, charged=closed.charged)
        return closed

    def balanced(self) -> None:
        """Assert that every month is the sum of its entries."""
        with self.db.read() as tx:
            periods, entries = list(tx.exec(select(Period))), list(tx.exec(select(Entry)))
        for period in periods:
            total = {
                kind: sum(e.micros for e in entries if e.period_id == period.id and e.kind is kind)
                for kind in EntryKind
            }
            assert period.held == total[EntryKind.HOLD] - total[EntryKind.RELEASE] - total[EntryKind.CHARGE]
            assert period.spent == total[EntryKind.CHARGE] + total[EntryKind.OVERRUN]
            assert period.granted == total[EntryKind.GRANT] - total[EntryKind.REVOKE]
            assert period.held >= 0
            assert period.granted >= 0
