"""Slack's rate limits as token buckets: tiers by method, and one message a second in each channel.

A bucket holds what may come at once and refills evenly. A call that finds it empty is answered 429 with the
whole seconds until there is room again; a refused call costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bot.sandbox.clock import Clock


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many calls at once, and how many a second in the long run."""

    burst: int
    per_second: float


TIER_1 = Rate(burst=1, per_second=1 / 60)
TIER_2 = Rate(burst=20, per_second=20 / 60)
TIER_3 = Rate(burst=50, per_second=50 / 60)
TIER_4 = Rate(burst=100, per_second=100 / 60)
# Slack calls it special: hundreds a minute.
SPECIAL = Rate(burst=300, per_second=300 / 60)


class RateLimiter:
    """The buckets of one workspace; guarded by the workspace's lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # key -> (tokens, as of monotonic seconds)

    def take(self, key: str, rate: Rate) -> int:
        """Take one call from the bucket `key`: 0 when there was room, else the seconds to wait."""
        now = self._clock.monotonic()
        tokens, since = self._buckets.get(key, (float(rate.burst), now))
        tokens = min(float(rate.burst), tokens + (now - since) * rate.per_second)
        # A hair of tolerance: a caller that waited exactly as told must not be refused over a rounding.
        if tokens >= 1 - 1e-9:
            self._buckets[key] = (tokens - 1, now)
            return 0
        self._buckets[key] = (tokens, now)
        return max(1, math.ceil((1 - tokens) / rate.per_second - 1e-9))
