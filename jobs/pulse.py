"""Ticks by a clock that nobody can set.

A scheduler that keeps the next moment of a tick as a time of day stands still for as long as the wall clock was set
back, and no deadline would be enforced meanwhile. These count seconds on the monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pulse:
    """Calls `tick`, which must not raise, every `seconds` in a thread of its own; a late one comes once."""

    def __init__(self, name: str, tick: Callable[[], None], *, seconds: float, at_once: bool = False) -> None:
        self._tick = tick
        self._seconds = seconds
        self._at_once = at_once
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pulse-{name}", daemon=True)

    def start(self) -> None:
        """Begin; the first tick comes now where it is to come at once, else after `seconds`."""
        self._thread.start()

    def stop(self, patience: float) -> bool:
        """Let the tick that runs come to its end, `patience` seconds at most; return whether it did."""
        self._leaving.set()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait = 0.0 if self._at_once else self._seconds
        while not self._leaving.wait(wait):
            began = time.monotonic()
            self._tick()
            wait = max(0.0, self._seconds - (time.monotonic() - began))
