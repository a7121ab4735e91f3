"""Time as a port: every limit of the workspace (3 s to acknowledge, 30 min of a response_url) reads it here.

`SystemClock` is the machine's. `ManualClock` moves only when told, so that a test of a three-second
limit takes no three seconds and cannot be late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the workspace asks of time."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean something."""

    def wait(self, condition: threading.Condition, done: Callable[[], bool], until: float) -> bool:
        """Wait on a held condition until `done()`; False when `monotonic()` came to `until` first."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock, in seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, done: Callable[[], bool], until: float) -> bool:
        """Wait on a held condition until `done()`; False when `monotonic()` came to `until` first."""
        return condition.wait_for(done, max(0.0, until - time.monotonic()))


class ManualClock:
    """A clock that moves only by `advance`; whoever waits on it is woken to look again."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("start has no time zone: give an aware datetime, e.g. datetime(2026, 1, 1, tzinfo=UTC)")
        self._start = start
        self._passed = 0.0
        self._waited_on: list[threading.Condition] = []
        self._guard = threading.Lock()

    def now(self) -> datetime:
        """The start plus everything advanced so far."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Move both clocks forward and wake every waiter."""
        with self._guard:
            self._passed += seconds
            waited_on = list(self._waited_on)
        for condition in waited_on:
            with condition:
                condition.notify_all()

    def wait(self, condition: threading.Condition, done: Callable[[], bool], until: float) -> bool:
        """Wait on a held condition until `done()`; False when `advance` carried time to `until` first."""
        with self._guard:
            self._waited_on.append(condition)
        try:
            while not done():
                if self._passed >= until:
                    return False
                condition.wait()
            return True
        finally:
            with self._guard:
                self._waited_on.remove(condition)
