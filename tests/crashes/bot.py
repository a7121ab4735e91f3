"""The bot as it is deployed, without its threads: the product's own objects over one database file and one folder.

It does what it is told over a line: one tick of the scheduler, or one press of a person's. Everything it knows is in
the file, the folder and the cloud, so the next one goes on where this one was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from slack_sdk import WebClient
from sqlalchemy import Engine
from sqlmodel import select

from bot.catalogue import Catalogue
from bot.notify import Notifier
from jobs.errors import BadSource, HourglassError
from jobs.follow import Follow
from jobs.intake import Intake
from jobs.lifecycle import WITH_MACHINE, JobState
from jobs.model import Job, Team
from jobs.offers import Desk
from jobs.ports import Ports
from jobs.providers import Traits
from jobs.rentals import Rentals
from jobs.service import Service
from jobs.settings import load
from jobs.values import JobSpec, Source
from tests.crashes.cloud import Driver, Line
from tests.crashes.fate import Fate, MortalDatabase
from tests.support.builders import a_request, a_source
from tests.support.clock import FakeClock, SequentialIds
from tests.support.house import ADA, LEAD
from tests.support.world import HOME, Parcel
from trainer.storage import FolderStore

JOB = "job0001"
PIECES = ("intake", "launch", "follow", "enforce", "approvals", "tell")
SETTINGS = load({"HOURGLASS_TEAM": "vision"})
SAY = Catalogue.load()


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the bot is told to do: the pieces of a tick in their order, or a press."""

    pieces: Sequence[str] = ()
    press: str = ""
    minutes: float = 0.0  # of an extension
    starts: bool = False  # it is the first word to a new bot: what a start does is done before


@dataclass(kw_only=True)
class Report:
    """What came of it."""

    state: str | None  # the job's; None while there is none
    said: str = ""  # what a press was answered with, where it was refused
    passed: Sequence[str] = ()  # points, in order
    stumbled: Sequence[str] = ()  # exceptions that the product caught and logged: there should be none


class Trace:
    """A log processor that keeps what should not have happened."""

    def __init__(self) -> None:
        self.stumbled: list[str] = []

    def __call__(self, logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
        """Keep an event that carries an exception; render nothing."""
        if event.get("exc_info"):
            rendered = structlog.processors.format_exc_info(None, method, dict(event))
            self.stumbled.append(f"{event['event']}: {rendered.get('exception', '')}")
        raise structlog.DropEvent


class Leads:
    """Who leads: one person, whom no network has to be asked about."""

    def leads(self, team: Team) -> tuple[str, ...]:
        """Return the lead."""
        return (LEAD.id,)

    def resolve(self, name: str) -> str | None:
        """Return that nobody has this name."""
        return None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a scenario says about the bot: its provider, its spec, what its repository is like."""

    spec: JobSpec
    traits: Traits
    source_missing: bool = False
    meanwhile: Sequence[tuple[str, str]] = ()  # (commit, press): done by another thread just after it


@dataclass(kw_only=True)
class _Repository:
    """Where the commit comes from."""

    missing: bool

    def resolve(self, repo: str, ref: str) -> Source:
        """Return the commit, unless there is none."""
        if self.missing:
            raise BadSource(f"There is no `{ref}` in {repo}.")
        return a_source()


@dataclass(kw_only=True)
class _Woken:
    """The jobs that somebody should look at now."""

    jobs: list[str] = field(default_factory=list)

    def __call__(self, job_id: str = "") -> None:
        if job_id:
            self.jobs.append(job_id)


class Bot:
    """The whole control plane, put together as `bot.plane` does it; `provided` False: its provider is not named."""

    def __init__(
        self,
        setting: Setting,
        *,
        engine: Engine,
        folder: Path,
        clock: FakeClock,
        line: Line,
        fate: Fate,
        driver: type[Driver] = Driver,
        provided: bool = True,
    ) -> None:
        self.fate, self.clock, self.woken = fate, clock, _Woken()
        self.trace = Trace()
        structlog.configure(processors=[self.trace])
        self.db = MortalDatabase(engine, fate)
        fate.meanwhile = {commit: self._other_thread(press) for commit, press in setting.meanwhile}
        store = FolderStore(folder)
        rented = driver(line, fate, setting.traits)
        providers = {rented.traits.name: rented} if provided else {}
        desk = Desk(providers)
        self.follow = Follow(db=self.db, clock=clock, store=store, wake=self.woken)
        ports = Ports(
            db=self.db,
            clock=clock,
            providers=providers,
            market=desk,
            packer=Parcel(),
            store=store,
            store_uri=store.root.as_uri(),
            home=HOME,
            drain=self.follow.drain,
            wake=self.woken,
        )
        self.rentals = Rentals(ports)
        self.service = Service(
            db=self.db,
            clock=clock,
            ids=SequentialIds(),
            settings=SETTINGS,
            traits={name: provider.traits for name, provider in providers.items()},
            mover=self.rentals.move_deadline,
            wake=self.woken,
        )
        self.intake = Intake(
            db=self.db,
            clock=clock,
            source=_Repository(missing=setting.source_missing),
            desk=desk,
            merge=lambda request, task_file: setting.spec,
            pin=lambda spec, offer: None,
            providers=providers,
            can_post=lambda channel: None,
            standing=lambda person: None,
            wake=self.woken,
        )
        self.notifier = Notifier(
            db=self.db,
            clock=clock,
            client=WebClient(token="xoxb-stand-in"),  # only what is owed is written here: nothing is posted
            people=Leads(),
            links=None,
            plotter=None,
            say=SAY,
            traits={},
            settings=SETTINGS,
        )

    def do(self, order: Order) -> Report:
        """Do what was ordered and everything that it woke; `Killed` nowhere: a death ends the process."""
        said = ""
        if order.starts:
            self.rentals.owed_receipts()
        if order.press:
            said = self._press(order.press, order.minutes)
        for piece in order.pieces:
            self._piece(piece)
        self._work_off()
        passed, self.fate.passed = self.fate.passed, []
        return Report(state=self._state(), said=said, passed=passed, stumbled=tuple(self.trace.stumbled))

    # ------------------------------------------------------------ what the scheduler does

    def _piece(self, piece: str) -> None:
        match piece:
            case "intake":
                for job_id in self.intake.due():
                    self.intake.work(job_id)
            case "launch":
                self.rentals.launch_due()
            case "follow":
                self.follow.round()
            case "enforce":
                self.rentals.enforce()
            case "approvals":
                self.service.expire_due()
                self.service.remind_due()
            case "tell":
                while self.notifier.fan_out():
                    pass

    def _work_off(self) -> None:
        """Do for each woken job what a thread of the crew does."""
        for _ in range(10):
            woken, self.woken.jobs = dict.fromkeys(self.woken.jobs), []
            for job_id in woken:
                state = self._state(job_id)
                if state == JobState.REQUESTED:
                    self.intake.work(job_id)
                elif state == JobState.QUEUED:
                    self.rentals.launch(job_id)
                elif state in WITH_MACHINE:
                    self.rentals.attend(job_id)

    def _state(self, job_id: str = JOB) -> str | None:
        with self.db.read() as tx:
            state = tx.exec(select(Job.state).where(Job.id == job_id)).first()
        return None if state is None else state.value

    # ------------------------------------------------------------ what people do

    def _press(self, press: str, minutes: float = 0.0) -> str:
        try:
            self._presses(minutes)[press]()
        except HourglassError as error:
            return str(error)
        return ""

    def _presses(self, minutes: float) -> dict[str, Callable[[], object]]:
        return {
            "request": lambda: self.service.request(a_request(delivery="delivery-1")),
            "approve": lambda: self.service.approve(JOB, LEAD, delivery="delivery-approve"),
            "deny": lambda: self.service.deny(JOB, LEAD, "not today"),
            "cancel": lambda: self.service.cancel(JOB, ADA),
            "extend": lambda: self.service.extend(JOB, ADA, minutes, delivery=f"delivery-extend-{minutes}"),
            "freeze": lambda: self.service.freeze("vision", LEAD, True),
        }

    def _other_thread(self, press: str) -> Callable[[], None]:
        return lambda: void(self._press(press))


def void(_: object) -> None:
    """Forget an answer that nobody reads."""
