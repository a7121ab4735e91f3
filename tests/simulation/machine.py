"""One machine of the fake cloud: when it stands, why it ends, what it is billed for.

Everything that will end a machine has a moment, and the earliest moment that has come is the end. Nothing happens to a
machine between looks: its state at any time follows from these moments alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jobs.providers import InstanceState, LaunchOrder, Offer


class Cause(StrEnum):
    """Who ended a machine."""

    ASKED = "asked"  # a terminate that was accepted, and acted on
    NATIVE = "native"  # the cloud's own limit
    TIMER = "timer"  # the timer on the machine
    RECLAIM = "reclaim"  # the spot market
    ITSELF = "itself"  # its work was done, and it powered off


@dataclass(kw_only=True)
class Machine:
    """A machine that was made. Times are the cloud's; `ends` are moments that may still lie ahead."""

    id: str
    key: str
    order: LaunchOrder
    offer: Offer
    launched_at: datetime
    runs_at: datetime | None  # None: it is stuck before its boot, and billed all the same
    deadline: datetime  # the one that the cloud was told last
    tags: dict[str, str]
    ends: dict[Cause, datetime] = field(default_factory=dict)
    accepted_at: datetime | None = None  # the first terminate that was answered with a yes
    limit: datetime | None = None  # of a timer beside it, which a call of its own sets
    shown: bool = False  # whether any answer of the cloud's ever named it
    _ended: tuple[datetime, Cause] | None = None  # once it is known: no end that comes to be known later is earlier

    def end(self, now: datetime) -> tuple[datetime, Cause] | None:
        """Return when and by whom it ended, None while it stands."""
        if self._ended is None:
            self._ended = min(((at, cause) for cause, at in self.ends.items() if at <= now), default=None)
        return self._ended if self._ended is not None and self._ended[0] <= now else None

    def alive(self, now: datetime) -> bool:
        """Return whether it stands and is billed."""
        return self.launched_at <= now and self.end(now) is None

    def running(self, now: datetime) -> bool:
        """Return whether it has booted and stands."""
        return self.runs_at is not None and self.runs_at <= now and self.alive(now)

    def state(self, at: datetime) -> InstanceState:
        """Return what a replica says that is as old as `at`."""
        if self.end(at) is not None:
            return InstanceState.GONE
        if self.accepted_at is not None and self.accepted_at <= at and Cause.ASKED in self.ends:
            return InstanceState.ENDING
        return InstanceState.RUNNING if self.running(at) else InstanceState.PENDING
