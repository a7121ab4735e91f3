"""When a loss has gone wrong: NaN or infinite, or far above everything that it had been before.

Pure. Each loss and each norm of the gradient is watched by itself, value by value, with what it was like so far as its
only measure: losses have no common scale. docs/divergence.md says the rule and what it was chosen on.
"""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from jobs.series import is_evaluation, spelt

NAN, DIVERGED = "nan", "diverged"
SILENT_START = 5  # values that are no number before the first one that is: a replay buffer fills, a mean is of nothing
OVERFLOWS = 10  # of a gradient's norm in a row: a loss scale that begins at 2^16 needs that many halvings
ZERO_LOSS = 3  # of them are enough where the loss is 0 meanwhile: transformers leaves NaN out of its mean
TOGETHER = 3  # values in a row that an explosion takes; a lone spike is none
BEFORE = 6  # values that a level takes
SPREADS = 10.0  # times the usual change from one value to the next; a loss within that has not moved
FROM_START = 10.0  # times what it began with, for a loss that never fell
SETTLED = 20  # values in a row without coming down again
LEARNED = 0.2  # of what it began with: a loss that fell by less has nothing to lose
# A part of the loss may rise while all goes well (box_loss from nothing, kl_loss as its weight grows), and what plays
# against something has no level at all.
FOR_A_PART = 10.0  # times as far
_WINDOW = 100  # values that the usual change is taken from

_NO_LOSS = re.compile(
    r"(?:^|_)(?:best|min|max|lowest|highest|delta)_|loss_?(?:scal|weight|coef|fn|func|type|ratio|std|var|curve|min|max)"
)
_WHOLE = re.compile(
    r"(?:(?:train|training|total|epoch|step|batch|main)_)*(?:total_?)?loss(?:_(?:train|training|total|epoch|step|all))*"
)
_GRADIENT = re.compile(r"(?:^|_)(?:g|grad|gradient)_?norm(?:_|$)")
# Beside these a loss follows what the policy meets, whatever it is called.
_OF_REWARDS = re.compile(r"^r$|(?:^|_)ep_r$|(?:^|_)(?:reward|rew|return|critic|actor|policy|value_loss|loss_v|q_loss)")


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """What went wrong with one series, in words for people."""

    code: str  # NAN or DIVERGED
    series: str
    text: str


class Watch:
    """What one series was like so far."""

    def __init__(self) -> None:
        self.last: float | None = None  # the newest value that is a number
        self._first: float | None = None
        self._odd = 0  # values in a row that are no number
        self._values: deque[float] = deque(maxlen=_WINDOW)  # without those that only repeat the one before
        self._count = 0  # of those, ever
        # Of the medians of three values in a row, without the newest `TOGETHER`.
        self._opened: float | None = None
        self._top = self._bottom = 0.0

    def odd(self, *, patient: bool) -> int:
        """Take a value that is no number; return how many came in a row, 0 while it may begin so and is waited for."""
        self._odd += 1
        return 0 if patient and self._first is None and self._odd < SILENT_START else self._odd

    def number(self, value: float) -> None:
        """Take a number. One that only repeats the one before, as a bar does that is drawn again, tells nothing."""
        self._odd = 0
        if value == self.last:
            return
        self.last = value
        self._first = value if self._first is None else self._first
        self._values.append(value)
        self._count += 1
        if self._count >= TOGETHER + 3:
            level = statistics.median(list(self._values)[-TOGETHER - 3 : -TOGETHER])
            if self._opened is None:
                self._opened = self._top = self._bottom = level
            self._top, self._bottom = max(self._top, level), min(self._bottom, level)

    def wrong(self, times: float) -> str:
        """Return in what way the numbers so far have left for good, "" where they have not; `times` widens bounds."""
        if self._first is None or self._count < TOGETHER:
            return ""
        newest = list(self._values)[-TOGETHER:]
        known = self._opened is not None and self._count >= BEFORE + TOGETHER
        # What began again, as a new fold does, comes down at once.
        if known and newest[-1] >= newest[0] and min(newest) > self._highest(times):
            return f"is {self.last:.4g}; it had been down to {self._bottom:.4g} and began with {self._first:.4g}"
        if min(newest) > FROM_START * times * max(abs(self._first), 1.0):
            return f"is {self.last:.4g}; it began with {self._first:.4g}"
        return self._settled() if known and times == 1.0 and self._count >= BEFORE + SETTLED else ""

    def _highest(self, times: float) -> float:
        return self._top + times * max(abs(self._top), self._top - self._bottom, SPREADS * self._change())

    def _settled(self) -> str:
        """Return that more than half of what was learned is gone and does not come back."""
        opened = self._opened or 0.0
        learned = opened - self._bottom
        newest = list(self._values)[-SETTLED:]
        if min(newest) <= self._bottom + learned / 2 or learned <= LEARNED * abs(opened):
            return ""
        half = SETTLED // 2
        falls = statistics.median(newest[half:]) < statistics.median(newest[:half])
        if falls or learned <= SPREADS * self._change():
            return ""
        text = f"has stayed above {min(newest):.4g} for {SETTLED} values; it had been down to {self._bottom:.4g} and "
        return text + f"began with {self._first:.4g}"

    def _change(self) -> float:
        """Return how far one value usually is from the next."""
        known = list(self._values)[:-TOGETHER]
        return statistics.median_low([abs(after - before) for before, after in pairwise(known)])


class Watches:
    """All that is watched of one attempt, by series."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}
        self._times: dict[str, float | None] = {}  # how wide each loss's bounds are; None: it cannot diverge

    def know(self, names: Collection[str]) -> None:
        """Take which series there are: what is a part and what the whole depends on the others."""
        self._times = bounds(names)

    def take(self, series: str, step: int | None, value: float | None, odd: str) -> Alarm | None:
        """Take a value, None for one that is no number; return what is wrong now, if that is something."""
        if not is_loss(series) and not is_gradient(series):
            return None
        watch = self._watches.setdefault(series, Watch())
        where = "" if step is None else f" at step {step}"
        if value is None:
            # The whole loss of a run without rewards is a number from the first step on.
            return self._odd(series, where, odd, watch.odd(patient=self._times.get(series) != 1.0))
        watch.number(value)
        times = self._times.get(series)
        if not is_loss(series) or times is None:
            return None
        text = watch.wrong(times)
        return Alarm(code=DIVERGED, series=series, text=f"{series} {text}.") if text else None

    def glance(self, series: str, step: int | None, odd: str) -> Alarm | None:
        """Return that a loss which was a number is none now; take nothing."""
        watch = self._watches.get(series)
        if not odd or watch is None or watch.last is None or not is_loss(series):
            return None
        return self._odd(series, "" if step is None else f" at step {step}", odd, 1)

    def _odd(self, series: str, where: str, odd: str, count: int) -> Alarm | None:
        name = {"nan": "NaN"}.get(odd, "infinite")
        if is_loss(series):
            return Alarm(code=NAN, series=series, text=f"{series} is {name}{where}.") if count else None
        zero = any(watch.last == 0.0 and _is_whole(other) for other, watch in self._watches.items())
        if count < (ZERO_LOSS if zero else OVERFLOWS):
            return None
        beside = " and the loss is 0" if zero else ""
        return Alarm(code=NAN, series=series, text=f"{series} is {name} again and again{beside}, now{where}.")


@lru_cache(maxsize=1024)
def is_loss(series: str) -> bool:
    """Return whether a series is a loss: not its scale, nor the best one so far."""
    name = spelt(series)
    return "loss" in name and not _NO_LOSS.search(name)


@lru_cache(maxsize=1024)
def is_gradient(series: str) -> bool:
    """Return whether a series is a gradient's norm."""
    return bool(_GRADIENT.search(spelt(series)))


def bounds(names: Iterable[str]) -> dict[str, float | None]:
    """Return how many times as wide as the whole's each loss's bounds are.

    An evaluation has none where a training's loss is there: of a net that has seen little it may be anything.
    """
    known = sorted(names)
    losses = [name for name in known if is_loss(name)]
    training = [name for name in losses if not is_evaluation(name)]
    of_rewards = any(_OF_REWARDS.search(spelt(name)) for name in known)

    def of(name: str) -> float | None:
        if training and is_evaluation(name):
            return None
        whole = name in training and (training == [name] or _is_whole(name))
        return 1.0 if whole and not of_rewards else FOR_A_PART

    return {name: of(name) for name in losses}


def first_of(alarms: Sequence[Alarm]) -> Alarm:
    """Return the one to tell of several: the whole loss's before a part's."""
    return min(alarms, key=lambda alarm: (not _is_whole(alarm.series), alarm.series))


@lru_cache(maxsize=1024)
def _is_whole(series: str) -> bool:
    return bool(_WHOLE.fullmatch(spelt(series)))
