"""SIGTERM, the deadline and the control file become one flag with one reason, and a plan for what is left.

All times are seconds on one clock that only goes forward. Of the grace the command gets three quarters to save and
leave; the last quarter belongs to the uploads and the outcome.
"""

from __future__ import annotations

import math
from enum import Enum

from trainer.wire import Reason

_SCRIPT_SHARE = 0.75
_LAST_WORDS = 0.1  # of the grace, kept for the outcome itself


class Step(Enum):
    """What is to be done to the command now."""

    LET_RUN = "let_run"
    ASK = "ask"  # SIGTERM, once
    WAIT = "wait"
    KILL = "kill"


class Preemption:
    """The one flag: whether this run is being stopped, why, and since when."""

    def __init__(self, *, grace: float) -> None:
        self.reason: Reason | None = None
        self.grace = max(0.0, grace)
        self._asked_at = 0.0
        self._told = False  # the command had its SIGTERM
        # When the provider takes the machine, and how long before that it said so.
        self._taken_at, self._notice = math.inf, math.inf

    def ask(self, reason: Reason, now: float, *, within: float | None = None) -> bool:
        """Ask for a stop; return whether that changed anything. `within`: the machine stands no longer than that.

        The first reason stands, but a bare SIGTERM says nothing of who wanted it: a reason that comes with a name
        replaces `PREEMPTED`.
        """
        if within is not None:
            self._taken_at, self._notice = now + max(0.0, within), max(0.0, within)
        if self.reason is None:
            self.reason, self._asked_at = reason, now
            return True
        if self.reason is Reason.PREEMPTED and reason is not Reason.PREEMPTED:
            self.reason = reason
            return True
        return False

    def step(self, now: float, ends: float) -> Step:
        """Return what is due at `now` for a deadline at `ends`; asks by itself when only the grace is left."""
        if now >= ends - self.grace:
            self.ask(Reason.DEADLINE, now)
        if self.reason is None:
            return Step.LET_RUN
        if now >= self.kill_at(ends):
            return Step.KILL
        if self._told:
            return Step.WAIT
        self._told = True
        return Step.ASK

    def kill_at(self, ends: float) -> float:
        """Return when the patience with the command ends."""
        kept = 1 - _SCRIPT_SHARE
        reserve, taken = self.grace * kept, self._taken_at - min(self.grace, self._notice) * kept
        return min(self._asked_at + self.grace * _SCRIPT_SHARE, ends - reserve, taken)

    def last_call(self, ends: float) -> float:
        """Return until when uploads may hold up the outcome."""
        words = min(self.grace, self._notice) * _LAST_WORDS
        if self.reason is None:
            return ends - words
        return min(self._asked_at + self.grace, ends, self._taken_at) - words
