"""Signatures of deliveries that were taken: a signature is good for five minutes, and we accept it once."""

from __future__ import annotations

import threading

from jobs.clock import Clock

REMEMBERED = 600.0  # seconds: Slack's five minutes, into the past and into the future


class Signatures:
    """Remembers what was seen. Safe between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def first(self, signature: str) -> bool:
        """Remember the signature, which must have been checked; return False for one that was seen before."""
        now = self._clock.monotonic()
        with self._lock:
            for old in [one for one, at in self._seen.items() if now - at > REMEMBERED]:
                del self._seen[old]
            if signature in self._seen:
                return False
            self._seen[signature] = now
            return True
