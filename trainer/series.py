"""Which source each series of a run comes from, so that no point is told twice.

Belief: the lower, the earlier. A row's is its place in the table of formats; the others stand between and before them.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainer import drawn, formats, generic, yolo
from trainer.known import FORMATS
from trainer.names import is_of_evaluation, is_outcome

API = -1.0  # what a script tells through `import hourglass`
DECLARED = -0.5  # lines that the task file describes
FILE, EVENT_FILE = 0.3, 0.6  # after the lines that are meant for programs, before those that are meant for people
ROWS = tuple((float(row), kind.hint, kind.read) for row, kind in enumerate(FORMATS))
BLOCK = float(next(row for row, kind in enumerate(FORMATS) if kind.read is generic.stepped_line))
COUNTED = float(next(row for row, kind in enumerate(FORMATS) if kind.read is generic.counted_line))
BAR = float(next(row for row, kind in enumerate(FORMATS) if kind.read is drawn.bar_line))
OPEN_BAR = float(next(row for row, kind in enumerate(FORMATS) if kind.read is drawn.open_bar_line))
PLAIN = float(next(row for row, kind in enumerate(FORMATS) if kind.read is generic.plain_line))
STATED = PLAIN - 0.5  # lines that the code at hand prints
ROUND = float(next(row for row, kind in enumerate(FORMATS) if kind.read is formats.round_line))
PROGRAM = float(next(row for row, kind in enumerate(FORMATS) if kind.read is yolo.row))  # as the rows of YOLO are
RECURRING = float(len(FORMATS))
DICT = float(next(row for row, kind in enumerate(FORMATS) if kind.read is formats.python_dict_line))
_MOST = 1_000


class Series:
    """The series of one run, and who tells them."""

    def __init__(self) -> None:
        self.settled = False  # a bar counts, and has shown for long what it measures: it keeps that
        self._sources: dict[str, float] = {}  # series -> belief
        self._reached: dict[str, int] = {}  # series -> the furthest step that was told
        self._epochs: dict[str, float] = {}  # mean of an epoch -> the epoch that it was told of last
        self._summed: dict[str, int] = {}  # series of an evaluation -> the step at which a second line told it

    def __bool__(self) -> bool:
        return bool(self._sources)

    def news(self, belief: float, values: Mapping[str, float], step: int | None = None) -> dict[str, float]:
        """Return what `belief` is the source of; what sums an evaluation up may be another's."""
        return {
            name: value
            for name, value in values.items()
            if self._is_source(belief, name) or (is_of_evaluation(name) and self._may_sum_up(name, step))
        }

    def of_epoch(self, belief: float, epoch: float, values: Mapping[str, float]) -> dict[str, float]:
        """Return what a line says of a whole epoch, where a finer count tells the same series: under another name."""
        means = {
            f"epoch_{name}": value
            for name, value in values.items()
            if is_outcome(name) and not is_of_evaluation(name) and not name.startswith("epoch_")
        }
        news = {k: v for k, v in means.items() if self._epochs.get(k) != epoch and self._is_source(belief, k)}
        self._epochs.update(dict.fromkeys(news, epoch))
        return news

    def told(self, values: Mapping[str, float], step: int) -> None:
        """Take that `values` were told at `step`."""
        self._reached.update({name: max(step, self._reached.get(name, -1)) for name in values})

    def filed(self, belief: float, step: int | None, values: Mapping[str, float]) -> dict[str, float]:
        """Return what is news out of a row of a file: it lags, and takes a series over only where it is ahead."""
        news = {}
        for name, value in values.items():
            if step is not None and step <= self._reached.get(name, -1):
                continue
            if self._is_source(belief, name):
                news[name] = value
                if step is not None:
                    self._reached[name] = step
        return news

    def _may_sum_up(self, name: str, step: int | None) -> bool:
        """Return whether an evaluation's series may be told by a second line: once a step, and of no file or record."""
        if step is None or self._reached.get(name) != step or self._summed.get(name) == step:
            return False
        self._summed[name] = step
        return self._sources.get(name, 0.0) >= BAR

    def _is_source(self, belief: float, name: str) -> bool:
        if len(self._sources) >= _MOST and name not in self._sources:
            return False
        source = self._sources.get(name, belief)
        kept = self.settled and source == BAR and EVENT_FILE < belief < source
        if source < belief or kept:
            return False
        self._sources[name] = belief
        return True
