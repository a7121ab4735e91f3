"""Where a run stands: which line says it, of all that count.

A run's lines count by steps, by epochs, by bars of either, in records that name an epoch and in forms that nobody
knows. One of them counts for the run, the one that is believed first (`trainer.series`); the others stand where that
one stood last. How counts of epochs and batches make steps is `trainer.place`.
"""

from __future__ import annotations

from typing import NamedTuple

from trainer.formats import Reading
from trainer.names import all_of_evaluation
from trainer.place import Place
from trainer.records import Records
from trainer.series import BAR, BLOCK, COUNTED, DICT, EVENT_FILE, PLAIN, ROUND

_SETTLED = 5  # lines after which a bar keeps the series that it shows


class At(NamedTuple):
    """Where the run stands at a line."""

    step: int | None
    total: int | None = None
    moved: bool = False  # the line says so
    counts: bool = False  # and counts for the run


class Standing:
    """Where one run stands."""

    def __init__(self, *, resumed: bool) -> None:
        """Begin at nothing, or somewhere behind a checkpoint."""
        self.step: int | None = None
        self.header: int | None = None  # the epoch that a line of its own named last
        self.place, self.records = Place(resumed=resumed), Records()
        self._resumed = resumed
        self._counter: float | None = None  # belief of what the step comes from
        self._told = 0  # how often that counted in a row
        self._bare = True  # the bar that counts brought no values so far
        self._total: int | None = None  # as the line that counted last said it, of an epoch perhaps
        self._epoch_counted: float | None = None  # the epoch that it named beside
        self._bar_epoch: float | None = None  # the epoch that a bar named which counts within it
        self._apart = False  # such a bar stood elsewhere than at the epoch that it named
        self._raw = 0  # its count as it named it
        self._by_epoch: int | None = None  # where the run stands, if lines tell its epochs and nothing else

    @property
    def counts(self) -> bool:
        """Whether some line or report told a step."""
        return self._counter is not None

    @property
    def is_placed(self) -> bool:
        """Whether something better than a form that comes again has said where the run stands."""
        better = self._counter is not None and self._counter < PLAIN
        return better or self.header is not None or self._by_epoch is not None

    @property
    def on_bar(self) -> bool:
        """Whether a bar counts, and has counted for long."""
        return self._counter == BAR and self._told >= _SETTLED

    @property
    def so_far(self) -> int | None:
        """The step, or the epoch where nothing finer is told."""
        if self.step is not None:
            return self.step
        return self.header if self._by_epoch is None else self._by_epoch

    def believes(self, row: float) -> bool:
        """Return whether nothing that counts is believed before `row`."""
        return self._counter is None or self._counter >= row

    def heads(self, epoch: int, epochs: int | None) -> None:
        """Take a line that names an epoch and says nothing else."""
        self.header = epoch
        self.place.epoch_begins(epoch, epochs)

    def of(self, row: float, reading: Reading, *, by: float) -> At:
        """Return where the run stands at a line that `row` reads; `by`: what its count is believed as."""
        judges = self.counts and row != ROUND and (reading.within_epoch or (reading.step or 0) < (self.step or 0))
        of_evaluation = judges and all_of_evaluation(reading.values)
        step, total = (None, None) if of_evaluation else self.place.of(reading)
        if step is None or not self._may_count(by, reading):
            return self._beside(row, reading)
        self.count(by, step, reading)
        return At(step, total, moved=True, counts=True)

    def count(self, row: float, step: int | None, reading: Reading) -> None:
        """Take that the run stands at `step`, as `row` has it."""
        self._total = reading.total
        self._epoch_counted, self._raw = reading.epoch, reading.step or 0
        if reading.bar is not None and reading.epoch is not None:
            epoch = reading.epoch + (reading.epochs is not None)  # as it names it
            self._apart = self._apart or abs(self._raw - epoch) > 1
            self._bar_epoch = epoch if self._apart else None
        self._bare = not reading.values and (self._bare or self._counter != row)
        self._told = self._told + 1 if self._counter == row else 0
        self._counter, self.step = row, step

    def is_of_evaluation(self, reading: Reading) -> bool | None:
        """Return whether a count below a heading of an evaluation is another than the run's, None for no such count."""
        if self._counter is None or reading.bar is not None or reading.step is None:
            return None
        if reading.epoch is not None and reading.epoch != self._epoch_counted:
            return None
        other = reading.total != self._total if reading.total is not None else reading.step < self._raw
        # One of as many as the training's, in the epoch that has been counted already.
        other = other or (reading.within_epoch and reading.epoch is not None and reading.step <= self._raw)
        return other and (reading.within_epoch or reading.step <= (self.step or 0))

    def _beside(self, row: float, reading: Reading) -> At:
        """Return where the run stands at a line that does not count for it."""
        by_form = self.counts and not self._is_before(PLAIN) and not all_of_evaluation(reading.values)
        epoch = reading.epoch if reading.epoch is not None and reading.epoch % 1 == 0 else None
        if reading.epoch_counts and epoch is not None and (by_form or self.step is None):
            self._counter = self.step = None  # an epoch is worth more than what a form counts
            self._by_epoch = int(epoch)
            return At(self._by_epoch, reading.epochs, moved=True)
        if row == DICT and reading.epoch is not None and self.step is None:
            self._by_epoch, total, told = self.records.of(reading.epoch)
            return At(self._by_epoch, total, moved=told)
        if self.step is None and self._by_epoch is not None:
            return At(self._by_epoch)
        if self.step is None and self._counter is None and self.header is not None:
            return At(self.header, moved=True)
        if self._counter == BAR and reading.epoch_counts and epoch is not None and epoch == self._bar_epoch:
            return At((self.step or 0) - self._raw + (self._total or self._raw))  # the bar that names it was drawn late
        if self._counter == BAR and self._bare and epoch is not None and self._total:
            ahead = epoch - (self.step or 0)  # of a bar of epochs, which is drawn late
            if 0 <= ahead <= max(3.0, self._total / 20) and epoch <= self._total:
                return At(int(epoch), self._total, moved=True)
        if (row == BLOCK or (row == COUNTED and reading.total == self._total)) and self._is_drawn_late(reading):
            self.step = reading.step  # what stands below is of it, too
            return At(reading.step, reading.total, moved=True)
        if row == DICT and reading.epoch is not None and self._resumed and self._counter == BAR and self.step == 0:
            return At(self.records.at(reading.epoch))  # the bar was not drawn since it went on
        if row == DICT and reading.epoch is not None:
            placed = self.place.by_epoch(reading.epoch)
            return At(self.step if placed is None else placed)
        if self._counter == BAR and self._bare and self.step == 0 and self.header is not None:
            return At(self.header, moved=True)  # the bar was drawn once and never again
        if self._counter == BAR and self.step is not None and reading.epoch_counts and epoch is not None:
            return At(self.step + self.place.bar_left)  # it sums the epoch up
        return At(self.step)

    def _is_before(self, row: float) -> bool:
        return self._counter is not None and self._counter < row

    def _is_drawn_late(self, reading: Reading) -> bool:
        """Return whether a line names the step that a bar has not shown yet: bars are drawn ten times a second."""
        if self._counter != BAR or reading.step is None or self.step is None or reading.within_epoch:
            return False
        if reading.step < self.step or all_of_evaluation(reading.values):
            return False
        return reading.total is not None or (self._bare and reading.step <= (self._total or reading.step))

    def _may_count(self, row: float, reading: Reading) -> bool:
        if self._by_epoch is not None and row >= PLAIN:
            return False  # a form is believed last
        if self._counter is None or row == self._counter:
            return True
        if row == BAR and not reading.values:
            return False  # of an evaluation, between lines that name their step
        if self._counter == BAR and reading.values and self._bare and self.place.bar_ended:
            return True  # that bar was of something before the training
        if self._counter == BAR and row == BLOCK and self._bare and not reading.within_epoch:
            # What a line names that has outgrown the bar is finer: the bar counts epochs.
            return reading.step is not None and reading.total is None and reading.step > (self._total or reading.step)
        if row == COUNTED and self._counter == BLOCK and reading.values and not reading.within_epoch:
            return (reading.step or 0) > (self.step or 0)  # what counts on between lines that name their step is finer
        # A bar that shows what is measured is finer than what is said at the end of each of its epochs.
        settled = self.on_bar and not self._bare
        return row < self._counter and not (settled and row > EVENT_FILE)
