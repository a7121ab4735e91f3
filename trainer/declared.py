"""What a team's own description of its lines says of a run: `progress:` in the task file, read by its templates.

Nothing is guessed here but two things: epochs are counted from 0 or from 1, as the first one shows, and a count within
an epoch that is not named before it begins anew where it falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from trainer.bars import Unwound
from trainer.numbers import number, plainly
from trainer.place import MOST_STEPS
from trainer.templates import COUNTS, Template, parse


class Told(NamedTuple):
    """What a line tells that is described; all empty for one that is to be left alone."""

    step: int | None = None  # counted from the start of the run, None where it does not say
    total: int | None = None
    epoch: float | None = None
    values: Mapping[str, float] = MappingProxyType({})


class Declared:
    """The templates of one run, and where their lines say that it stands."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        """Take templates; raises `ValueError` on one that cannot be read."""
        # As the lines are when they come here; they are shown as they were written.
        self.templates: Sequence[Template] = tuple(replace(parse(plainly(text)), text=text) for text in texts)
        self.fits = [0] * len(self.templates)  # lines that each was the first to fit
        self.counts = False  # one of them has said where the run stands: no other line does from then on
        self.bracketed = any(text.startswith("[{") for text in texts)  # what may look like a rank is a count
        self._names_epochs = any("epoch" in template.names for template in self.templates)
        self._totals: dict[str, int] = {}  # how many steps, epochs and batches there are, as said last
        self._epoch: int | None = None  # named last
        self._from = 1  # what epochs are counted from
        # Steps or batches are counted, and not epochs alone.
        self._finer = any({"step", "batch"} & set(template.names) for template in self.templates)
        self._from_zero = False  # batches are counted from 0
        self._begun: tuple[int, int, int] | None = None  # the epoch that counts, its first step, and its batches
        self._within = Unwound()  # a count within epochs of unknown length, or of unknown number

    def __bool__(self) -> bool:
        return bool(self.templates)

    def read(self, text: str) -> Told | None:
        """Return what the first template says that fits, None where none does or its count is no whole number."""
        line = " ".join(text.split())
        for at, template in enumerate(self.templates):
            found = template.find(line)
            if found is None:
                continue
            values = {name: number(value) for name, value in found.items()}
            whole = {name: values.pop(name) for name in (*COUNTS, *COUNTS.values()) if name in values}
            if all(map(_is_count, whole.values())):
                self.fits[at] += 1
                return self._told({name: int(count) for name, count in whole.items()}, values)
        return None

    def _told(self, whole: Mapping[str, int], values: Mapping[str, float]) -> Told:
        self._totals.update({name: whole[name] for name in COUNTS.values() if name in whole})
        epoch = whole.get("epoch")
        if epoch is not None:
            self._from = 0 if epoch == 0 else self._from
            self._epoch = epoch
        step, total = self._place(whole)
        self.counts = self.counts or step is not None
        return Told(step, total, None if epoch is None else float(epoch), values)

    def _place(self, whole: Mapping[str, int]) -> tuple[int | None, int | None]:
        epochs, batches = self._totals.get("epochs"), self._totals.get("batches")
        if "step" in whole:
            return whole["step"], self._totals.get("steps")
        if "batch" in whole:
            total = epochs * batches if epochs and batches else None
            self._names_epochs = self._names_epochs and self._epoch is not None  # else it stands behind its batches
            epoch = self._epoch if self._names_epochs else None
            if epoch is None or not batches:
                self._from_zero = self._from_zero or whole["batch"] == 0
                return self._within.of(whole["batch"] + self._from_zero, epoch, batches or 0) - self._from_zero, total
            return self._begins(epoch, batches) + whole["batch"], total
        return (None, None) if self._finer else (whole.get("epoch"), epochs)

    def _begins(self, epoch: int, batches: int) -> int:
        """Return the step before an epoch's first one: where the last epoch ended, however long that was."""
        before = self._begun
        if before is not None and epoch == before[0]:
            first, batches = before[1], max(before[2], batches)  # the shorter count is an evaluation's
        elif before is not None and epoch == before[0] + 1:
            first = before[1] + before[2]
        else:
            first = max(0, epoch - self._from) * batches
        self._begun = epoch, first, batches
        return first


def _is_count(value: float) -> bool:
    return 0 <= value <= MOST_STEPS and value % 1 == 0
