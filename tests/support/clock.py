"""Time and names that a test owns: nothing moves unless the test moves it."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 12, 10, 0, tzinfo=UTC)  # a Thursday morning, far from a month's end


class FakeClock:
    """A wall clock and a monotonic clock that stand still until `advance` or `jump`; safe between threads."""

    def __init__(self, start: datetime = START) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        with self._lock:
            return self._monotonic

    def advance(self, span: timedelta | float = 0.0, *, minutes: float = 0.0, hours: float = 0.0) -> datetime:
        """Let time pass on both clocks; a bare number is seconds. Returns the new wall clock."""
        passed = span if isinstance(span, timedelta) else timedelta(seconds=span)
        passed += timedelta(minutes=minutes, hours=hours)
        with self._lock:
            self._now += passed
            self._monotonic += passed.total_seconds()
            return self._now

    def jump(self, span: timedelta) -> datetime:
        """Move the wall clock alone, as a correction from outside does. Returns the new wall clock."""
        with self._lock:
            self._now += span
            return self._now


class SequentialIds:
    """Names in the order they were asked for: `job0001`, `job0002`, …; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = 0
        self._tokens = 0

    def job(self) -> str:
        """Return the next job's id."""
        with self._lock:
            self._jobs += 1
            return f"job{self._jobs:04d}"

    def token(self) -> str:
        """Return the next token, in the form of a UUID."""
        with self._lock:
            self._tokens += 1
            return str(uuid.UUID(int=self._tokens))
