"""The change feed: one lock, one growing number, and everybody who waits for the next change.

The page follows it over SSE, the demo and the tests wait on it; nobody polls.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from bot.sandbox.records import Change

T = TypeVar("T")

# A page that slept through more changes than this loads the whole state again.
KEPT = 5000


class Feed:
    """A monotonic sequence of changes; `lock` guards the whole workspace and may be taken again by its holder."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._changes: deque[Change] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[], object]] = []
        self.seq = 0

    def publish(self, change: Change) -> None:
        """Number a change, keep it and wake whoever waits."""
        with self.lock:
            self.seq += 1
            self._changes.append(replace(change, seq=self.seq))
            self._changed.notify_all()
            for listener in tuple(self._listeners):
                listener()

    def since(self, seq: int) -> list[Change] | None:
        """The changes after `seq`, oldest first; None when some of them are no longer kept."""
        with self.lock:
            if seq < self.seq and (not self._changes or self._changes[0].seq > seq + 1):
                return None
            return [change for change in self._changes if change.seq > seq]

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` after each change, from the thread that made it; returns how to stop."""
        with self.lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self.lock:
                self._listeners.remove(listener)

        return stop

    def wait_for(self, predicate: Callable[[], T], timeout: float) -> T:
        """The predicate's first true value, looked at again after each change; TimeoutError after `timeout` s.

        This waits for other programs, so it counts real seconds, whatever clock the workspace runs on.
        """
        with self.lock:
            value = self._changed.wait_for(predicate, timeout)
        if not value:
            raise TimeoutError(f"nothing in the workspace fulfilled {predicate!r} within {timeout} s")
        return value
