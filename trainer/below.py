"""What stands below a heading such as "Validation:", or sums an evaluation up: of which part of the data it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from trainer.formats import Reading
from trainer.headings import without_prefix
from trainer.names import all_of_evaluation, evaluation_of, is_of_evaluation, is_outcome, of_part
from trainer.series import PLAIN

_LINES = 12  # for which a heading holds at most
_SUM = re.compile(r"\*+ ")
_ROUNDED = 1e-4  # by which a number with fewer digits may differ
_SUMMED_UP = 3  # lines after an evaluation in which its sum may stand


class Below:
    """Follows a run's lines below such headings."""

    def __init__(self) -> None:
        self._part, self._left = "", 0  # of the data, and how many lines may still be of it
        self._told = False  # whether one told what came of it

    def __bool__(self) -> bool:
        """Whether this line stands below the heading of an evaluation."""
        return bool(self._part) and self._left > 0

    @property
    def part(self) -> str:
        """The part of the data that this line is of by its heading, "" for none."""
        return self._part if self else ""

    @property
    def is_next(self) -> bool:
        """Whether this line is the one below the heading."""
        return self._left == _LINES - 1

    def begins(self, part: str) -> None:
        """Take a heading; "" is the training's own."""
        self._part, self._left, self._told = part, _LINES, False

    def ends(self) -> None:
        """Take that the next epoch has begun."""
        self._left = 0

    def next_line(self) -> None:
        """Take that a line came which is no heading."""
        self._left -= 1

    def result(self) -> None:
        """Take that a line told what came of the evaluation."""
        self._told = self._told or bool(self)

    def counts(self, *, other: bool, total: bool) -> bool:
        """Return whether a count is the evaluation's: `other` than the run's, and with a `total` or not.

        One without a total may be the training's, which goes on, once it was told what came of the evaluation.
        """
        if not total:
            return other and not self._told
        self._left = _LINES if other else self._left
        return other

    def named(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Return values under the names of the part, unless they say themselves of which they are."""
        if not self or any(is_of_evaluation(name) or name.startswith("train_") for name in values):
            return values
        return {of_part(self._part, name): value for name, value in values.items()}


class Summed:
    """Knows what goes on with an evaluation: its sum, "* Acc@1 70.1", below its lines; its parts, behind their sum."""

    def __init__(self) -> None:
        # The part of the data that was evaluated last, by which row and line, and what came of it.
        self._judged: tuple[str, float, int, Mapping[str, float]] = "", 0.0, -_SUMMED_UP, {}

    def up(self, line: int, row: float, text: str, reading: Reading, *, placed: bool) -> tuple[float, Reading]:
        """Return a line's values as of the evaluation that it sums up or repeats, and whose they are then.

        `placed`: it says itself where the run stands.
        """
        values, (part, judged_by, at, told) = reading.values, self._judged
        parted = any(is_of_evaluation(name) or name.startswith("train") for name in values)
        if not parted and line - at <= _SUMMED_UP and _SUM.match(without_prefix(text)):
            return judged_by, _of(part, reading)
        if not (parted or placed) and row >= PLAIN and line - at == 1 and _repeats(part, values, told):
            return row, _of(part, reading)
        if parted and all_of_evaluation(values):
            self._judged = next(filter(None, map(evaluation_of, values)), ""), row, line, values
        return row, reading


def _of(part: str, reading: Reading) -> Reading:
    return reading._replace(values={of_part(part, name): value for name, value in reading.values.items()})


def _repeats(part: str, values: Mapping[str, float], told: Mapping[str, float]) -> bool:
    """Return whether one of `values` is what was told of `part`, perhaps with fewer digits: "Val loss: 0.51234"."""
    again = [
        (value, told[of_part(part, name)])
        for name, value in values.items()
        if of_part(part, name) in told and is_outcome(name)
    ]
    return any(value % 1 for value, _ in again) and all(math.isclose(*pair, rel_tol=_ROUNDED) for pair in again)
