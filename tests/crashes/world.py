"""One history: a world that goes on while its bot is killed and started anew, until the job has come to its end.

The world is the watching process: the cloud, the clock, what the machines write, and the people who press a button
again when nobody answered. The bot is a process of its own, of which only the database file, the folder and the
machines survive.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from jobs.lifecycle import TERMINAL
from jobs.reaper import Reaper
from tests.crashes.bot import JOB, PIECES, Bot, Order, Report
from tests.crashes.cloud import Cloud, Driver, Line
from tests.crashes.fate import Death, Fate
from tests.crashes.process import Forked, Killed, Local
from tests.crashes.scenarios import Press, Scenario
from tests.support.clock import START, FakeClock
from tests.support.fake_provider import Machine
from tests.support.world import HOME, Agent
from trainer import wire
from trainer.storage import FolderStore

LONGEST = 40  # ticks, beside the days of a bot that stays dead; a history that has not ended by then is broken
REAPER_EVERY = timedelta(seconds=60)
# Since the job ran: when an operator starts the bot without its provider, and with it again.
DISMISSED = (timedelta(seconds=20), timedelta(seconds=80))
# Since the job ran: when an operator puts an old copy of the database back.
RESTORED = timedelta(seconds=20)
AFTERWARDS = 2  # ticks in which the end stands


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What differs between two tellings of a story; all of it from a seed."""

    pieces: Sequence[str]  # the order of a tick's pieces: threads, in the deployed bot
    boot: timedelta
    lag: timedelta  # between an accepted terminate and the machine's end
    restart: float  # seconds until a killed bot is up again
    phase: float  # seconds between a start and its first tick

    @classmethod
    def drawn(cls, seed: int, scenario: Scenario) -> Weather:
        """Return the weather of a seed."""
        chance = random.Random(f"{seed}:{scenario.name}")
        return cls(
            pieces=chance.sample(PIECES, k=len(PIECES)),
            boot=timedelta(seconds=chance.choice((0, 4, 15))),
            lag=timedelta(seconds=chance.choice((0, 1, 12, 40))),
            restart=chance.choice((1.0, 7.0, 20.0)) if scenario.down is None else scenario.down,
            phase=chance.choice((0.0, 3.0, 14.0, 29.0)),
        )


@dataclass(kw_only=True)
class House:
    """Where histories happen: one database file with its engine, one folder, and the file as it is at the start."""

    engine: Engine
    file: Path
    folder: Path
    template: Callable[[Scenario], bytes]

    def files(self) -> list[Path]:
        """Return the database's files: itself, and the journal that a killed process leaves."""
        return sorted(self.file.parent.glob(f"{self.file.name}*"))

    def put_back(self, copy: Mapping[str, bytes]) -> None:
        """Let the database be as it was when it was copied."""
        for path in self.files():
            path.unlink()
        for name, data in copy.items():
            self.file.with_name(name).write_bytes(data)

    def clean(self, scenario: Scenario) -> None:
        """Make everything as it is before a story."""
        self.put_back({self.file.name: self.template(scenario)})
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()


@dataclass(kw_only=True)
class Told:
    """What happened in a history, for the oracle; the database file lies where it was written."""

    scenario: Scenario
    weather: Weather
    cloud: Cloud
    now: datetime
    state: str | None
    killed: list[Killed] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    stumbled: list[str] = field(default_factory=list)
    in_vain: int = 0  # deaths that were chosen and not reached


class World:
    """Tells one history. `deaths`: of the first bot, of the second, and so on."""

    def __init__(
        self,
        scenario: Scenario,
        house: House,
        weather: Weather,
        *,
        deaths: Sequence[Death] = (),
        forked: bool = True,
        driver: type[Driver] = Driver,
        reaper: bool = True,
        cloud: type[Cloud] = Cloud,
        patch: Callable[[], None] = lambda: None,
    ) -> None:
        self.scenario, self.house, self.weather = scenario, house, weather
        self.clock = FakeClock(START)
        self.store = FolderStore(house.folder)
        self.cloud = cloud(
            self.clock,
            traits=scenario.setting.traits,
            catalogue=scenario.offers,
            boot_delay=weather.boot,
            end_lag=weather.lag,
            limits=scenario.limits,
            timers=scenario.timers,
        )
        scenario.cloud(self.cloud)
        self.last = START + timedelta(seconds=LONGEST * scenario.step + (scenario.down or 0.0))
        self.deaths, self.planned = list(deaths), len(deaths)
        self.forked, self.driver, self.patch = forked, driver, patch
        self.reaper = Reaper({"cloud": self.cloud}, self.clock, HOME) if scenario.reaper and reaper else None
        self.reaped = START
        self.death: Death | None = None  # of the bot that lives
        self.life: Counter[str] = Counter()  # what it has passed
        self.bot: Forked | Local | None = None
        self.provided = True
        self.backup: dict[str, bytes] | None = None
        self.fresh = True
        self.state: str | None = None
        self.since: dict[str | None, datetime] = {}
        self.presses = list(scenario.presses)
        self.agents: dict[str, Agent] = {}
        self.spoken: set[tuple[str, str]] = set()
        self.told = Told(scenario=scenario, weather=weather, cloud=self.cloud, now=START, state=None)

    def tell(self) -> Told:
        """Let it all happen; return what did."""
        self.house.clean(self.scenario)
        self._pass(self.weather.phase)
        quiet = 0
        try:
            while quiet < AFTERWARDS and self.clock.now() < self.last:
                self._replace()
                alive = self._press() and self._ask(Order(pieces=self.weather.pieces, starts=self.fresh))
                quiet = quiet + 1 if alive and self.state in TERMINAL else 0
                self._pass(self.scenario.step if alive else self.weather.restart)
        finally:
            if self.bot is not None:
                self.bot.end()
        self.told.now, self.told.state = self.clock.now(), self.state
        self.told.in_vain = self.planned - len(self.told.killed)
        return self.told

    # ------------------------------------------------------------ the bot

    def _ask(self, order: Order) -> bool:
        """Have the bot do something, a new one where none lives; False when it died of it."""
        if self.bot is None:
            self.bot = self._start()
        report = self.bot.ask(self.clock.now(), order)
        if isinstance(report, Killed):
            self.told.killed.append(report)
            self.bot, self.fresh = None, True
            return False
        self._heard(report)
        return True

    def _heard(self, report: Report) -> None:
        self.fresh = False
        self.told.passed += report.passed
        self.life.update(report.passed)
        self.told.stumbled = [*self.told.stumbled, *report.stumbled][:5]
        if report.state != self.state:
            self.state = report.state
        self.since.setdefault(self.state, self.clock.now())

    def _start(self) -> Forked | Local:
        if not self.forked:
            return Local(self._build, self.cloud.serve)
        self.death = self.deaths.pop(0) if self.deaths else None
        self.life.clear()
        return Forked(self._build, self.cloud.serve, self.clock, self.death)

    def _build(self, line: Line, fate: Fate) -> Bot:
        if self.forked:
            self.patch()
        return Bot(
            self.scenario.setting,
            engine=self.house.engine,
            folder=self.house.folder,
            clock=self.clock,
            line=line,
            fate=fate,
            driver=self.driver,
            provided=self.provided,
        )

    def _replace(self) -> None:
        """Do what operators do to a bot: start it without a provider for a while, or over an old copy of its file."""
        ran = self.since.get("running")
        missing = self.scenario.dismissed and ran is not None and DISMISSED[0] <= self._ago(ran) < DISMISSED[1]
        if missing == self.provided:
            self._quit()
            self.provided = not missing
        if self.scenario.restored and self.backup is None and self.state == "queued":
            self._quit()
            self.backup = {path.name: path.read_bytes() for path in self.house.files()}
        if self.backup and ran is not None and self._ago(ran) >= RESTORED:
            self._quit()
            self.house.put_back(self.backup)
            self.backup = {}

    def _quit(self) -> None:
        if self.bot is not None:
            self.bot.end()
            if self.death is not None:  # it was not reached yet: the next bot meets it
                passed = self.life[self.death.point] if self.death.point else self.life.total()
                self.deaths.insert(0, dataclasses.replace(self.death, nth=self.death.nth - passed))
        self.bot, self.fresh = None, True

    def _ago(self, at: datetime) -> timedelta:
        return self.clock.now() - at

    # ------------------------------------------------------------ people

    def _press(self) -> bool:
        """Let people press what is due; False when the bot died of it: they press again."""
        while (press := self._due()) is not None:
            if not self._ask(Order(press=press.press, minutes=press.minutes, starts=self.fresh)):
                return False
            self.presses.remove(press)
        return True

    def _due(self) -> Press | None:
        for press in self.presses:
            since = self.since.get(press.state, START if press.state is None else None)
            if since is not None and self.clock.now() - since >= timedelta(seconds=press.after):
                return press
        return None

    # ------------------------------------------------------------ time, and what goes on in it

    def _pass(self, seconds: float) -> None:
        until = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < until:
            self.clock.advance(min(REAPER_EVERY, until - self.clock.now()))
            self._reclaim()
            for machine in self.cloud.alive():
                self._speak(machine)
            if self.reaper is not None and self.clock.now() - self.reaped >= REAPER_EVERY:
                self.reaper.round()
                self.reaped = self.clock.now()

    def _reclaim(self) -> None:
        after = self.scenario.reclaimed_after
        first = self.cloud.machines[0] if self.cloud.machines else None
        if after is not None and first is not None and first.ends_at is None and self._ran(first) >= after:
            self.cloud.reclaim(first.order.launch_key)

    def _ran(self, machine: Machine) -> float:
        return (self.clock.now() - machine.runs_at).total_seconds()

    def _speak(self, machine: Machine) -> None:
        """Let the machine's agent read its control file and write what is due."""
        order = machine.order
        agent = self.agents.setdefault(machine.id, Agent(self, JOB, order.attempt, order.rank))
        data = self.store.get(wire.control_key(order.job, order.attempt))
        control = None if data is None else wire.from_json(wire.Control, data)
        if control is not None:
            self.cloud.tell(machine, datetime.fromtimestamp(control.deadline, START.tzinfo))
        for after, word in self.scenario.script:
            if self._ran(machine) >= after and (machine.id, "end") not in self.spoken:
                self._say(agent, machine, word)
        stop = control.stop if control is not None else None
        if stop is not None and self._ran(machine) >= 0 and (machine.id, "end") not in self.spoken:
            self.spoken.add((machine.id, "end"))
            agent.ends(reason=stop.value)

    def _say(self, agent: Agent, machine: Machine, word: str) -> None:
        if (machine.id, word) in self.spoken:
            return
        self.spoken.add((machine.id, word))
        if word == "run":
            agent.says("stage", stage="run", note="")
        elif word == "save":
            agent.saves("step-000100", 100)
        else:
            agent.ends()
