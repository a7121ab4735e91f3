"""Where a run stands: counts of epochs, bars and batches put together as steps from its start.

Single lines do not say which of several bars is the run's own, whether epochs are counted from 0 or 1, or that a
count began anew; the lines before them do.
"""

from __future__ import annotations

import math
import re

from trainer.formats import Reading

_FAST = 5.0  # steps a second from which a bar, redrawn ten times a second, may stand behind
_SNAP = 1.1  # how far the steps an epoch may lie above what was seen, to be taken as a whole number of epochs
# Bars of what surrounds a training. Their counts are not the run's.
_OTHER_BARS = re.compile(
    r"\b(?:map|download\w*|loading|fetch\w*|generat\w*|filter\w*|tokeniz\w*|resolv\w*|extract\w*|eval\w*|valid\w*"
    r"|sanity|test\w*|predict\w*|sampl\w*|cach\w*|convert\w*|saving|writing|prepar\w*|build\w*|running tokenizer)\b"
    r"|\(v(?:al\w*)?\)$",
    re.IGNORECASE,
)
_EPOCH_BAR = re.compile(r"^(?:train\w* )?epochs?$", re.IGNORECASE)


_ENOUGH = 3  # epochs that a bar went on over, to be one of epochs
_MOST_PARTS = 16  # bars of different totals that are remembered


class _Unwound:
    """A count that starts anew with each epoch, as one that goes on."""

    def __init__(self) -> None:
        self.last = self.base = 0

    def of(self, count: int) -> int:
        """Return `count` as counted from the start of the run."""
        self.base += self.last if count < self.last else 0
        self.last = count
        return self.base + count


class Place:
    """Puts the counts of one run's lines together."""

    def __init__(self) -> None:
        self._header: tuple[int, int | None] | None = None  # "Epoch 3/10" on a line of its own
        self._header_from_zero = False
        self._first: float | None = None  # the epoch that a bar named first
        self._first_named: float | None = None  # the epoch that a line named first
        self._from_zero = False  # epochs are counted from 0
        self._bar: tuple[int, int] | None = None  # count and total of the run's own bar
        self._fast = False  # it moves faster than it is drawn
        self._epoch_steps = 0.0  # steps an epoch has at least
        self._under: tuple[int, int | None] | None = None  # the header that it was drawn below
        self._within: set[int] = set()  # totals of bars within the run's own: evaluations
        self._outer: tuple[int, int] | None = None  # of a bar over epochs, which may be drawn late
        self._inner = (0, 0)  # count and total of the bar within that one
        self._rounds = 0  # how often that began anew
        self._parts: dict[int, _Unwound] = {}  # those of bars that came before, by their totals
        self._bars, self._lines = _Unwound(), _Unwound()  # counts that may start anew
        self._line = 0.0, 0.0  # the count that a line told last, and its epoch or its header's
        self._named_bar = math.inf, 0  # the epoch that a bar named last, and its count
        self._goes_on = 0  # how often it went on when the next epoch began
        self._fell = False  # it became less when an epoch began
        self._before, self._anew = (0, 0), False  # a named count below a heading, and whether it began anew

    @property
    def bar_ended(self) -> bool:
        """Whether the run's own bar has come to its end."""
        return self._bar is not None and self._bar[0] >= self._bar[1]

    def epoch_begins(self, epoch: int, epochs: int | None) -> None:
        """Take a line that names an epoch and says nothing else."""
        self._header_from_zero = self._header_from_zero or epoch == 0
        self._header = epoch, epochs

    def of(self, reading: Reading) -> tuple[int | None, int | None]:
        """Return the step and the total as counted from the start of the run, None where `reading` tells neither."""
        if reading.bar is not None and not reading.within_epoch:
            return self._place_bar(reading.bar, reading)
        if reading.bar is not None and _OTHER_BARS.search(reading.bar):
            return None, None
        if reading.step is not None and not reading.within_epoch and self._begins_anew(reading):
            reading = reading._replace(within_epoch=True)
        if reading.step is None:
            return None, reading.total
        if not reading.within_epoch and not self._restarts(reading.step, reading):
            self._lines.last = max(self._lines.last, reading.step)
            return reading.step, reading.total
        epoch, epochs = reading.epoch, reading.epochs
        if epoch is None and self._header:
            epoch, epochs = self._header[0] - (not self._header_from_zero), self._header[1]
        elif reading.bar is not None and epoch is not None and self._is_over_epochs(epoch, reading):
            return int(epoch) + (reading.epochs is not None), reading.total
        elif reading.bar is not None and epoch is not None and reading.from_either:
            self._first = epoch if self._first is None else self._first
            epoch -= 1 if self._first == 1 else 0  # "epoch 5" first: where it goes on, and nobody says from what
        elif reading.bar is None and epoch is not None and (reading.epochs or reading.from_either or reading.from_zero):
            self._first_named = epoch if self._first_named is None else self._first_named
            self._from_zero = self._from_zero or epoch == 0
            from_zero = self._from_zero or (reading.from_zero and not reading.from_either and self._first_named != 1)
            epoch -= 0 if from_zero else 1
        if reading.total is None or epoch is None:
            return (self._lines if reading.bar is None else self._bars).of(reading.step), None
        return int(epoch) * reading.total + reading.step, epochs * reading.total if epochs else None

    def by_epoch(self, epoch: float) -> int | None:
        """Return the step of a record that tells its epoch alone, or None where the last step is as good an answer.

        A bar is drawn ten times a second at most: where steps are faster, it stands behind.
        """
        if self._bar is None or self._bars.base or not self._fast or not self._bar[0]:
            return None
        count, total = self._bar
        self._epoch_steps = max(self._epoch_steps, count / (epoch + 0.005))  # epochs are told with two decimals
        steps = total / max(1, int(total / self._epoch_steps))
        if steps > _SNAP * self._epoch_steps:
            steps = self._epoch_steps
        return min(total, max(count, round(epoch * steps)))

    def _is_over_epochs(self, epoch: float, reading: Reading) -> bool:
        """Return whether a bar that names an epoch counts epochs: it goes on when the next one begins."""
        step = reading.step or 0
        (before, count), self._named_bar = self._named_bar, (epoch, step)
        if epoch == before + 1:
            goes_on = count <= step <= count + 2 and abs(step - epoch) <= 1
            self._goes_on = self._goes_on + 1 if goes_on else min(self._goes_on, _ENOUGH) - _ENOUGH
        return self._goes_on >= _ENOUGH

    def _restarts(self, step: int, reading: Reading) -> bool:
        """Return whether a count without a total is of one epoch: it was less when the next epoch began."""
        if reading.total is not None or reading.bar is not None:
            return False
        epoch = reading.epoch if reading.epoch is not None else float(self._header[0]) if self._header else 0.0
        before, self._line = self._line, (float(step), epoch)
        self._fell = self._fell or (step < before[0] and epoch == before[1] + 1)
        return self._fell

    def _begins_anew(self, reading: Reading) -> bool:
        """Return whether a count with a total is of one epoch, below headings that name epochs: it was less before."""
        if self._header is None or reading.total is None or reading.epoch is not None or reading.step is None:
            return False
        before, self._before = self._before, (reading.step, reading.total)
        self._anew = self._anew or (before[1] == reading.total and reading.step < before[0])
        return self._anew

    def _place_bar(self, name: str, reading: Reading) -> tuple[int | None, int | None]:
        count, total = reading.step, reading.total
        if count is None or total is None or _OTHER_BARS.search(name):
            return None, None
        if _EPOCH_BAR.match(name):
            self._outer = count, total
            return None, None
        if self._outer is not None:
            done, epochs = self._outer
            self._rounds += total == self._inner[1] and count < self._inner[0]
            self._inner = count, total
            return min(max(done, self._rounds), epochs - 1) * total + count, epochs * total
        below = self._header is not None and self._header is self._under  # the same epoch's
        other = self._bar is not None and total != self._bar[1]
        if self._bar is not None and other and (self._bar[0] < self._bar[1] or total in self._within or below):
            self._within.add(total)
            return None, None
        self._under = self._header
        if other and self._bar is not None:  # the one before was finished; this is the next part
            self._parts = {**dict([*self._parts.items()][-_MOST_PARTS:]), self._bar[1]: self._bars}
            if total in self._parts:  # or what it was is known, and between the two there was an evaluation
                self._within.add(self._bar[1])
            self._bars = self._parts.get(total) or _Unwound()
        self._bar, self._fast = (count, total), (reading.rate or 0.0) > _FAST or self._fast
        placed = self._bars.of(count)
        return placed, total if self._bars.base == 0 else None
