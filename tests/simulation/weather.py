"""What goes wrong, how often, and when: drawn from one seed, so that the same seed goes wrong in the same way.

Two kinds of trouble: faults of single calls, drawn anew each time, and spells, windows of time in which everything of
a kind fails. Nothing is drawn where a menu's number is zero.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobs.errors import NoCapacity, ProviderError, QuotaExceeded, Scope, Throttled, Unknown

ZERO = timedelta(0)


class Spell(StrEnum):
    """A window of time in which a cloud does not do its work."""

    DOWN = "down"  # 5xx from every verb, nothing has an effect
    THROTTLED = "throttled"
    DEAF = "deaf"  # terminate says yes and does nothing
    FULL = "full"  # nothing is free, anywhere


@dataclass(frozen=True, kw_only=True)
class Menu:
    """Chances of one call, unless another unit is named."""

    error_before: float = 0.0  # a 5xx, and nothing was done
    error_after: float = 0.0  # a 5xx, and it was done
    lost: float = 0.0  # a launch that is done and answered to nobody
    throttled: float = 0.0
    partial: float = 0.0  # of a listing
    full: float = 0.0  # of a launch: a zone, a region, or the account's quota
    slow_end: float = 0.0  # of a machine: its first terminate is agreed to and not acted on for a while
    slow_end_for: timedelta = timedelta(seconds=40)
    stuck: float = 0.0  # of a machine: it never boots
    stale: timedelta = ZERO  # how old the replica may be that answers a look
    reclaim_every: timedelta | None = None  # mean life of a spot machine
    boot: tuple[float, float] = (0.0, 0.0)  # seconds, least and most
    end_lag: tuple[float, float] = (0.0, 0.0)  # seconds from a terminate to its end
    forget_after: timedelta | None = None  # how long an ended machine is still shown; None: for ever


@dataclass(frozen=True, kw_only=True)
class Window:
    """A spell from its beginning to just before its end."""

    spell: Spell
    begins: datetime
    ends: datetime


class Weather:
    """One cloud's luck."""

    def __init__(self, seed: str, menu: Menu, windows: Sequence[Window] = ()) -> None:
        self.chance = random.Random(seed)
        self.menu = menu
        self.windows = list(windows)
        self.befell: Counter[str] = Counter()  # by what happened, how often

    def happens(self, chance: float) -> bool:
        """Draw once; nothing is drawn for an impossible thing."""
        return chance > 0 and self.chance.random() < chance

    def between(self, bounds: tuple[float, float]) -> timedelta:
        """Draw a span of so many seconds."""
        least, most = bounds
        return timedelta(seconds=round(self.chance.uniform(least, most), 3)) if most else ZERO

    def during(self, spell: Spell, at: datetime) -> Window | None:
        """Return the window of that kind that `at` lies in."""
        return next((one for one in self.windows if one.spell is spell and one.begins <= at < one.ends), None)

    def before_effect(self, verb: str, at: datetime) -> ProviderError | None:
        """Return what keeps a call from doing anything."""
        if self._met(Spell.DOWN, at) or self._struck("a 5xx before the effect", self.menu.error_before):
            return Unknown(f"503 Service Unavailable ({verb}).")
        if self._met(Spell.THROTTLED, at) or self._struck("a call is throttled", self.menu.throttled):
            return Throttled(f"Rate exceeded ({verb}).")
        return None

    def after_effect(self, verb: str) -> ProviderError | None:
        """Return what is answered although it was done."""
        if self._struck("a 5xx after the effect", self.menu.error_after):
            return Unknown(f"500 Internal Server Error ({verb}).")
        if verb == "launch" and self._struck("a launch is answered to nobody", self.menu.lost):
            return Unknown("The call was not answered in time.")
        return None

    def no_room(self, at: datetime) -> ProviderError | None:
        """Return why nothing can be launched now, by a scope that is drawn."""
        if self._met(Spell.FULL, at):
            return NoCapacity("Insufficient capacity.", scope=Scope.REGION)
        if not self._struck("a zone, a region or a quota is full", self.menu.full):
            return None
        return self.chance.choice(
            (
                NoCapacity("Insufficient capacity in the zone.", scope=Scope.ZONE),
                NoCapacity("Insufficient capacity in the region.", scope=Scope.REGION),
                QuotaExceeded("The region's limit of instances is reached.", scope=Scope.REGION),
                QuotaExceeded("The account's limit of instances is reached.", scope=Scope.ACCOUNT),
            )
        )

    def _met(self, spell: Spell, at: datetime) -> bool:
        window = self.during(spell, at)
        if window is not None:
            long = window.ends - window.begins >= timedelta(hours=12)
            self.befell[f"a call while a cloud is {spell.value} for {'a day' if long else 'a while'}"] += 1
        return window is not None

    def _struck(self, what: str, chance: float) -> bool:
        happens = self.happens(chance)
        self.befell[what] += happens
        return happens

    def age(self) -> timedelta:
        """Draw how old the replica is that answers a look."""
        stale = self.menu.stale
        # Most looks meet a fresh replica.
        if not stale or self.chance.random() >= 0.3:
            return ZERO
        self.befell["a look at a stale replica"] += 1
        return stale * self.chance.random()
