"""The scheduler's moving parts turned by hand, so that a run of hours is over in a moment and the same each time.

What decides when a trigger is due is APScheduler's own machinery, its store and its executor; only the thread that
would wait between two looks is left out, and the time is the test's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from threading import Event

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from jobs.scheduler import PUNCTUAL
from tests.support.clock import FakeClock

ROUNDING = 1e-6  # seconds: the wall clock counts in microseconds, the monotonic one in floats


class ClockZone(tzinfo):
    """UTC by a clock of the test: `datetime.now(zone)`, which is all that APScheduler asks, is that clock's time."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def fromutc(self, dt: datetime) -> datetime:
        """Return the clock's time, whatever the machine's is."""
        return self._clock.now()

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Return nothing: it is UTC."""
        return timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta:
        """Return nothing: it is UTC."""
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        """Return its name."""
        return "UTC"


class Clockwork(BackgroundScheduler):  # type: ignore[misc]  # the library ships no types
    """APScheduler without the thread: `turn` looks once for what is due, and runs it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(timezone=ClockZone(clock), executors={"default": DebugExecutor()}, job_defaults=PUNCTUAL)

    def start(self, paused: bool = False) -> None:
        """Begin, without a thread."""
        self._event = Event()
        BaseScheduler.start(self, paused)

    def shutdown(self, wait: bool = True) -> None:
        """End; there is no thread to wait for."""
        BaseScheduler.shutdown(self, wait)

    def turn(self) -> None:
        """Run what is due by now."""
        self._process_jobs()

    def due(self) -> datetime | None:
        """Return when the next trigger is due, None where there is none."""
        return min((job.next_run_time for job in self.get_jobs()), default=None)


class Hands:
    """Works on what it was given when told to, in the order in which it was given."""

    def __init__(self, work: Callable[[str], None], size: int) -> None:
        self._work = work
        self._waiting: dict[str, None] = {}

    def start(self) -> None:
        """Begin."""

    def give(self, name: str) -> None:
        """Have a job worked on, once however often it is given before its turn."""
        self._waiting[name] = None

    def stop(self, patience: float) -> bool:
        """End: what waits is lost, as when a process ends."""
        self._waiting.clear()
        return True

    def work(self) -> None:
        """Work on everything that waits."""
        while self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]
            self._work(name)


class Beats:
    """Ticks by the monotonic clock of the test; `turn` calls those whose time has come, a late one once."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._all: list[Beat] = []

    def __call__(self, name: str, tick: Callable[[], None], *, seconds: float, at_once: bool) -> Beat:
        """Return a beat of these."""
        beat = Beat(tick, seconds=seconds, at=self._clock.monotonic() + (0.0 if at_once else seconds))
        self._all.append(beat)
        return beat

    def turn(self) -> None:
        """Call what is due."""
        for beat in self._all:
            if beat.running and beat.at <= self._clock.monotonic() + ROUNDING:
                beat.tick()
                beat.at = self._clock.monotonic() + beat.seconds

    def due(self) -> float:
        """Return when the next one is due, by the monotonic clock."""
        return min(beat.at for beat in self._all)


class Beat:
    """One tick and its time."""

    def __init__(self, tick: Callable[[], None], *, seconds: float, at: float) -> None:
        self.tick, self.seconds, self.at = tick, seconds, at
        self.running = False

    def start(self) -> None:
        """Begin."""
        self.running = True

    def stop(self, patience: float) -> bool:
        """End."""
        self.running = False
        return True
