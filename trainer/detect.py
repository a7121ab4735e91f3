"""Progress out of what an unmodified script prints.

One table, in `trainer.known`, says which formats there are and which is believed first. The `Detector` remembers what
single lines do not say: which step a line without one belongs to, what is a stack trace or a test run, and which
source each series comes from, so that no point is counted twice. Pure: the same lines give the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from trainer import blocks, drawn, generic, headings
from trainer.below import Below, Summed
from trainer.declared import Declared, Told
from trainer.formats import Reading
from trainer.forms import Known
from trainer.kinds import Kinds
from trainer.names import (
    all_of_evaluation,
    evaluation_of,
    is_companion,
    is_of_evaluation,
    is_outcome,
    of_part,
)
from trainer.numbers import in_english, plainly
from trainer.place import MOST_STEPS
from trainer.printed import Printed
from trainer.programs import Programs
from trainer.ranks import Ranks
from trainer.recurring import Recurred, Recurring
from trainer.series import (
    API,
    BLOCK,
    DECLARED,
    DICT,
    OPEN_BAR,
    PLAIN,
    PROGRAM,
    RECURRING,
    ROUND,
    Series,
)
from trainer.standing import Standing
from trainer.traces import Traces

_STOPPED = re.compile(r"est iteration is:$")  # LightGBM's, and then that round again
_BEST_ABOVE = re.compile(r"[*=#-]+\s?best (?:performance|results?|scores?)\s?[*=#-]+", re.IGNORECASE)
_RANK = re.compile(r"^\[(?:default|rank|trainer)?(?P<rank>\d+)\]:\s?")
_DEEP = re.compile(r'\s{8,}"[^"]+":\s')  # of a record over many lines, which sums up what was told
_HEADER = 100  # characters that a line may have that says where what follows belongs, and nothing else
_REDRAWN = 2  # lines after a bar that what is written over it takes
_BEST_LINES = 3  # that stand below a heading such as "Best model:"
_RECORDS = ("{", "step:")  # what they begin with; verl's have some fifty names
_WIDEST, _WIDEST_RECORD = 1_000, 8_000  # characters; a longer line is data, not progress


class Detection(NamedTuple):
    """What a line tells about the run; `values` may hold NaN and infinities."""

    step: int | None  # where the run stands, said by this line or by one before it
    moved: bool = False  # this line said it
    total: int | None = None
    epoch: float | None = None
    values: Mapping[str, float] = MappingProxyType({})
    percent: float | None = None
    eta: float | None = None  # seconds
    rate: float | None = None  # steps a second
    earlier: Sequence[tuple[int, Detection]] = ()  # what lines before told, as now shows: how many ago, and what


class Detector:
    """Reads a run's lines one after another."""

    def __init__(
        self, *, resumed: bool = False, declared: Declared | None = None, printed: Printed | None = None
    ) -> None:
        """Read a run from its beginning, or one that goes on from a checkpoint; `declared` says what its lines are."""
        self._declared = declared or Declared()
        self._printed = Printed() if printed is None else printed
        self.described = False  # the last line is one of those that the team has described
        self._series = Series()
        self._standing = Standing(resumed=resumed)
        self._named_epoch: float | None = None  # named on a line that measures, the last time
        self._counted: Reading | None = None  # counted on a line of its own, and not used yet
        self._below, self._summed = Below(), Summed()
        self._judging = 0, ""  # the last line with an evaluation's bar that has not ended, and the part of the data
        self._best_until = 0  # the last line below a heading of the best so far
        self._best_alone = False  # and nothing but the best so far is told
        self._traces, self._programs, self._ranks = Traces(), Programs(), Ranks()
        self._in_block = False
        self._ruled, self._pairs, self._dicts = blocks.Ruled(), blocks.Pairs(), blocks.Records()
        self._columns: blocks.Columns | None = None
        self._columns_part = ""  # of the data that its rows are of
        self._results: Sequence[str] = ()  # the names that the line before has for this one's numbers
        self._kinds, self._recurring, self._line = Kinds(self._printed.explain), Recurring(), 0

    def feed(self, line: str) -> Detection | None:
        """Return what `line` (one line, without colours) tells, or None when that is nothing."""
        self._line += 1
        self.described = False
        line = self._ruled.barred(self._printed.message(line))
        ended = self.end() if self._pairs and not _RANK.sub("", line.lstrip()).startswith(blocks.BARS) else None
        found = self._bars_apart(line)
        return _together(ended, found) if ended and found else found or ended

    def _bars_apart(self, line: str) -> Detection | None:
        line = plainly(line)
        if len(line) <= _WIDEST and (parts := drawn.parted(line, self._printed.prints)):
            bar, found = map(self._read, parts)
            return _together(bar, found) if bar and found else found or self._read(line)
        return self._read(line)

    def _read(self, line: str) -> Detection | None:
        text = self._own(line)
        if not text:
            return None
        if self._declared.templates and (told := self._declared.read(text)):
            self.described = True
            return self._as_declared(told)
        if self._ranks.is_anothers(text):
            return None
        if not line.isascii():
            line, text = in_english(line), in_english(text).strip()
        if self._in_block or text.startswith("["):
            self._in_block = blocks.begins(text) or (self._in_block and blocks.within(text))
            if self._in_block:
                return self._block(text)
        if (text[-1] == ":" and (generic.is_best(text) or _STOPPED.search(text))) or (
            text[0] in "*=#-" and _BEST_ABOVE.fullmatch(text)
        ):
            self._best_until = self._line + _BEST_LINES
        self._standing.records.announced(text)
        if known := self._programs.read(text):
            if known.values:
                return self._taken(line, text, PROGRAM, known)
            self._counted = self._counted if known.step is None else known
            return None
        if values := self._dicts.values(text):
            return self._resolve(BLOCK, Reading(values=values))
        kind = self._kinds.of(text)
        if kind.heads and (len(text) < _HEADER or text[-7:] == " Stats:"):
            if heading := headings.heading(text):
                self._head(heading)
                return None
            kind.heads = False
        self._below.next_line()
        row, reading, named = kind.read(text)
        if reading is not None:
            return self._taken(line, text, row, reading)
        return self._table(line, text, named=named) or self._recurred(line)

    def _own(self, line: str) -> str:
        """Return `line` without what torchrun puts before it, "" where it is not read: of a trace, of another rank."""
        text = line.strip()
        if not text:
            self._best_until = 0
        widest = _WIDEST_RECORD if text.startswith(_RECORDS) else _WIDEST
        if not text or len(text) > widest or self._traces.hold(line) or (text[0] == '"' and _DEEP.match(line)):
            return ""
        if text[0] == "[" and not self._declared.bracketed and (rank := _RANK.match(text)):
            return text[rank.end() :] if int(rank["rank"]) == 0 else ""
        return text

    def _taken(self, line: str, text: str, row: float, reading: Reading) -> Detection | None:
        """Return what a line tells that `row` reads."""
        if self._line <= self._best_until and (reading.step is None if row >= BLOCK else row == ROUND):
            self._best_until = self._line if row == ROUND else self._best_until
            return None  # it was told when it was news
        if row == DICT and reading.step is None and reading.epoch is None:
            row = PLAIN  # what somebody printed once is no reason to doubt who tells the series line by line
        drawn_at, of = self._judging
        if row == DICT and of and self._line - drawn_at <= _REDRAWN and not any(map(_is_parted, reading.values)):
            judged = {of_part(of, name): value for name, value in reading.values.items()}
            row, reading = PLAIN, Reading(values=judged)  # between two redraws of an evaluation's bar
        placed = reading.step is not None or reading.epoch is not None
        row, reading = self._summed.up(self._line, row, text, reading, placed=placed)
        if row == PLAIN and reading.epoch is None and not (self._standing.is_placed or self._counted):
            return self._recurred(line, reading)
        found = self._resolve(row, reading)
        # Numbers with names that nobody knows: of a bar, or beside those that were read.
        part = drawn.part_of_bar(reading.bar) if reading.bar else ""
        if part and (reading.step or 0) < (reading.total or 0):
            self._judging = self._line, part
        if part and found is None:
            found = self._with_unknown_names(row, line, Detection(step=self._standing.step), part)
            return found if found.values else None
        is_bar = reading.bar is not None or row == OPEN_BAR
        more = row >= BLOCK or (is_bar and found is not None and (found.moved or part))
        return self._with_unknown_names(row, line, found, part) if more and found else found

    def _head(self, heading: headings.Heading) -> None:
        """Take a line that says where what follows belongs, and nothing else."""
        counts = heading.counts
        if heading.part is not None:
            self._below.begins(heading.part)
        elif counts is not None and counts.epoch is not None:
            self._below.ends()
        if counts is None or (counts.epoch is None and self._below):
            return  # what an evaluation counts is not the run's
        if counts.step is None and counts.epoch is not None:
            self._standing.heads(counts.epoch, counts.epochs)
        else:
            self._counted = generic.place(counts)

    def declares(self, declared: Declared) -> None:
        """Take what the lines that follow are; where the run stands goes on from what others said of it."""
        self._declared = declared

    def report(self, step: int | None, total: int | None, values: Mapping[str, float]) -> Detection:
        """Take what the script says by itself; its series and its steps win over whatever is read."""
        detection = self._resolve(API, Reading(step=step, total=total, values=values))
        return detection or Detection(step=step, total=total)

    @property
    def counts(self) -> bool:
        """Whether some line or report told a step."""
        return self._standing.counts

    def filed(
        self, belief: float, step: int | None, values: Mapping[str, float], epoch: float | None = None
    ) -> dict[str, float]:
        """Return what is news out of a row of a file that the script wrote; `belief` is `FILE` or `EVENT_FILE`.

        A file lags behind the lines: it takes a series over only where it is ahead of them.
        """
        if step is not None and epoch is not None:
            self._standing.records.knows(step, epoch)
        return self._series.filed(belief, step, values)

    def _as_declared(self, told: Told) -> Detection | None:
        """Return what a line tells that the team has described."""
        counts = told.step is not None and self._standing.believes(DECLARED)
        reading = Reading(step=told.step, total=told.total, epoch=told.epoch, values=told.values)
        if counts:
            self._standing.count(DECLARED, told.step, reading)
            self._series.settled = False
        step, total = (told.step, told.total) if counts else (self._standing.step, None)
        found = self._detection(DECLARED, reading, step, total, moved=counts)
        return found if found.values or counts else None

    def _block(self, text: str) -> Detection | None:
        if reading := blocks.block(text):
            return self._resolve(BLOCK, reading)
        values = blocks.item(text)
        return self._resolve(BLOCK, Reading(values=values)) if values else None

    def _table(self, line: str, text: str, *, named: bool) -> Detection | None:
        if text[0] in blocks.BARS and (row := self._pairs.row(text)):
            ended = self.end() if self._pairs.holds(row[0]) else None
            self._pairs.add(self._line, *row)
            return ended
        results, self._results = self._results, ()
        if not (named or results) and self._columns is None:
            return None
        table = headings.without_prefix(line.rstrip())
        if results and (values := blocks.results(results, table)):
            told = any(is_of_evaluation(name) or name.startswith("train") for name in values)
            part = "" if told else self._below.part or "val"  # of what else nothing counts
            return self._resolve(BLOCK, Reading(values={of_part(part, name): one for name, one in values.items()}))
        if named and "." not in table:
            self._results = blocks.measures(table)
        if named and (columns := blocks.header(table)):
            # Columns of which some say that they are the validation's are of the whole run, wherever they stand.
            named_by_themselves = any(map(is_of_evaluation, columns.names))
            self._columns, self._columns_part = columns, "" if named_by_themselves else self._below.part
        elif self._columns and (reading := blocks.row(self._columns, table)):
            if self._columns_part:
                values = {of_part(self._columns_part, name): value for name, value in reading.values.items()}
                reading = Reading(values=values)
            return self._resolve(BLOCK, reading)
        return None

    def end(self) -> Detection | None:
        """Tell what a table of names and values said, now that it has ended: its count may stand in any of its rows."""
        reading, lines = self._pairs.end()
        found = reading and self._resolve(BLOCK, reading)
        if not found:
            return None
        earlier = []
        for series, value in found.values.items():
            name = series if series in lines else series.partition("_")[2]  # without the part that a heading named
            earlier.append((self._line - lines[name], Detection(step=found.step, values={series: value})))
        return found._replace(values={}, earlier=earlier)

    def _recurred(self, line: str, plain: Reading | None = None) -> Detection | None:
        """Read a line by its form, if that comes again; `plain`: what it says by itself."""
        text = headings.without_prefix(line.rstrip())
        best = generic.is_best(text)
        if best and self._series and not self._best_alone:
            return None
        step = self._standing.so_far
        if self._counted is not None and self._counted.step is not None:
            step = self._counted.step
        known = Known(self._line, step, plain=plain, told=bool(self._series))
        recurred = self._recurring.feed(text, known)
        if recurred is None:
            return plain and self._resolve(PLAIN, plain)
        self._best_alone = self._best_alone or (best and not self._series)
        row = RECURRING if plain is None else PLAIN
        if plain is None:
            recurred = recurred.under(lambda values: generic.judged(text, values))
        # What a line measures by itself was told at once, and what stands below a heading needs that one's name.
        earlier = self._earlier(row, recurred) if plain is None and not self._below else []
        found = self._resolve(row, recurred.reading)
        return found and found._replace(earlier=earlier)

    def _with_unknown_names(self, row: float, line: str, found: Detection, part: str) -> Detection:
        """Read what a line tells under names that nobody knows; `part`: of the data, that a bar names."""
        text = drawn.without_bar(line.strip())
        if len(line) > _WIDEST or text.count(".") <= len(found.values):
            return found
        known = Known(self._line, found.step, counts=True, named=bool(found.values), told=True)
        recurred = self._recurring.feed(text, known)
        if recurred is None:
            return found
        part = evaluation_of(next(iter(found.values), "")) if all_of_evaluation(found.values) else part
        recurred = recurred.under(lambda values: {of_part(part, name): value for name, value in values.items()})
        values = self._series.news(row, recurred.reading.values, found.step)
        if found.step is not None:
            self._series.told(values, found.step)
        return found._replace(values={**values, **found.values}, earlier=self._earlier(row, recurred))

    def _earlier(self, row: float, recurred: Recurred) -> list[tuple[int, Detection]]:
        """Return what earlier lines told, as their form shows now: how many lines ago, and what."""
        may = self._standing.believes(row)
        told: list[tuple[int, Detection]] = []
        for ago, step, reading in recurred.earlier:
            step = reading.step if may and reading.step is not None else step
            values = self._series.news(row, reading.values)
            told += [(ago, Detection(step=step, total=reading.total, values=values))] if values else []
        return told

    def _resolve(self, row: float, reading: Reading) -> Detection | None:
        if (reading.step or 0) > MOST_STEPS or (reading.total or 0) > MOST_STEPS:
            return None
        if (reading.epoch or 0) > MOST_STEPS or (reading.epochs or 0) > MOST_STEPS:
            return None
        if self._declared.counts and row > DECLARED:
            reading = reading._replace(step=None, total=None, epoch=None, within_epoch=False, bar=None)
        counted_below = self._is_of_evaluation_below(reading)
        if counted_below:
            reading = reading._replace(step=None, total=None, epoch=None, epochs=None, within_epoch=False)
        by = row
        if reading.step is None and reading.bar is None and reading.values:
            by = row if self._counted is None else min(row, PLAIN)  # a heading's count is not the form's
            if not counted_below:
                self._below.result()
            reading = self._below_headings(reading)
        if self._below and reading.bar is not None and not reading.values and not reading.bar:
            return None
        at = self._standing.of(row, reading, by=by)
        if at.counts:
            self._series.settled = self._standing.on_bar
        elif reading.rate is not None or reading.eta is not None:
            reading = reading._replace(rate=None, eta=None)
        found = self._detection(row, reading, at.step, at.total, moved=at.moved)
        return found if found.values or at.counts else None

    def _detection(
        self, row: float, reading: Reading, step: int | None, total: int | None, *, moved: bool
    ) -> Detection:
        """Return what is news of what `row` read at `step`."""
        values: Mapping[str, float] = self._series.news(row, self._judged_by_bar(reading), step)
        epoch = float(step or 0) if reading.mean else reading.epoch
        if epoch is not None and reading.step is None and reading.bar is None:
            means = {name: value for name, value in reading.values.items() if name not in values}
            values = {**values, **self._series.of_epoch(row, epoch, means)}
        if step is not None:
            self._series.told(values, step)
            total = None if total is not None and step > total else total  # of something else
        percent = 100.0 * step / total if total and step is not None else None
        eta = reading.eta
        if eta is None and reading.rate and total and step is not None:
            eta = max(0, total - step) / reading.rate
        return Detection(
            step=step,
            moved=moved,
            total=total,
            epoch=reading.epoch,
            values=values,
            percent=percent,
            eta=eta,
            rate=reading.rate,
        )

    def _judged_by_bar(self, reading: Reading) -> Mapping[str, float]:
        """Return a reading's values, under the names of an evaluation where a bar within the run's own shows them."""
        if reading.bar is None or not self._standing.place.bar_within or not self._series:
            return reading.values
        if reading.unnamed:
            return {}
        judge = {name for name in reading.values if is_outcome(name) or is_companion(name)}
        plain = {name for name in judge if not is_of_evaluation(name)}
        return {of_part("val", name) if name in plain else name: value for name, value in reading.values.items()}

    def _is_of_evaluation_below(self, reading: Reading) -> bool:
        """Return whether a count below a heading of an evaluation is that one's: of another total than the run's."""
        other = self._standing.is_of_evaluation(reading) if self._below else None
        return other is not None and self._below.counts(other=other, total=reading.total is not None)

    def _below_headings(self, reading: Reading) -> Reading:
        """Return a reading without a step as what the headings above it say."""
        before, self._named_epoch = self._named_epoch, self._named_epoch if reading.epoch is None else reading.epoch
        news = reading.epoch is not None and (reading.epochs is not None if before is None else reading.epoch > before)
        if news and not self._below.is_next:
            self._below.ends()  # the next epoch's line is not below a heading of an evaluation
        values = self._below.named(reading.values)
        counted, self._counted = self._counted or reading, None
        return counted if values is counted.values else counted._replace(values=values)


def _is_parted(name: str) -> bool:
    return is_of_evaluation(name) or name.startswith("train_")


def _together(bar: Detection, found: Detection) -> Detection:
    """Return what a bar and the line behind it tell."""
    where = found if found.moved else bar
    values, earlier = {**bar.values, **found.values}, [*bar.earlier, *found.earlier]
    return where._replace(step=found.step, values=values, earlier=earlier)
