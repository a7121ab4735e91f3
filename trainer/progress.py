"""From lines and reports to events: which points are kept, how fast it goes, and how long it will take.

Called from the threads that read output and reports; never blocks, and an error in it costs points, not the
training.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import Any

from trainer.declared import Declared
from trainer.detect import Detection, Detector
from trainer.formats import Row
from trainer.names import series_name
from trainer.printed import Printed
from trainer.rereading import Again
from trainer.spool import Spool
from trainer.unread import Unread
from trainer.wire import EventKind, wire_float

_SPACING = 0.1  # seconds between kept points of one series
_PROGRESS_EVERY = 1.0  # seconds between progress events
# Of each slice of a second, the share that goes into reading lines. Beyond the first, a line is passed over where one
# like it, numbers aside, was read in the same slice: of a thousand alike ten a second are kept anyway, and the one that
# tells of an evaluation is like no other. Beyond the second all are: reading has to keep up with a flood.
_SLICE = 0.1  # seconds
_ENOUGH, _MOST = 0.03 * _SLICE, 0.15 * _SLICE
_DIGITS = b"0123456789"
_WINDOW = 120.0  # seconds over which the pace is measured
_HISTORY = 4_096  # (time, step) pairs, at most one each second
_SKEW = 0.06  # seconds by which a line may be read after a file that was written after it: the reader pauses 0.05
_MOST_SERIES = 200
_SHOWN, _LONGEST_SETTING = 80, 360  # characters of such a line, and of what describes it
_PATIENCE = 120.0  # seconds of lines that look like progress, none of them read, before people are told
_MOST_ROWS = 100  # points of one file that are kept of what it holds at once


class Pace:
    """Steps a second, as measured over the last two minutes."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, now: float, step: int) -> float | None:
        """Take the step reached at `now`; return the pace, or None while it cannot be told."""
        if self._marks and step < self._marks[-1][1]:  # it starts again
            self._marks.clear()
        if not self._marks or now - self._marks[-1][0] >= 0.5:
            self._marks.append((now, step))
        while now - self._marks[0][0] > _WINDOW and len(self._marks) > 2:
            self._marks.popleft()
        then, first = self._marks[0]
        return (step - first) / (now - then) if now - then >= 1.0 and step > first else None


class Progress:
    """Watches one run's lines and reports."""

    def __init__(
        self,
        *,
        tell: Callable[[EventKind, Mapping[str, Any]], None],
        spool: Spool | None = None,
        suggests: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.steps: int | None = None  # the last one seen
        self.described: Sequence[str] | None = None  # what its lines look like, once somebody has said
        self._tell = tell
        self._clock = clock
        self._wall = wall
        self._declared = Declared()
        self._detector = Detector()
        self._printed, self._resumed = Printed(), False
        self._spool = spool
        self._pace = Pace()
        self._lock = threading.Lock()
        self._slice, self._spent = -1, 0.0
        self._read: set[bytes] = set()  # what lines of this slice were like
        self._passed: str | None = None  # the newest line, where it was passed over
        self._kept_at: dict[str, float] = {}
        self._held: dict[str, tuple[int | None, float]] = {}
        self._told_at = float("-inf")
        self._untold: Mapping[str, Any] | None = None
        self._history: deque[tuple[float, int]] = deque(maxlen=_HISTORY)
        self._not_finite: set[str] = set()
        self._unread = Unread() if suggests else None  # until something is read, or people were told
        self._unread_since: float | None = None

    def describe(self, lines: Sequence[str]) -> bool:
        """Take what the run's lines look like (`trainer.templates`); False: that is known.

        Of a run that has begun what was printed so far is read again, beside whoever reads on: it may take seconds.
        Raises `ValueError`.
        """
        if self.described is not None and tuple(lines) == tuple(self.described):
            return False
        declared = Declared(lines)
        begun, spool = self.described is not None, self._spool
        again = Again(declared, self._printed, resumed=self._resumed) if begun and spool is not None else None
        whole = again is not None and again.catch_up(self._read_again)
        with self._lock:
            # What was printed meanwhile; where not all is there any more, the next line is the first one.
            if again is None or spool is None or not (whole and again.catch_up(spool.read)):
                declared, again = Declared(lines), None
            self.described, self._declared = tuple(lines), declared
            self._detector.declares(declared)
            self._forget({name for one in declared.templates for name in one.names})
            if again is not None:
                self._tell_again(again)
        return True

    def _read_again(self, at: int) -> tuple[Sequence[str], int] | None:
        with self._lock:
            return self._spool.read(at) if self._spool is not None else None

    def _forget(self, names: Collection[str]) -> None:
        """Take back what was told of some series: what else has read them has other steps, perhaps."""
        anew = sorted(set(names) & set(self._kept_at))
        for name in anew:
            del self._kept_at[name]
            self._held.pop(name, None)
        if anew:
            self._tell(EventKind.ANEW, {"series": anew})

    def _tell_again(self, again: Again) -> None:
        now = self._clock()
        for step, values in again.points():
            if values := {name: value for name, value in values.items() if self._has_room(name)}:
                self._kept_at.update(dict.fromkeys(values, now))
                self._tell_metric(step, values)
        if again.last is not None and again.last.step is not None:
            self._remember(again.last.step)
            self._progress(now, again.last)

    def described_anew(self, lines: Sequence[str]) -> str:
        """Take what somebody says of its lines while it runs; return what to tell of that, "" for nothing new."""
        try:
            anew = self.describe(lines)
        except (AttributeError, TypeError, ValueError) as error:
            return f"its lines are read as before, for what describes them cannot be read: {error}."
        return "its lines are read as they were described just now." if anew else ""

    def runs(self, printed: Printed, *, resumed: bool = False) -> None:
        """Take what the code prints that runs, and whether it goes on from a checkpoint; before its first line."""
        self._printed, self._resumed = printed, resumed
        self._detector = Detector(resumed=resumed, declared=self._declared, printed=printed)

    def line(self, text: str) -> None:
        """Take one line of output."""
        with self._lock:
            if self._spool is not None:
                self._spool.take(text)
            began = self._clock()
            if int(began / _SLICE) != self._slice:
                self._slice, self._spent = int(began / _SLICE), 0.0
                self._read.clear()
                self._feed_passed()
            alike = text.encode("utf-8", "replace").translate(None, _DIGITS)
            if self._spent > (_ENOUGH if alike in self._read else _MOST):
                self._passed = text
                return
            self._passed = None
            self._read.add(alike)
            self._feed(text)
            self._spent += self._clock() - began

    def _feed(self, text: str) -> None:
        try:
            detection = self._detector.feed(text)
            read = self._detector.described or (detection is not None and detection.values)
            if self._unread is not None and not read:
                self._look_at(text, self._unread)
        except Exception:  # noqa: BLE001  a line made to be misread must not end the thread that keeps the log
            return
        if detection:
            self._take(detection)

    def _look_at(self, text: str, unread: Unread) -> None:
        """Take a line that nothing read, and that nobody described."""
        unread.take(text)
        now = self._clock()
        self._unread_since = now if self._unread_since is None else self._unread_since
        if now - self._unread_since >= _PATIENCE:
            self._unread_since = now  # where nothing can be suggested yet, it is tried again as much later
            self._tell_unread()

    def _tell_unread(self) -> None:
        """Tell, once, how the task file could describe lines that look like progress, if nothing else is read."""
        found = self._unread.suggestions() if self._unread is not None else ()
        if one := next((one for one in found if len(one.setting) <= _LONGEST_SETTING and "`" not in one.setting), None):
            self._unread = None
            example = one.example.replace("`", "'")
            text = (
                f"No measurement was read from what it prints. If `{example[:_SHOWN]}` is its progress, this line in "
            )
            text += f".hourglass.yml says so, under names of your choice: `{one.setting}`"
            self._tell(EventKind.NOTICE, {"code": "unread", "text": text, "template": one.template})

    def _feed_passed(self) -> None:
        """Read the last of the lines that were passed over: it says how far things are."""
        if self._passed is not None:
            self._feed(self._passed)
            self._passed = None

    def reported(self, message: Mapping[str, Any]) -> None:
        """Take what a script told through `import hourglass`; what is not such a message is left alone."""
        step, total, values = message.get("step"), message.get("total"), message.get("values")
        if not isinstance(step, int | None) or not isinstance(values, dict):
            return
        numbers = {
            series_name(str(name)): float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        with self._lock:
            self._take(self._detector.report(step, total if isinstance(total, int) else None, numbers))

    def filed(self, belief: float, rows: Sequence[Row]) -> None:
        """Take rows of a file that the script wrote, in their order; many at once are thinned out."""
        with self._lock:
            news = [(row.step, self._detector.filed(belief, row.step, row.values, row.epoch)) for row in rows]
            news = [(step, values) for step, values in news if values]
            every = max(1, -(-len(news) // _MOST_ROWS))
            for at, (step, values) in enumerate(news):
                if at % every == 0 or at == len(news) - 1 or not all(map(math.isfinite, values.values())):
                    self._tell_metric(step, values)
            if rows and not self._detector.counts:  # no line says where it stands
                last = max(rows, key=lambda row: row.step)
                total = last.total
                percent = 100.0 * last.step / total if total else None
                self._remember(last.step)
                self._progress(self._clock(), Detection(step=last.step, moved=True, total=total, percent=percent))

    def step_at(self, when: float) -> int | None:
        """Return the last step seen by the unix time `when`, or None when there was none yet."""
        with self._lock:
            index = bisect_right(self._history, when + _SKEW, key=lambda mark: mark[0])
            return self._history[index - 1][1] if index else None

    def flush(self) -> None:
        """Tell the points that were held back, and where it stands: the run has ended."""
        with self._lock:
            if self._spool is not None:
                self._spool.drop()
            self._feed_passed()
            if ended := self._detector.end():
                self._take(ended)
            self._tell_unread()
            by_step: dict[int | None, dict[str, float]] = {}
            for name, (step, value) in self._held.items():
                by_step.setdefault(step, {})[name] = value
            self._held.clear()
            for step, values in by_step.items():
                self._tell_metric(step, values)
            if self._untold is not None:
                self._tell(EventKind.PROGRESS, self._untold)
                self._untold = None

    def _take(self, detection: Detection) -> None:
        now = self._clock()
        if detection.earlier:  # a few, and no sign of how fast it goes
            self._take_earlier(detection.earlier, now)
        if detection.step is not None and detection.moved:
            self._remember(detection.step)
            self._progress(now, detection)
        if due := self._due(detection.step, detection.values, now):
            self._tell_metric(detection.step, due)

    def _take_earlier(self, points: Sequence[tuple[int, Detection]], now: float) -> None:
        new = {name for _, point in points for name in point.values if name not in self._kept_at}
        by_step: dict[int | None, dict[str, float]] = {}
        for _, point in points:
            by_step.setdefault(point.step, {}).update(self._due(point.step, point.values, now, new))
        for step, due in by_step.items():
            if due:
                self._tell_metric(step, due)

    def _due(
        self, step: int | None, values: Mapping[str, float], now: float, new: Container[str] = ()
    ) -> Mapping[str, float]:
        """Return what is told at once: of a series that is `new` everything, else a point each tenth of a second."""
        due: dict[str, float] = {}
        for name, value in values.items():
            if not self._has_room(name):
                continue
            news = name in new or (not math.isfinite(value) and name not in self._not_finite)
            if news or now - self._kept_at.get(name, float("-inf")) >= _SPACING:
                self._kept_at[name] = now
                self._held.pop(name, None)
                due[name] = value
            else:
                self._held[name] = (step, value)
        return due

    def _has_room(self, name: str) -> bool:
        return name in self._kept_at or len(self._kept_at) < _MOST_SERIES

    def _remember(self, step: int) -> None:
        self.steps = step
        now = self._wall()
        if self._history and now - self._history[-1][0] < _SKEW / 2:
            now = self._history.pop()[0]  # many steps in one moment: the last of them stands for it
        self._history.append((now, step))

    def _tell_metric(self, step: int | None, values: Mapping[str, float]) -> None:
        self._unread = None
        told = {name: wire_float(value) for name, value in values.items()}
        self._tell(EventKind.METRIC, {"step": step, "values": told})
        for name, value in values.items():
            if not math.isfinite(value) and name not in self._not_finite:
                self._not_finite.add(name)
                where = "" if step is None else f" at step {step}"
                text = f"{name} became {wire_float(value)}{where}."
                self._tell(EventKind.NOTICE, {"code": "not_finite", "text": text})

    def _progress(self, now: float, detection: Detection) -> None:
        step, total = detection.step, detection.total
        if step is None:
            return
        rate = self._pace.mark(now, step) or detection.rate
        eta = detection.eta
        if rate and total is not None:  # measured over minutes, it also counts the evaluations in between
            eta = max(0.0, (total - step) / rate)
        data = {"step": step, "total": total, "percent": detection.percent, "eta": eta, "rate": rate}
        if now - self._told_at >= _PROGRESS_EVERY:
            self._told_at = now
            self._untold = None
            self._tell(EventKind.PROGRESS, data)
        else:
            self._untold = data
