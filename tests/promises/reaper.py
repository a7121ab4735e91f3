"""Machines that the reaper ended wrongly: its real rounds over a large fleet with doubtful listings and clocks.

The fleet knows what is true: each machine's deadline as it is, whose it is, and what time it is. Listings are up to a
minute old, lack machines, or fail; deadlines move up to their last second; the wall clock jumps and comes back. A
machine is wrongly ended when its true deadline is to come, or when it is another home's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from jobs.errors import Throttled, Unknown
from jobs.providers import Instance, InstanceState
from jobs.reaper import STALE, Reaper
from tests.promises.figure import Promise, Scale
from tests.support.clock import START, FakeClock

HOME, ELSEWHERE = "0f3c1e52-0000-4000-8000-000000000001", "0f3c1e52-0000-4000-8000-000000000002"
EVERY = 60.0  # seconds between rounds
SURE = timedelta(minutes=20)  # an overdue machine is ended by then: most listings are whole, most clocks agree


class Fleet:
    """Machines of two homes behind one listing; `clock` is the reaper's, `now` what is true."""

    def __init__(self, clock: FakeClock, chance: random.Random, *, live: int, span: timedelta) -> None:
        self.clock, self._chance = clock, chance
        self.wrong_by = timedelta(0)  # how far the reaper's clock is off
        self.machines: dict[str, Instance] = {}
        self.due: dict[str, datetime] = {}  # true deadlines
        self._span = span  # how long the fleet is looked at; deadlines lie all over it
        self._live = live  # of this home, kept alive by extensions; those after them run into their deadline
        self._changed: deque[tuple[datetime, Instance]] = deque()  # what a machine was listed as until then
        self.looks = self.moved = self.stale = self.partial = self.unanswered = 0
        self.wrongly: list[str] = []
        self.late: list[timedelta] = []
        for number in range(live + live // 50 + live // 10):
            self._add(number, HOME if number < live + live // 50 else ELSEWHERE)

    def now(self) -> datetime:
        """Return what time it is in truth; also the clock that is not ours."""
        return self.clock.now() - self.wrong_by

    def _add(self, number: int, home: str) -> None:
        name = f"i-{number:05d}"
        self.due[name] = START + self._span * self._chance.uniform(0.01, 1)
        self.machines[name] = Instance(
            provider="cloud",
            id=name,
            region="here-1",
            state=InstanceState.RUNNING,
            tags={"home": home, "job": f"job{number:05d}", "deadline": str(int(self.due[name].timestamp()))},
            launched_at=START,
        )

    def pass_time(self, seconds: float) -> None:
        """Let time pass; each live machine's deadline is moved by a press in the last half minute before it."""
        until = self.now() + timedelta(seconds=seconds)
        for name in list(self.machines):
            if int(name[2:]) < self._live and self.due[name] <= until:
                pressed = self.due[name] - timedelta(seconds=self._chance.uniform(1, 30))
                self._move(name, pressed, self._span * self._chance.uniform(0.05, 0.4) + timedelta(seconds=seconds))
        self.clock.advance(seconds)
        while self._changed and self._changed[0][0] < self.now() - STALE:
            self._changed.popleft()

    def _move(self, name: str, at: datetime, more: timedelta) -> None:
        old = self.machines[name]
        self._changed.append((at, old))
        self.due[name] += more
        tags = {**old.tags, "deadline": str(int(self.due[name].timestamp()))}
        self.machines[name] = replace(old, tags=tags)
        self.moved += 1

    # ------------------------------------------------------------ what the reaper may ask

    def list(self) -> Sequence[Instance]:
        """Return the machines: as they are, as they were up to a minute ago, or not all of them."""
        kind = self._chance.random()
        if kind < 0.05:
            self.unanswered += 1
            raise Unknown("The listing is not whole.")
        seen = dict(self.machines)
        if kind < 0.45:
            self.stale += 1
            then = self.now() - self._chance.random() * STALE
            for at, old in reversed(self._changed):
                if at > then and old.id in seen:
                    seen[old.id] = old
        found = list(seen.values())
        if kind > 0.75:
            self.partial += 1
            found = found[: self._chance.randrange(len(found))]
        self.looks += len(found)
        return found

    def terminate(self, instance: Instance) -> None:
        """End a machine, and judge by what is true whether that was right."""
        if self._chance.random() < 0.1:
            raise Throttled("Asked too often.")
        left = self.due[instance.id] - self.now()
        if left > timedelta(0) or instance.tags["home"] != HOME:
            self.wrongly.append(instance.id)
        self.late.append(-left)
        self.machines.pop(instance.id, None)

    def overdue(self) -> int:
        """Return how many machines of this home should long be gone."""
        ours = (one for one in self.machines.values() if one.tags["home"] == HOME)
        return sum(self.now() - self.due[one.id] > SURE for one in ours)


def measure(scale: Scale) -> Sequence[Promise]:
    """Let the reaper look at the fleet, round after round."""
    live, rounds = scale.of(10_000, 200), scale.of(1_000, 50)
    chance = random.Random(scale.seed)
    clock = FakeClock()
    fleet = Fleet(clock, chance, live=live, span=timedelta(seconds=EVERY) * rounds)
    asked = [True]
    reaper = Reaper({"cloud": fleet}, clock, HOME, reference=lambda: fleet.now() if asked[0] else None)
    jumps = doubted = most_overdue = 0
    with _quiet():
        for _ in range(rounds):
            fleet.pass_time(EVERY)
            if fleet.wrong_by:  # put right again, sooner or later
                if not asked[0] or chance.random() < 0.5:
                    clock.jump(-fleet.wrong_by)
                    fleet.wrong_by = timedelta(0)
            elif chance.random() < 0.1:
                jumps += 1
                fleet.wrong_by = timedelta(hours=chance.uniform(-30, 30))
                clock.jump(fleet.wrong_by)
                # With nobody to ask, a jump is doubted for one round: such a one is over by then.
                asked[0] = chance.random() < 0.7
            doubted += bool(reaper.round().doubted)
            most_overdue = max(most_overdue, fleet.overdue())
    kept = sum(int(name[2:]) < live for name in fleet.machines)
    counts = {
        "live jobs": live,
        "rounds": rounds,
        "looks": fleet.looks,
        "deadlines moved": fleet.moved,
        "stale listings": fleet.stale,
        "partial listings": fleet.partial,
        "without an answer": fleet.unanswered,
        "clock jumps": jumps,
        "rounds in doubt": doubted,
        "ended in time": len(fleet.late) - len(fleet.wrongly),
    }
    latest = max(fleet.late, default=timedelta(0))
    return [
        Promise(
            name="wrongly ended machines",
            goal=f"0 in {live:,} live jobs × {rounds:,} reaper rounds, stale and partial listings, clock jumps",
            measured=f"{len(fleet.wrongly)} wrongly ended, {live - kept} live jobs lost",
            held=not fleet.wrongly and kept == live and fleet.moved > 0 and jumps > 0,
            counts=counts,
            seed=scale.seed,
        ),
        Promise(
            name="overdue machines that the reaper left",
            goal=f"0 more than {SURE.total_seconds() / 60:.0f} min past their deadline, all that kept up",
            measured=f"{most_overdue} at most; the last to go was {latest.total_seconds() / 60:.1f} min late",
            held=not most_overdue and len(fleet.late) > 0,
            counts={"ended": len(fleet.late)},
            seed=scale.seed,
            note="one listing in twenty fails, one terminate in ten, and no clock is believed while it disagrees",
        ),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the reaper's log go nowhere: it tells of each machine in each round."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)
