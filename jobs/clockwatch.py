"""Whether the wall clock may be believed: ending a machine by a clock that jumped kills work that was paid for.

The wall clock is compared with the monotonic one between looks. When they part by more than a minute, a clock that is
not ours is asked; and until one has agreed once, since a machine that has just booted may not have set its clock yet.
Where none answers, the jump is believed from the second look on: a corrected clock stays where it is, and machines
have timers of their own meanwhile. Once another clock has said that ours is wrong, its word stands until it is asked
again: its silence says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from jobs.clock import Clock

log = structlog.get_logger(__name__)

APART = timedelta(minutes=1)


def nobody() -> datetime | None:
    """Return None: there is no other clock to ask."""
    return None


class ClockWatch:
    """Watches one clock. `reference` returns another's time (a provider's Date header), or None."""

    def __init__(self, clock: Clock, reference: Callable[[], datetime | None] = nobody) -> None:
        self._clock = clock
        self._reference = reference
        self._last: tuple[datetime, float] | None = None
        self._doubted = False
        self._agreed = False
        self._told: tuple[datetime, float] | None = None  # what the clock said that disagreed last, and when

    def steady(self) -> bool:
        """Return whether both clocks went on together since the last pass; for whoever cannot wait for the next."""
        if self._last is None:
            return self.trusted()
        return not self._doubted and self._jumped(self._last) <= APART

    def _jumped(self, last: tuple[datetime, float]) -> timedelta:
        return abs((self._clock.now() - last[0]) - timedelta(seconds=self._clock.monotonic() - last[1]))

    def trusted(self) -> bool:
        """Return whether deadlines may be enforced by the wall clock now; called once a pass."""
        now, since = self._clock.now(), self._clock.monotonic()
        last, self._last = self._last, (now, since)
        jumped = timedelta(0) if last is None or self._doubted else self._jumped(last)
        if self._agreed and jumped <= APART and not self._doubted:
            return True
        other = self._reference() or self._as_told(since)
        if other is None:
            # Nobody to ask: one pass of doubt, then the clock is what it is.
            self._doubted = jumped > APART
            if self._doubted:
                log.warning("clock.jumped", by=jumped.total_seconds(), now=now.isoformat())
            return not self._doubted
        self._agreed = abs(now - other) <= APART
        self._doubted = not self._agreed
        self._told = (other, since) if self._doubted else None
        if self._doubted:
            log.error("clock.wrong", now=now.isoformat(), other=other.isoformat())
        elif jumped > APART:
            log.warning("clock.jumped", by=jumped.total_seconds(), now=now.isoformat())
        return self._agreed

    def _as_told(self, since: float) -> datetime | None:
        """Return what the clock that disagreed would show now; None where none has."""
        return None if self._told is None else self._told[0] + timedelta(seconds=since - self._told[1])
