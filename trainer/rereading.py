"""A run's lines read again, once somebody has said what they mean: what they tell from the first one on."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence

from trainer.declared import Declared
from trainer.detect import Detection, Detector
from trainer.printed import Printed

_MOST = 2_000  # points of a series; more are thinned out, as those of a long run are anyway


class Again:
    """One reading: fed in pieces, it remembers what the described lines say."""

    def __init__(self, declared: Declared, printed: Printed, *, resumed: bool) -> None:
        """Begin; `declared` is at the newest line when all were read."""
        self._detector = Detector(declared=declared, printed=printed, resumed=resumed)
        self._points: dict[str, list[tuple[int | None, float]]] = {}
        self._kept: dict[str, int] = {}  # of how many points of a series one is kept
        self._seen: dict[str, int] = {}
        self._at = 0
        self.last: Detection | None = None  # of those that say where the run stands

    def catch_up(self, read: Callable[[int], tuple[Sequence[str], int] | None]) -> bool:
        """Take the lines that `read` returns from an offset on, until there are no more; False where some are lost."""
        while (found := read(self._at)) is not None:
            lines, self._at = found
            if not lines:
                return True
            for line in lines:
                self._take(line)
        return False

    def points(self) -> Sequence[tuple[int | None, Mapping[str, float]]]:
        """Return what was measured at which step, in the order of the steps."""
        by_step: dict[int | None, dict[str, float]] = {}
        for name, points in self._points.items():
            for step, value in points:
                by_step.setdefault(step, {})[name] = value
        return sorted(by_step.items(), key=lambda one: -1 if one[0] is None else one[0])

    def _take(self, line: str) -> None:
        try:
            found = self._detector.feed(line)
        except Exception:  # noqa: BLE001  a line made to be misread must not end the thread that reads again
            return
        if found is None or not self._detector.described:
            return
        self.last = found if found.moved else self.last
        for name, value in found.values.items():
            self._keep(name, found.step, value)

    def _keep(self, name: str, step: int | None, value: float) -> None:
        nth, every = self._seen.get(name, 0), self._kept.get(name, 1)
        self._seen[name] = nth + 1
        points = self._points.setdefault(name, [])
        if nth % every == 0 or not math.isfinite(value):
            points.append((step, value))
        if len(points) > _MOST:
            points[:] = [one for at, one in enumerate(points) if at % 2 == 0 or not math.isfinite(one[1])][:_MOST]
            self._kept[name] = 2 * every


class Describer:
    """Lets a run's lines be described from a thread of its own: whoever obeys has to hear of the deadline meanwhile."""

    def __init__(self, describe: Callable[[Sequence[str]], str], *, say: Callable[[str], None]) -> None:
        """`describe` takes templates and returns what to `say` of it, "" for nothing."""
        self._describe = describe
        self._say = say
        self._one_at_a_time = threading.Lock()

    def hear(self, lines: Sequence[str]) -> None:
        """Take what somebody says of the lines; returns at once."""
        threading.Thread(target=self._run, args=[lines], name="describer", daemon=True).start()

    def _run(self, lines: Sequence[str]) -> None:
        with self._one_at_a_time:
            if told := self._describe(lines):
                self._say(told)
