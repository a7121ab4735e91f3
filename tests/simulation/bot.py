"""The bot as one object that can be thrown away: everything that `serve` builds, over rows and files that stay.

What its threads do, the simulation does in turn: a wake-up is a job that is worked on next, a tick is a call. Nothing
of the product is replaced but what lies outside of it: the commit host, the workspace's people, the drawing of plots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.catalogue import Catalogue
from bot.links import Links
from bot.notify import Notifier
from jobs import db as rows
from jobs.clock import Clock, Ids
from jobs.db import Database
from jobs.errors import BadSource
from jobs.follow import Follow
from jobs.intake import Intake
from jobs.lifecycle import WITH_MACHINE, JobState
from jobs.model import Job
from jobs.offers import Desk
from jobs.ports import Ports
from jobs.providers import Provider
from jobs.rentals import Rentals
from jobs.service import Service
from jobs.settings import Settings
from jobs.spec import merge
from jobs.values import Source
from tests.face.stage import Sketches
from tests.simulation.office import Office, Roster
from tests.simulation.shelf import Shelf

TASK_FILE = "commands: [python train.py]\n"
PATIENT_FILE = TASK_FILE + "retry: {on_events: [no-capacity, interruption]}\n"


class CommitHost:
    """Resolves every ref of the team's repositories, and packs a commit as its own name."""

    def resolve(self, repo: str, ref: str) -> Source:
        """Return the commit; a ref called `gone` is none."""
        if ref == "gone":
            raise BadSource("`gone` is no branch, tag or commit of that repository.")
        sha = hashlib.sha1(f"{repo}@{ref}".encode(), usedforsecurity=False).hexdigest()
        task_file = PATIENT_FILE if ref == "patient" else TASK_FILE
        return Source(url=f"https://git.invalid/{repo}", repo=repo, sha=sha, subject="Train", task_file=task_file)

    def pack(self, source: Source, out: Path) -> str:
        """Write a few bytes that stand for the commit."""
        data = source.sha.encode()
        out.write_bytes(data)
        return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What stays when a bot dies."""

    db: Database
    clock: Clock
    ids: Ids
    providers: Mapping[str, Provider]
    shelf: Shelf
    office: Office
    home: str
    settings: Settings
    say: Catalogue
    reference: Callable[[], datetime | None]


class Bot:
    """One life of the bot. `woken` are the jobs that somebody should look at now, in order."""

    def __init__(self, outside: Outside, wake: Callable[[str], None]) -> None:
        self._db = outside.db
        host, roster = CommitHost(), Roster(outside.office)
        traits = {name: provider.traits for name, provider in outside.providers.items()}
        desk = Desk(outside.providers)
        self.follow = Follow(db=outside.db, clock=outside.clock, store=outside.shelf, wake=wake)
        self.rentals = Rentals(
            Ports(
                db=outside.db,
                clock=outside.clock,
                providers=outside.providers,
                market=desk,
                packer=host,
                store=outside.shelf,
                store_uri="s3://simulated/store",
                home=outside.home,
                drain=self.follow.drain,
                wake=wake,
            ),
            reference=outside.reference,
        )
        self.service = Service(
            db=outside.db,
            clock=outside.clock,
            ids=outside.ids,
            settings=outside.settings,
            traits=traits,
            mover=self.rentals.move_deadline,
            wake=wake,
        )
        self.intake = Intake(
            db=outside.db,
            clock=outside.clock,
            source=host,
            desk=desk,
            merge=merge,
            pin=lambda spec, offer: None,
            providers=outside.providers,
            can_post=roster.can_post,
            standing=roster.standing,
            wake=wake,
        )
        self.notifier = Notifier(
            db=outside.db,
            clock=outside.clock,
            client=outside.office.client(),
            people=roster,  # type: ignore[arg-type]  # the four questions that are asked of people
            links=Links(store=outside.shelf, secret=b"k" * 32, base="", minutes=60, clock=outside.clock),
            plotter=Sketches(),
            say=outside.say,
            traits=traits,
            settings=outside.settings,
            delivery=outside.office.delivery(),
        )

    def begin(self) -> Sequence[str]:
        """Do what a start does before the first pass; return the jobs to be worked on."""
        self.rentals.owed_receipts()
        return self.due()

    def due(self) -> Sequence[str]:
        """Return the jobs whose time has come."""
        return (*self.intake.due(), *self.rentals.due())

    def state(self, job_id: str) -> JobState | None:
        """Return the job's state."""
        job = self._job(job_id)
        return None if job is None else job.state

    def work(self, job_id: str) -> None:
        """Do what a job needs in the state in which it is, as the scheduler's crew does."""
        state = self.state(job_id)
        if state is JobState.REQUESTED:
            self.intake.work(job_id)
            state = self.state(job_id)
        if state is JobState.QUEUED:
            self.rentals.launch(job_id)
            state = self.state(job_id)
        if state in WITH_MACHINE:
            self.rentals.attend(job_id)

    def _job(self, job_id: str) -> Job | None:
        with self._db.read() as tx:
            return rows.find_job(tx, job_id)
