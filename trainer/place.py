"""Where a run stands: counts of epochs, bars and batches put together as steps from its start.

Single lines do not say which of several bars is the run's own, whether epochs are counted from 0 or 1, or that a
count began anew; the lines before them do.
"""

from __future__ import annotations

from trainer.bars import Bars, Unwound, is_other
from trainer.formats import Reading

MOST_STEPS = 10**15  # no run has as many


class Place:
    """Puts the counts of one run's lines together."""

    def __init__(self, *, resumed: bool) -> None:
        self._resumed = resumed
        self._header: tuple[int, int | None] | None = None  # "Epoch 3/10" on a line of its own
        self._header_from_zero = False
        self._first: float | None = None  # the epoch that a bar named first
        self._first_named: float | None = None  # the epoch that a line named first
        self._from_zero = False  # epochs are counted from 0
        self._bars = Bars()
        self._lines = Unwound(of_lines=True)  # counts of lines that may start anew
        self._ends = 0  # epochs that lines told which count nothing finer
        self._told_epoch: float | None = None  # the last of them
        self._last = 0.0, 0.0  # the count without a total that a line told last, and its epoch or its header's
        self._falling, self._fell = Unwound(of_lines=True), False  # those counts, and whether one fell with an epoch
        self._before, self._anew = (0, 0), False  # a named count below a heading, and whether it began anew
        self._within = 0.0, 0, 0  # the epoch of a count within it, that count, and how far it was from the one before
        # An epoch's first bar, and the first count below its heading: the epoch, the total, whether it came to its end.
        self._epoch_bar: tuple[float, int, bool] | None = None
        self._epoch_count: tuple[float, int, bool] | None = None
        self._bar_from_zero = False  # bars count epochs from 0 though they name how many there are
        self._within_epoch_bar = False  # the last bar was another of that epoch
        self._absolute = False  # such counts go on over epochs

    @property
    def bar_within(self) -> bool:
        """Whether the last bar was within the run's own: an evaluation's."""
        return self._bars.within or self._within_epoch_bar

    @property
    def bar_ended(self) -> bool:
        """Whether the run's own bar has come to its end."""
        return self._bars.ended

    @property
    def bar_left(self) -> int:
        """How many steps the run's own bar has not shown, if its epoch is at its end."""
        return self._bars.left

    def epoch_begins(self, epoch: int, epochs: int | None) -> None:
        """Take a line that names an epoch and says nothing else."""
        self._header_from_zero = self._header_from_zero or epoch == 0
        if (epoch, self._header) == (1, (0, None)) and epochs is not None:
            self._header_from_zero = False  # a callback's and the trainer's own, of one epoch
        self._header = epoch, epochs

    def by_epoch(self, epoch: float) -> int | None:
        """Return the step of a record that tells its epoch alone, or None where the last step is as good an answer."""
        return self._bars.by_epoch(epoch)

    def of(self, reading: Reading) -> tuple[int | None, int | None]:
        """Return the step and the total as counted from the start of the run, None where `reading` tells neither."""
        self._within_epoch_bar = self._bars.within = False
        if reading.bar is not None and not reading.within_epoch:
            return self._bars.of(reading.bar, reading, self._header)
        if reading.step is None:
            if reading.epoch is not None and reading.epoch != self._told_epoch:
                self._told_epoch, self._ends = reading.epoch, self._ends + 1
            return None, reading.total
        if reading.bar is not None:
            other = is_other(reading.bar) or self._is_second(reading)
            return (None, None) if other else self._within_epoch(reading.step, reading)
        if reading.within_epoch or self._begins_anew(reading):
            after = reading.epoch is None and self._is_after_end(reading.step, reading.total)
            return (None, None) if after else self._within_epoch(reading.step, reading)
        fallen = self._falls(reading.step, reading)
        return (reading.step if fallen is None else fallen), reading.total

    def _is_second(self, reading: Reading) -> bool:
        """Return whether a bar that names an epoch is not the first of that epoch: an evaluation's."""
        if reading.epoch is None or reading.total is None:
            return False
        epoch, total, ended = self._epoch_bar or (-1.0, 0, False)
        if epoch == reading.epoch and total != reading.total:
            self._within_epoch_bar = ended or reading.total < total
            return self._within_epoch_bar
        self._epoch_bar = reading.epoch, reading.total, reading.step == reading.total
        return False

    def _is_after_end(self, step: int, total: int | None) -> bool:
        """Return whether a count below the heading of an epoch comes after that epoch's own: an evaluation's."""
        if self._header is None or not total:
            return False
        epoch, first, ended = self._epoch_count or (-1.0, 0, False)
        if epoch == self._header[0] and total != first:
            return ended
        self._epoch_count = float(self._header[0]), total, step == total
        return False

    def _within_epoch(self, step: int, reading: Reading) -> tuple[int | None, int | None]:
        """Return the step and the total by a count that is of one epoch."""
        epoch, epochs, total = reading.epoch, reading.epochs, reading.total
        if reading.bar is not None and epoch is not None:
            self._bar_from_zero = self._bar_from_zero or epoch < 0  # "epoch: 0/4", which was taken to count from one
            epoch += self._bar_from_zero
        if epoch is None and self._header:
            epoch, epochs = self._header[0] - (not self._header_from_zero), self._header[1]
        elif (
            reading.bar is not None
            and epoch is not None
            and total
            and self._bars.counts_epochs(epoch, step, of_as_many=total == epochs)
        ):
            return int(epoch) + (epochs is not None), total
        elif reading.bar is not None and epoch is not None and reading.from_either:
            self._first = epoch if self._first is None else self._first
            epoch -= 1 if self._first == 1 else 0  # "epoch 5" first: where it goes on, and nobody says from what
        elif reading.bar is None and epoch is not None and self._shows(reading):
            if total and self._goes_on(epoch, step):
                return step, total
            self._from_zero = self._from_zero or epoch == 0
            from_zero = self._from_zero or (reading.from_zero and not reading.from_either and self._first_named != 1)
            epoch -= 0 if from_zero else 1
        if total is None or epoch is None:
            return (self._lines if reading.bar is None else self._bars.count).of(step, reading.epoch, total or 0), None
        return int(epoch) * total + step, epochs * total if epochs else None

    def _shows(self, reading: Reading) -> bool:
        """Return whether the first epoch shows what epochs are counted from: of a run that goes on it may not."""
        self._first_named = reading.epoch if self._first_named is None else self._first_named
        fresh = self._first_named == 1 and not self._resumed and not reading.based
        return bool(reading.epochs or reading.from_either or reading.from_zero or fresh)

    def _goes_on(self, epoch: float, step: int) -> bool:
        """Return whether a count beside an epoch is of the whole run: it goes on when the next one begins."""
        (before, last, stride), self._within = self._within, (epoch, step, self._within[2])
        if epoch == before:
            self._within = epoch, step, step - last
        elif epoch == before + 1 and 0 < step - last <= stride:
            self._absolute = True
        return self._absolute

    def _falls(self, step: int, reading: Reading) -> int | None:
        """Return a count without a total as one that goes on if it is of one epoch: it fell when the next one began."""
        if reading.total is not None:
            return None
        epoch = reading.epoch if reading.epoch is not None else float(self._header[0] if self._header else self._ends)
        before, self._last = self._last, (float(min(step, 2**53)), epoch)
        if not self._fell and step < before[0]:
            self._fell = epoch == before[1] + 1
            self._falling = self._falling if self._fell else Unwound(of_lines=True)
        placed = self._falling.of(step)
        return placed if self._fell else None

    def _begins_anew(self, reading: Reading) -> bool:
        """Return whether a count with a total is of one epoch, below headings that name epochs: it was less before."""
        if self._header is None or reading.total is None or reading.epoch is not None or reading.step is None:
            return False
        before, self._before = self._before, (reading.step, reading.total)
        self._anew = self._anew or (before[1] == reading.total and reading.step < before[0])
        return self._anew
