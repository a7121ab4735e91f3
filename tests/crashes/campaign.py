"""Which histories are told, and what came of them.

A seed is one weather for every scenario. Each scenario is rehearsed in it by a bot that lives; every passing of every
point is then a place to be killed at, in three positions. A quarter of the killed are killed once more, somewhere in
their second life. Points that are passed seldom get further seeds until they had their share.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from tests.crashes import oracle
from tests.crashes.fate import Death, often
from tests.crashes.mutants import MUTANTS, Mutant
from tests.crashes.points import POINTS, ROOT, Position
from tests.crashes.scenarios import BY_NAME, SCENARIOS, Scenario
from tests.crashes.world import House, Told, Weather, World

ROUNDS = 400  # seeds after which a point that had not its share is given up and told
SHARES = 8  # of a goal; each has seeds of its own
AGAIN = 0.25  # of the killed bots' successors, how many are killed as well
SECOND_LIFE = 40  # points within which that happens
KEPT = 12  # broken histories that are told in full


@dataclass(frozen=True, kw_only=True)
class Goal:
    """How much to try; a share of it where several processes work on it."""

    seed: int
    histories: int
    kills: int  # of each point
    weathers: int  # in which each mutant is tried
    share: int = 0
    shares: int = 1
    seconds: float = 0.0  # stop then, whatever was reached; 0 for never
    only: Sequence[str] = ()  # scenarios; none for all of them


@dataclass(kw_only=True)
class Tally:
    """What was tried and what came of it; counted while trying."""

    histories: int = 0  # in which a bot was killed
    lives: int = 0  # histories in which none was: rehearsals, and deaths that were not reached
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)  # by point
    positions: Counter[str] = field(default_factory=Counter)  # by `point/position`
    kinds: Counter[str] = field(default_factory=Counter)  # of faults, by kind
    broken: list[str] = field(default_factory=list)  # histories with a fault, to be told again
    passed: set[str] = field(default_factory=set)
    mutants: dict[str, list[int]] = field(default_factory=dict)  # name -> [histories, caught, the real code's faults]

    def count(self, told: Told, faults: Sequence[str], what: str) -> None:
        """Add one history."""
        self.histories += bool(told.killed)
        self.lives += not told.killed
        self.passed |= set(told.passed)
        for killed in told.killed:
            self.kills[killed.point] += 1
            self.positions[f"{killed.point}/{killed.position.value}"] += 1
        self.kinds.update({fault.partition(":")[0] for fault in faults})
        if faults and len(self.broken) < KEPT:
            self.broken.append(f"{what}: {'; '.join(faults)}")

    def add(self, other: Tally) -> None:
        """Add another process's share."""
        self.histories, self.lives = self.histories + other.histories, self.lives + other.lives
        self.seconds = max(self.seconds, other.seconds)
        for name in ("kills", "positions", "kinds"):
            getattr(self, name).update(getattr(other, name))
        self.broken += other.broken
        self.passed |= other.passed
        self.mutants |= other.mutants

    def dumped(self) -> str:
        """Return it as JSON."""
        return json.dumps({**vars(self), "passed": sorted(self.passed)})

    @classmethod
    def loaded(cls, text: str) -> Tally:
        """Return what `dumped` wrote."""
        plain = json.loads(text)
        counters = {name: Counter(plain.pop(name)) for name in ("kills", "positions", "kinds")}
        return cls(**{**plain, **counters, "passed": set(plain["passed"])})


class Campaign:
    """Tells the histories of one share, one after the other."""

    def __init__(self, house: House, goal: Goal) -> None:
        self.house, self.goal = house, goal
        self.scenarios = [scenario for scenario in SCENARIOS if scenario.name in goal.only or not goal.only]
        self.tally = Tally()
        self.begun = time.perf_counter()
        self.passes: dict[str, set[str]] = {}  # scenario -> the points that it passes

    def run(self) -> Tally:
        """Try everything; return what came of it."""
        for number in range(self.goal.share, ROUNDS, self.goal.shares):
            if number >= self.goal.shares and (self._reached() or self._late()):
                break
            self._round(self.goal.seed * 1000 + number)
            self._say_how_far(number)
            if number == self.goal.share and self.goal.weathers:
                for mutant in MUTANTS[self.goal.share :: self.goal.shares]:
                    self.tally.mutants[mutant.name] = self._tried(mutant)
        self.tally.seconds = time.perf_counter() - self.begun
        return self.tally

    # ------------------------------------------------------------ the real code

    def _round(self, seed: int) -> None:
        """Tell the histories of one seed."""
        lacking = {point for point in POINTS if self._lacks(point)}
        rehearsed = {
            scenario.name: self._rehearsed(scenario, seed)
            for scenario in self.scenarios
            if not self._enough() or self.passes.get(scenario.name, lacking) & lacking
        }
        gc.collect()
        gc.freeze()  # what is here now is every fork's, and none of them is to look through it
        for scenario, death in self._chosen(rehearsed, random.Random(seed)):
            if self._late() or (self._enough() and not self._lacks(death.point, death.position)):
                continue
            self._history(BY_NAME[scenario], seed, (death, *self._second(seed, scenario, death)))

    def _rehearsed(self, scenario: Scenario, seed: int) -> Counter[str]:
        """Return how often a story passes each point while nobody is killed."""
        told = World(scenario, self.house, Weather.drawn(seed, scenario), forked=False).tell()
        self.house.engine.dispose()
        self.tally.count(told, oracle.faults(told, self.house.file), f"{scenario.name}, seed {seed}, nobody killed")
        self.passes.setdefault(scenario.name, set()).update(told.passed)
        return Counter(told.passed)

    def _chosen(self, rehearsed: Mapping[str, Mapping[str, int]], chance: random.Random) -> Iterator[tuple[str, Death]]:
        """Yield where to kill: each point and position first, in the shortest story; then the others as they come."""
        places = [
            (name, Death(point=point, nth=nth, position=position))
            for name, passed in rehearsed.items()
            for point, nth in often(passed)
            for position in Position
        ]
        chance.shuffle(places)
        first: dict[tuple[str, Position], tuple[str, Death]] = {}
        for place in sorted(places, key=lambda place: sum(rehearsed[place[0]].values())):
            first.setdefault((place[1].point, place[1].position), place)
        yield from first.values()
        chosen = {id(place) for place in first.values()}
        yield from (place for place in places if id(place) not in chosen)

    def _second(self, seed: int, scenario: str, death: Death) -> Iterable[Death]:
        chance = random.Random(f"{seed}:{scenario}:{death}")
        if chance.random() < AGAIN and BY_NAME[scenario].down is None:
            yield Death(nth=chance.randint(1, SECOND_LIFE), position=chance.choice(list(Position)))

    def _history(self, scenario: Scenario, seed: int, deaths: Sequence[Death]) -> None:
        told = World(scenario, self.house, Weather.drawn(seed, scenario), deaths=deaths).tell()
        self.tally.count(told, oracle.faults(told, self.house.file), f"{scenario.name}, seed {seed}, {list(deaths)}")

    # ------------------------------------------------------------ the broken rules

    def _tried(self, mutant: Mutant) -> list[int]:
        """Tell a mutant's histories, and the real code's of the same; return how many, caught, and unjustly accused."""
        histories = caught = accused = 0
        for number in range(self.goal.weathers):
            seed = self.goal.seed * 1000 + number
            for deaths in mutant.deaths():
                histories += 1
                kinds = {fault.partition(":")[0] for fault in self._faults(mutant, seed, deaths, real=False)}
                caught += bool(kinds & mutant.kinds)
                accused += bool(self._faults(mutant, seed, deaths, real=True))
        return [histories, caught, accused]

    def _faults(self, mutant: Mutant, seed: int, deaths: Sequence[Death], *, real: bool) -> list[str]:
        scenario = BY_NAME[mutant.scenario]
        weather = dataclasses.replace(Weather.drawn(seed, scenario), **mutant.weather)
        broken = {} if real else {"patch": mutant.patch, "driver": mutant.driver, "reaper": mutant.reaper}
        told = World(scenario, self.house, weather, deaths=deaths, **broken).tell()
        return oracle.faults(told, self.house.file)

    # ------------------------------------------------------------ enough

    def _say_how_far(self, number: int) -> None:
        lacking = [f"{point} ({self.tally.kills[point]})" for point in sorted(POINTS) if self._lacks(point)]
        words = (
            f"crashes, seed {number}: {self.tally.histories:,} histories in {time.perf_counter() - self.begun:.0f} s"
        )
        sys.stderr.write(f"{words}; too few kills of: {', '.join(lacking[:4]) or 'none'}\n")

    def _enough(self) -> bool:
        return self.tally.histories * self.goal.shares >= self.goal.histories

    def _lacks(self, point: str, position: Position | None = None) -> bool:
        if self.goal.kills and position is not None and not self.tally.positions[f"{point}/{position.value}"]:
            return True
        return self.tally.kills[point] * self.goal.shares < self.goal.kills

    def _reached(self) -> bool:
        return self._enough() and not any(self._lacks(point) for point in POINTS)

    def _late(self) -> bool:
        return 0 < self.goal.seconds < time.perf_counter() - self.begun


def campaign(goal: Goal, shares: int = SHARES) -> Tally:
    """Try a goal in processes of its own, which fork without threads beside them; return what came of it.

    The shares are the same on every machine, as many of them at a time as it has processors. Raises
    `subprocess.CalledProcessError` where the harness itself broke, with its words on standard error.
    """
    tally = Tally()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for share in pool.map(
            _share, [dataclasses.replace(goal, share=share, shares=shares) for share in range(shares)]
        ):
            tally.add(share)
    return tally


def _share(goal: Goal) -> Tally:
    command = [sys.executable, "-m", "tests.crashes.worker", json.dumps(asdict(goal))]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    return Tally.loaded(told.stdout)
