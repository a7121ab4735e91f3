"""Where records stand that name an epoch, or a part of one, and no step, like those of transformers without its bar.

How many steps an epoch has is told where its log is not silenced, and by the states that come with checkpoints. As
long as nobody tells, records are counted, so that an evaluation's stand beside the training's.
"""

from __future__ import annotations

import re

_ANNOUNCED = re.compile(
    r"(?P<what>Num Epochs|Num update steps per epoch|Total optimization steps) = (?P<n>\d[\d,]{0,14})$"
)
_BY_STEPS = "max_steps is given"  # the epochs are rounded up then
_BEGINS = "***** Running training"
_MOST_STEPS, _LEAST = 10**15, 1e-6  # epochs
_MOST_EPOCHS = 100_000  # of a stream without an end it says 2**63


class Records:
    """Follows the records of one run."""

    def __init__(self) -> None:
        self._announced: dict[str, int] = {}
        self._by_steps = self._next_by_steps = False
        self._known: tuple[int, float] | None = None  # a step and its epoch
        self._last, self._count = -1.0, 0  # the furthest epoch, and the step that was made of it
        self._whole = True  # only whole epochs were told

    def announced(self, text: str) -> None:
        """Take a line that may say how far the run goes."""
        if _BEGINS in text:
            self._announced.clear()
            self._by_steps, self._next_by_steps = self._next_by_steps, False
        if " = " in text and (found := _ANNOUNCED.search(text)):
            self._announced[found["what"]] = int(found["n"].replace(",", ""))
        if _BY_STEPS in text:  # said of the run that begins next
            self._by_steps = self._next_by_steps = True

    def knows(self, step: int, epoch: float) -> None:
        """Take that `step` is at `epoch`."""
        if 0 < step < _MOST_STEPS and _LEAST <= epoch < _MOST_EPOCHS:
            self._known = step, epoch

    def of(self, epoch: float) -> tuple[int | None, int | None, bool]:
        """Return the step and the total of a record at `epoch`, and whether that is what the run counts."""
        if not 0 <= epoch < _MOST_EPOCHS:
            return None, None, False
        total = self._announced.get("Total optimization steps")
        if (step := self.at(epoch)) is not None:
            return (min(step, total) if total else step), total, True
        self._whole = self._whole and epoch % 1 == 0
        if epoch != self._last:
            goes_on = epoch > self._count or self._last < 0  # a run after another begins at less
            self._last, self._count = epoch, int(epoch) if self._whole and goes_on else self._count + 1
        return self._count, None, self._whole

    def at(self, epoch: float) -> int | None:
        """Return the step at `epoch`, None where nobody told how many an epoch has."""
        steps = self._steps() if 0 <= epoch < _MOST_EPOCHS else None
        return round(epoch * steps) if steps else None

    def _steps(self) -> float | None:
        """Return how many steps an epoch has, None where nobody told."""
        if steps := self._announced.get("Num update steps per epoch"):
            return float(steps)
        epochs, total = self._announced.get("Num Epochs"), self._announced.get("Total optimization steps")
        if epochs and total and epochs < _MOST_EPOCHS and not self._by_steps:
            return total / epochs
        return self._known[0] / self._known[1] if self._known else None
