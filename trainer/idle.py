"""Does a GPU that is paid for do nothing? Asked while the command runs, told once.

A GPU is idle when every look of a whole window found it under the least that was asked for. A look that fails says
nothing of the GPU, so it counts as busy: no run is ended because a driver was slow to answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from trainer.wire import IdleRule

_LOOKS = 20  # in a window, at least; NVML itself averages over a second at most
_EVERY = 2.0  # seconds between looks, where the window leaves room for that


class Idleness:
    """The judgement alone; all times are seconds on one clock that only goes forward."""

    def __init__(self, rule: IdleRule, began: float) -> None:
        self._rule = rule
        self._since = began
        self._busy_at: list[float] = []  # of each GPU, the last moment at which it was not known to be idle

    def seen(self, percents: Sequence[int] | None, now: float) -> str | None:
        """Take one look, in percent a GPU (None: it failed); return what is wrong, in words, once a GPU is idle."""
        if percents is None or (self._busy_at and len(percents) != len(self._busy_at)):
            self._since, self._busy_at = now, []
            return None
        self._busy_at = self._busy_at or [self._since] * len(percents)
        for index, percent in enumerate(percents):
            if percent >= self._rule.least:
                self._busy_at[index] = now
        for index, busy_at in enumerate(self._busy_at):
            if now - busy_at >= self._rule.window:
                minutes = self._rule.window / 60
                return f"GPU {index} stayed under {self._rule.least} % for {minutes:g} min."
        return None


class IdleWatch:
    """Looks from a thread of its own until it is closed or has told that a GPU is idle."""

    def __init__(
        self,
        rule: IdleRule,
        *,
        probe: Callable[[], Sequence[int] | None],
        clock: Callable[[], float],
        idle: Callable[[str], None],
    ) -> None:
        self._judge = Idleness(rule, clock())
        self._every = min(_EVERY, rule.window / _LOOKS)
        self._probe = probe
        self._clock = clock
        self._idle = idle
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="idle", daemon=True).start()

    def close(self) -> None:
        """Stop looking; a look under way may outlive this call, untold."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._every):
            told = self._judge.seen(self._probe(), self._clock())
            if told and not self._closed.is_set():
                self._idle(told)
                return
