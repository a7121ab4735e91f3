"""Where progress bars say that a run stands: which of several is the run's own, and what it counts.

Pure: the same bars give the same answers.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from trainer.formats import Reading

_FAST = 5.0  # steps a second from which a bar, redrawn ten times a second, may stand behind
_DRAWN = 0.15  # seconds from which on it is drawn again, if it has not ended and gone
_SNAP = 1.1  # how far the steps an epoch may lie above what was seen, to be taken as a whole number of epochs
_AFTER = 1.2  # how far the bar may have moved until it was drawn anew
_ROUNDED = 0.005  # by which an epoch of two decimals may mislead
_ROUNDS = 3  # epochs that a bar went on over, to be one of epochs
_SHORTER = 0.8  # of the run's own bar: what is shorter is an evaluation's, and no epoch of another length
_MOST_WORDS = 64  # that are remembered
_MOST_TOTALS = 16  # that are remembered
# Bars of what surrounds a training. Their counts are not the run's.
_OTHERS = re.compile(
    r"\b(?:map|download\w*|loading|fetch\w*|generat\w*|filter\w*|tokeniz\w*|resolv\w*|extract\w*|eval\w*|valid\w*"
    r"|sanity|test\w*|predict\w*|sampl\w*|cach\w*|convert\w*|saving|writing|prepar\w*|build\w*|running tokenizer)\b"
    r"|\(v(?:al\w*)?\)$|_(?:test|val|valid|eval)\b",
    re.IGNORECASE,
)
_TRAINS = re.compile("train", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_]{3,}")
_OF_EPOCHS = re.compile(r"^(?:train\w* )?epochs?$", re.IGNORECASE)


@lru_cache(maxsize=_MOST_WORDS)
def is_other(name: str) -> bool:
    """Return whether a bar of this name is of what surrounds a training."""
    return bool(_OTHERS.search(name))


class Unwound:
    """A count that starts anew with each epoch, as one that goes on."""

    def __init__(self, *, of_lines: bool = False) -> None:
        """Take what a bar counts, which is what is done, or what lines count, which may be what is being done."""
        self.last = self.base = self._total = 0
        self._epoch: float | None = None
        self._may_index, self._from_zero = of_lines, False  # this epoch began with 0
        self._stride = 0  # between two lines of an epoch, the widest
        self._ahead = 0  # how far the epoch went on behind its last line, at least

    def of(self, count: int, epoch: float | None = None, total: int = 0) -> int:
        """Return `count` as counted from the start of the run; within an `epoch` that is known it begins once.

        `total`: how far it counts, 0 where nobody says. Lines at 0, 100 and 200 are of an epoch that goes to 300, as
        those at 100, 200 and 300 are; one at 230 behind them is its last.
        """
        anew = count < self.last if epoch is None else count <= self.last and epoch != self._epoch
        stride = count - self.last
        if stride < 0 and not anew:
            return self.base + count  # of something else within the epoch
        if anew:
            self.base += max(self.last, self._total) if self._total else self.last + self._ahead
            self._from_zero, self._ahead = False, 0
        if count == 0:
            self._from_zero, self._ahead = self._may_index, int(self._may_index)
        elif self._from_zero and stride > 0:
            self._ahead, self._stride = stride if stride >= self._stride else 1, max(stride, self._stride)
        self.last, self._epoch, self._total = count, epoch, total
        return self.base + count


class Bars:
    """The bars of one run."""

    def __init__(self) -> None:
        self.count = Unwound()  # that of the run's own
        self._bar: tuple[int, int] | None = None  # its count and total
        self._fast = False  # it moves faster than it is drawn
        self.left = 0  # steps until its end, if it comes to it before it is drawn again
        self._asked: float | None = None  # the epoch of a record after which the bar is drawn anew
        self._least, self._ratio = 0.0, math.inf  # steps an epoch has at least, and by a bar behind a record
        self.within = False  # whether the last bar was within the run's own
        self._inner_words: set[str] = set()  # that bars within a step are called
        self._words: set[str] = set()  # that it is called
        self._under: object = None  # the header that it was drawn below
        self._measured: set[int] = set()  # totals of bars that showed what is measured
        self._within: set[int] = set()  # totals of bars within the run's own: evaluations
        self._before: dict[int, Unwound] = {}  # what bars came to that were finished, by their totals
        self._outer: tuple[int, int] | None = None  # of a bar over epochs, which may be drawn late
        self._inner = (0, 0)  # count and total of the bar within that one
        self._rounds = 0  # how often that began anew
        self._named = math.inf, 0  # the epoch that a bar named last, and its count
        self._apart = False  # it stood elsewhere than at the epoch that it named
        self._goes_on = 0  # how often it went on when the next epoch began

    @property
    def ended(self) -> bool:
        """Whether the run's own bar has come to its end."""
        return self._bar is not None and self._bar[0] >= self._bar[1]

    def of(self, name: str, reading: Reading, header: object) -> tuple[int | None, int | None]:
        """Return step and total by a bar below `header`, which names an epoch; None where it is not the run's own."""
        count, total = reading.step, reading.total
        if count is None or total is None or is_other(name):
            return None, None
        if self._outer is not None and total == self._outer[1] and count > self._outer[0] + 1 and not self._rounds:
            self._outer = None  # it goes on by itself
        if _OF_EPOCHS.match(name) or (self._outer is not None and total == self._outer[1] != self._inner[1]):
            self._outer = count, total
            return (count, total) if reading.values and self._inner == (0, 0) else (None, None)
        words = set(_WORDS.findall(name))
        if self._outer is not None:
            done, epochs = self._outer
            if total < _SHORTER * self._inner[1]:
                self.within = True
                return None, None
            self._rounds += total == self._inner[1] and count < self._inner[0]
            self._inner = count, total
            return min(max(done, self._rounds), epochs - 1) * total + count, epochs * total
        if self._bar is not None and self._waits(total, trains=bool(reading.values) or bool(_TRAINS.search(name))):
            self._outer, self._inner = self._bar, (count, total)
            return count, self._bar[1] * total
        if reading.values and len(self._measured) < _MOST_TOTALS:
            self._measured.add(total)
        if self._bar is not None and self._is_within_step(words, count, total):
            return None, None
        if (
            self._bar is not None
            and total != self._bar[1]
            and not self._follows(self._bar[1], total, header, trains=self.ended and bool(_TRAINS.search(name)))
        ):
            self.within = total in self._within and self._bar[1] in self._measured
            return None, None
        self._under, self._words = header, words
        self._bar, self._fast = (count, total), (reading.rate or 0.0) > _FAST or self._fast
        if self._asked and count:
            self._ratio, self._asked = min(self._ratio, count / self._asked), None
        self.left = total - count if total - count <= _DRAWN * (reading.rate or 0.0) else 0
        placed = self.count.of(count, total=total if self._fast else 0)
        return placed, total if self.count.base == 0 else None

    def _is_within_step(self, words: set[str], count: int, total: int) -> bool:
        """Return whether a bar of other words is of what is done within a step, and not the run's, called otherwise."""
        own = self._bar
        if own is None or not words or not self._words or not self._words.isdisjoint(words) or self.ended:
            return False
        if total != own[1] or count < own[0] or count == own[0] == 0:
            self._inner_words |= words if len(self._inner_words) < _MOST_WORDS else set()
        return total != own[1] or not self._inner_words.isdisjoint(words)

    def _waits(self, total: int, *, trains: bool) -> bool:
        """Return whether the run's own bar is of epochs: drawn first, without a name, and at nothing since."""
        own = self._bar
        return own is not None and own[0] == 0 and not self._words and total != own[1] and trains

    def _follows(self, own: int, total: int, header: object, *, trains: bool) -> bool:
        """Return whether a bar of another total is the run's next part, and no evaluation."""
        if trains:  # by its name
            return self._goes_over(own, total)
        above = (total in self._measured, total) > (own in self._measured, own)  # the one that measures, or the longer
        unfinished = not self.ended
        same_epoch = header is self._under and (header is not None or total < _SHORTER * own)
        if unfinished or total in self._within or (same_epoch and (own in self._measured or not above)):
            if len(self._within) < _MOST_TOTALS:
                self._within.add(total)
            return False
        if total in self._before and not above:  # it was there before the run's own: an evaluation came first
            self._within.add(total)
            return False
        if total in self._before:
            self._within.add(own)  # what stood between two parts of the run
        return self._goes_over(own, total)

    def _goes_over(self, own: int, total: int) -> bool:
        if _SHORTER * own <= total <= own / _SHORTER:
            return True  # an epoch of another length
        self._before = {**dict([*self._before.items()][-_MOST_TOTALS:]), own: self.count}
        self.count = self._before.get(total) or Unwound()
        return True

    def by_epoch(self, epoch: float) -> int | None:
        """Return the step of a record that tells its epoch alone, or None where the last step is as good an answer.

        A bar is drawn ten times a second at most: where steps are faster, it stands behind.
        """
        if self._bar is None or self.count.base or not self._fast or not self._bar[0] or not 0 <= epoch < math.inf:
            return None
        count, total = self._bar
        self._asked = epoch
        self._least = max(self._least, count / (epoch + _ROUNDED))
        steps = total / max(1, int(total / self._least))  # as many epochs as there are
        if steps > _SNAP * min(self._least, self._ratio):
            steps = max(self._least, self._ratio) if self._ratio <= _AFTER * self._least else self._least
        return min(total, max(count, round(epoch * steps)))

    def counts_epochs(self, epoch: float, step: int, *, of_as_many: bool) -> bool:
        """Return whether a bar that names an epoch counts epochs: it goes on when the next one begins.

        `of_as_many`: it names as many epochs as it goes far, and counts epochs as long as it stands where they do.
        """
        self._apart = self._apart or not 0 <= step - epoch <= 1
        if of_as_many:
            return not self._apart
        (before, count), self._named = self._named, (epoch, step)
        if epoch == before + 1:
            goes_on = count <= step <= count + 2 and abs(step - epoch) <= 1
            self._goes_on = self._goes_on + 1 if goes_on else min(self._goes_on, _ROUNDS) - _ROUNDS
        return self._goes_on >= _ROUNDS
