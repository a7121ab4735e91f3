"""Numbered, immutable objects in order: the next one goes up only when the one before it stands.

A number is never used again with other bytes: what fails is sent again as it was, for as long as it takes. A
machine that starts a second time goes on behind what it finds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from trainer.storage import Store, StoreFault

# Seconds between tries. The last one repeats: an outage of a day is asked about twice a minute.
DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


T = TypeVar("T")


class Abandoned(Exception):
    """The machine's time is up; what was being sent stays behind."""


class Shipper:
    """Sends byte chunks under `key(1)`, `key(2)`, … from one thread."""

    def __init__(self, store: Store, key: Callable[[int], str], *, delays: Sequence[float] = DELAYS) -> None:
        self._store = store
        self._key = key
        self._delays = delays
        self._abandon = threading.Event()
        self._next: int | None = None

    def ship(self, data: bytes) -> None:
        """Return when the chunk stands in the store; raises `Abandoned` after `abandon`."""
        if self._next is None:
            self._next = self._insist(self._first_free)
        number = self._next
        self._insist(lambda: self._store.put(self._key(number), data))
        self._next = number + 1

    def abandon(self) -> None:
        """Give up what is being sent, from any thread."""
        self._abandon.set()

    def _insist(self, action: Callable[[], T]) -> T:
        tries = 0
        while True:
            try:
                return action()
            except StoreFault as fault:
                delay = self._delays[min(tries, len(self._delays) - 1)]
                tries += 1
                if self._abandon.wait(delay):
                    raise Abandoned(str(fault)) from fault

    def _first_free(self) -> int:
        def taken(number: int) -> bool:
            return self._store.size(self._key(number)) is not None

        high = 1
        while taken(high):
            high *= 2
        low = high // 2  # taken, or 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if taken(middle) else (low, middle)
        return high
