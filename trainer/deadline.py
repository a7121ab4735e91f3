"""A deadline that a changed wall clock cannot move.

The announced time is turned once into a point on the clock that counts from boot (and goes on while a machine
sleeps). A later announcement moves that point by the difference of the two announcements, so the wall clock is
never asked again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Linux alone has a clock that counts through suspension; elsewhere the monotonic one is the nearest thing.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_clock() -> float:
    """Return seconds since boot, the same in every process of the machine."""
    return time.clock_gettime(_CLOCK)


class Deadline:
    """The moment at which everything here ends."""

    def __init__(
        self, at: float, *, wall: Callable[[], float] = time.time, clock: Callable[[], float] = boot_clock
    ) -> None:
        self.at = at  # unix seconds, as announced
        self._clock = clock
        self.ends = clock() + (at - wall())  # on the boot clock

    def left(self) -> float:
        """Return the seconds that are left; zero or less when it has passed."""
        return self.ends - self._clock()

    def move(self, at: float) -> None:
        """Accept another announced time, in unix seconds; raises `ValueError` on what is not a time."""
        if not math.isfinite(at):
            raise ValueError(f"{at!r} is not a time.")
        self.ends += at - self.at
        self.at = at
