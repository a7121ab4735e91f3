"""Months of a deployment in one thread: events in their order, one clock, and a judge after each step.

Time jumps from one interesting moment to the next. What the scheduler does every few seconds happens whenever it could
matter, on the beat on which it would have happened: each 30 s near deadlines, launches, ends and troubles, now and then
in the quiet hours of a run, in which a pass has nothing to do. One seed makes one history; `trace` is its fingerprint.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.catalogue import Catalogue
from jobs.lifecycle import JobState
from jobs.policy import Person
from jobs.providers import Offer
from jobs.reaper import Reaper
from jobs.service import Service
from jobs.settings import load
from jobs.values import DOLLAR
from tests.simulation.agents import Agents, Temper
from tests.simulation.bot import Bot, Outside
from tests.simulation.cloud import Cloud, CloudProvider, TrueTime
from tests.simulation.disk import Disk
from tests.simulation.layers import Ground
from tests.simulation.machine import Machine
from tests.simulation.office import LEADERS, Office
from tests.simulation.oracle import Oracle
from tests.simulation.overlap import Second, SharedFate
from tests.simulation.reckoning import possible_terms
from tests.simulation.shelf import Shelf
from tests.simulation.weather import Menu, Spell, Weather, Window
from tests.support.clock import START, FakeClock, SequentialIds
from tests.support.databases import memory_database
from tests.support.mortal import Killed, MortalProvider

HOME = "5e0f3c1e-7a44-4f0e-9d1b-6b2a54a3c9d1"
SAY = Catalogue.load()


@dataclass(frozen=True, kw_only=True)
class Cast:
    """What a world is made of."""

    begins: datetime = START
    grounds: Sequence[Ground]
    prices: Sequence[Offer]
    menu: Menu = field(default_factory=Menu)
    windows: Sequence[tuple[int, Window]] = ()  # (which cloud, its spell)
    temper: Temper = field(default_factory=Temper)
    cap: int = 1000 * DOLLAR
    locked: float = 0.0  # of one transaction
    lost_triggers: float = 0.1
    reaper: bool = True


class World:
    """One deployment: clouds, an office, a store, a database, and one bot after the other over them."""

    def __init__(self, seed: str, cast: Cast) -> None:
        self.seed, self.cast = seed, cast
        self.chance = random.Random(f"{seed} world")
        self.clock = FakeClock(cast.begins)
        self.time = TrueTime(self.clock)
        self.fate = SharedFate(random.Random(f"{seed} between"))
        self.db = Disk(memory_database().engine, self.fate, random.Random(f"{seed} disk"))
        self.rows = self.db.rows
        self.db.locked = cast.locked
        self.shelf = Shelf()
        self.office = Office(self.time, f"{seed} office")
        self.clouds = [
            Cloud(self.time, ground, Weather(f"{seed} cloud {number}", cast.menu), _priced(ground, cast.prices))
            for number, ground in enumerate(cast.grounds)
        ]
        self._queue: list[tuple[datetime, int, str, Callable[[], None]]] = []
        self._number = 0
        self.agents = Agents(f"{seed} agents", cast.temper, self.shelf, self.at, self._spoke)
        self.shelf.written = self.agents.told
        self.oracle = Oracle(self.rows, self.clouds, self.time.now)
        self.oracle.ends.excused, self.oracle.wall = self.excused, self.clock.now
        self.oracle.ends.over = self.agents.over
        self.trace = hashlib.sha256()
        self.steps = 0
        self.befell: Counter[str] = Counter()  # the menu's faults, by how often they happened
        self.woken: dict[str, None] = {}
        self.up = False
        self.wrong_clock = False
        self.bot: Bot
        self.second: Second | None = None
        self.watched = 0  # how many backups are to be put back: a pass follows each change until then
        self.db.befell = self.agents.befell = self.befell
        for cloud in self.clouds:
            cloud.weather.befell = self.befell
            cloud.launched = lambda machine, cloud=cloud: self._launched(cloud, machine)
        for number, window in cast.windows:
            self.spell(self.clouds[number], window)
        providers = {cloud.traits.name: MortalProvider(CloudProvider(cloud, HOME), self.fate) for cloud in self.clouds}
        self._outside = Outside(
            db=self.db,
            clock=self.clock,
            ids=SequentialIds(),
            providers=providers,
            shelf=self.shelf,
            office=self.office,
            home=HOME,
            settings=load({"HOURGLASS_TEAM": "vision", "HOURGLASS_LEADS": ",".join(self.leads())}),
            say=SAY,
            reference=self._date,
        )
        # Its own process, with doors of its own: a killed bot does not take it along.
        doors = {cloud.traits.name: CloudProvider(cloud, HOME) for cloud in self.clouds}
        self.reaper = Reaper(doors, self.clock, HOME, reference=self._date)

    # ------------------------------------------------------------ people

    def leads(self) -> list[str]:
        """Return the ids of those who lead."""
        return [self.office.users[name] for name in LEADERS]

    def person(self, name: str) -> Person:
        """Return somebody of the office as the bot knows him."""
        return Person(id=self.office.users[name], lead=name in LEADERS)

    # ------------------------------------------------------------ time

    def at(self, when: datetime, name: str, act: Callable[[], None]) -> None:
        """Have something happen; what is to happen in the past happens now."""
        self._number += 1
        heapq.heappush(self._queue, (when, self._number, name, act))

    def after(self, seconds: float, name: str, act: Callable[[], None]) -> None:
        """Have something happen so many seconds from now."""
        self.at(self.time.now() + timedelta(seconds=seconds), name, act)

    def spell(self, cloud: Cloud, window: Window) -> None:
        """Put a spell on a cloud, and have both of its ends looked at."""
        cloud.weather.windows.append(window)
        self.at(window.begins, f"{cloud.traits.name} {window.spell} begins", lambda: None)
        self.at(window.ends - timedelta(milliseconds=1), f"{cloud.traits.name} {window.spell} ends", lambda: None)

    def step(self) -> bool:
        """Let the next thing happen and judge what came of it; False when nothing more will."""
        if not self._queue:
            return False
        when, _, name, act = heapq.heappop(self._queue)
        waited = (when - self.time.now()).total_seconds()
        if waited > 0:
            self.clock.advance(waited)
        try:
            act()
        except Killed:
            self.befell["killed at a commit or a call"] += 1
            self.befell["killed between a launch and its row"] += self._unwritten()
            self.dies(self.chance.choice((5.0, 30.0, 300.0, 7200.0)))
        self.steps += 1
        self.trace.update(f"{self.time.now().isoformat()} {name}\n".encode())
        self.oracle.look()
        return True

    def next_at(self) -> datetime | None:
        """Return when the next thing happens."""
        return self._queue[0][0] if self._queue else None

    def _unwritten(self) -> bool:
        """Return whether a machine stands of which no row knows more than that it was to be asked for."""
        rows = self.rows.execute("SELECT launch_key FROM attempt WHERE state = 'INTENT'").fetchall()
        return any(cloud.of_key(key) for (key,) in rows for cloud in self.clouds)

    def planned(self) -> Counter[str]:
        """Return what is to happen, by its names and how often."""
        return Counter(name for _, _, name, _ in self._queue)

    # ------------------------------------------------------------ the bot's life

    def starts(self) -> None:
        """Start a bot over what the last one left."""
        self.fate.spares()
        self.up = True
        self.bot = self._life(self._woken())
        for job_id in self.bot.begin():
            self.wake(job_id)

    def dies(self, seconds: float) -> None:
        """End the bot as `kill -9` does; another one starts after a while, unless one is there."""
        self.fate.spares()
        if self.second is not None:
            self.takes_over()
            return
        self.stops()
        self.after(seconds, "the bot starts", self.starts)

    def stops(self) -> None:
        """End every bot; none starts by itself."""
        self.fate.spares()
        self.leaves()
        self.up = False
        self.woken.clear()

    def _life(self, wake: Callable[[str], None]) -> Bot:
        return Bot(self._outside, wake)

    def _woken(self) -> Callable[[str], None]:
        """Return what wakes the bot that begins now, and none that comes after it."""
        woken = self.woken = dict[str, None]()
        return lambda job_id: woken.setdefault(job_id)

    # ------------------------------------------------------------ a second bot

    def joins(self) -> bool:
        """Start a second bot beside the one that lives; False where there is none, or two already."""
        if not self.up or self.second is not None:
            return False
        self.second = Second(self._life, random.Random(f"{self.seed} second {self.steps}"))
        self.fate.between = self.second_acts
        return True

    def second_acts(self) -> None:
        """Let the second bot do one thing."""
        if self.second is not None:
            self.befell["the second bot acts"] += 1
            with self.fate.another():
                lives = self.second.act(self.work)
            if not lives:
                self.leaves()

    def leaves(self) -> None:
        """End the second bot."""
        self.second = self.fate.between = None

    def takes_over(self) -> None:
        """End the first bot, and let the second one go on alone."""
        if self.second is not None:
            self.bot, self.woken = self.second.bot, self.second.woken
            self.leaves()

    @property
    def service(self) -> Service:
        """Whichever bot a command is delivered to."""
        if self.second is not None and self.chance.random() < 0.5:
            return self.second.bot.service
        return self.bot.service

    def wake(self, job_id: str) -> None:
        """Remember that somebody should look at a job now."""
        self.woken[job_id] = None

    def excused(self, cloud: Cloud) -> bool:
        """Return whether nobody can be asked for an end at that cloud now."""
        now = self.time.now()
        blocked = any(cloud.weather.during(one, now) for one in (Spell.DOWN, Spell.THROTTLED, Spell.DEAF))
        return not self.up or blocked or self.wrong_clock

    def work(self, bot: Bot, job_id: str) -> None:
        """Have a bot work on a job, after the market that it will meet was written down."""
        case = self.oracle.cases.get(job_id)
        # Only then it is priced; one that waits for a lead keeps the price that he was told.
        if case is not None and case.first is None and bot.state(job_id) is JobState.REQUESTED:
            market = [(cloud.traits, cloud.prices) for cloud in self.clouds]
            self.oracle.priced(job_id, possible_terms(case.ask, market))
        bot.work(job_id)

    def _launched(self, cloud: Cloud, machine: Machine) -> None:
        self.oracle.launched(cloud, machine)
        self.agents.begin(cloud, machine)

    def _spoke(self, machine: Machine) -> None:
        self.after(2.0, "follow", self.follow)

    def follow(self) -> None:
        """Have the bot read what the machines wrote."""
        if self.up:
            self.bot.follow.round()

    def _date(self) -> datetime | None:
        return next((date for cloud in self.clouds if (date := cloud.date()) is not None), None)


def _priced(ground: Ground, prices: Sequence[Offer]) -> list[Offer]:
    return [offer for offer in prices if offer.provider == ground.traits.name]
