"""One at a time, the least patient first: how this process's threads come to write.

Whoever is done hands over to the next in the queue. A plain lock would let a thread that writes again and again take
it back before anybody else has woken, and a command that Slack waits for would stand behind a whole round of machines.
"""

from __future__ import annotations

import heapq
import threading
from math import inf


class Turns:
    """A lock with a queue: who has less patience goes before, equals in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._came = 0
        self._queue: list[tuple[float, int, threading.Event]] = []

    def acquire(self, patience: float | None = None) -> bool:
        """Wait for the turn, `patience` seconds at most, for ever without; return whether it came."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            self._came += 1
            called = threading.Event()
            place = (inf if patience is None else patience, self._came, called)
            heapq.heappush(self._queue, place)
        if called.wait(patience):
            return True
        with self._lock:
            if called.is_set():  # handed over in this very moment
                return True
            self._queue.remove(place)
            heapq.heapify(self._queue)
            return False

    def release(self) -> None:
        """Hand the turn to whoever is next."""
        with self._lock:
            if self._queue:
                heapq.heappop(self._queue)[2].set()
            else:
                self._taken = False
