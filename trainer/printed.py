"""The lines that the code at hand prints, and what they say.

Most scripts lie in the repository that is run. Where nothing else reads a line, or nobody says what its count is of,
the statement that printed it does (`trainer.statements`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from trainer import drawn, generic
from trainer.formats import Reading
from trainer.headings import Prefixes, without_prefix
from trainer.kinds import Found
from trainer.names import RECORDS, all_of_evaluation, is_of_evaluation, may_measure, of_part
from trainer.numbers import in_english, number, plainly, unwrapped
from trainer.place import MOST_STEPS
from trainer.scripts import named, sources
from trainer.series import BAR, BLOCK, PLAIN, STATED
from trainer.statements import CONNECT, Statement, statements
from trainer.templates import COUNTS, Template, parse

_WORD = re.compile(r"[^\W\d_]+")
_LONG_WORD = re.compile(r"(?!(?:nan|inf)\b)[A-Za-z]{3,}")  # such as no line without words has
_ALONE = re.compile(r"\{\w+\}")
_BRACES = re.compile(r"\{[^{}]*\}")
_MOST, _WIDEST = 4_000, 1_000  # statements, and characters of a line
_PRINTS = re.compile(r"print|log|write|echo|set_description")

_Key = tuple[str, bool, bool]  # how a statement's lines are told from others


class _Line(NamedTuple):
    template: Template
    statement: Statement
    runs: bool  # it is of the code that the command runs


class _Stated(NamedTuple):
    """What a statement says of a line."""

    reading: Reading
    printed: Mapping[str, float]  # what has its name in the line, and not in the code alone
    on_epochs: bool  # it is what a bar over epochs is called
    absolute: bool  # its step is counted from the start of the run
    spends: bool  # what else it counts is how long something took


class Printed:
    """What the code of one run prints."""

    def __init__(self, sources: Sequence[str] = (), others: Sequence[str] = ()) -> None:
        """Read the statements of files of code; what `others` print alike is believed last: that code may not run."""
        self._prefixes = Prefixes(sources)
        self._lines: dict[str, list[_Line]] = {}  # by the longest word in them, "" for none
        forms: dict[str, set[str]] = {}  # of lines without a word: what their statements measure
        run = _alike(sources, {})
        for alike in (run, _alike(others, run)):
            for one in alike.values():
                forms.setdefault(_BRACES.sub("{}", one.text), set()).add(_measured(one))
            for one in alike.values():
                if one.measures and not (one.is_bare and len(forms[_BRACES.sub("{}", one.text)]) > 1):
                    self._add(one, runs=alike is run)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def _add(self, one: Statement, *, runs: bool) -> None:
        text = in_english(plainly(one.text))  # as the lines are when they come here
        words = _WORD.findall(_BRACES.sub(" ", text))
        try:
            template = parse(text, begins=one.begins, ends=one.ends)
        except ValueError:
            return
        if not _is_known(one, template, words):
            return
        self._lines.setdefault(max(words, key=len, default=""), []).append(_Line(template, one, runs))

    def explain(self, text: str, found: Found) -> Found:
        """Return what a line says with what its code does: all of it, or names and counts that it says better."""
        reading = found.reading
        is_bar = reading is not None and reading.bar is not None
        if not self._lines or (reading is not None and found.row < (BAR if is_bar else BLOCK)):
            return found
        stated = self._stated(drawn.description(text) if is_bar else text)
        if stated is None or generic.is_best(without_prefix(text)) or generic.is_setting(text):
            return found
        if reading is None:
            return Found(STATED, stated.reading, found.named)
        reading = reading._replace(values=_united(reading.values, stated))
        if is_bar:
            return Found(found.row, _on_bar(reading, stated), found.named)
        if (counted := _counted(reading, stated)) is not None:
            return Found(STATED if found.row >= PLAIN else found.row, counted, found.named)
        return Found(found.row, _with_totals(reading, stated.reading), found.named)

    def message(self, line: str) -> str:
        """Return a line without what the code's logger puts before it."""
        return self._prefixes.without(line)

    def prints(self, text: str) -> bool:
        """Return whether a statement prints such a line."""
        return bool(self._lines and text.strip()) and self._stated(text) is not None

    def read(self, text: str) -> Reading | None:
        """Return what the statement says that prints such a line, None where none does."""
        stated = self._stated(text)
        return stated and stated.reading

    def _stated(self, text: str) -> _Stated | None:
        if len(text) > _WIDEST:
            return None
        words = {"": None, **dict.fromkeys(_WORD.findall(text))}
        may = [one for word in words for one in self._lines.get(word, ())]
        line = unwrapped(" ".join(without_prefix(text).split()))
        if _LONG_WORD.search(line):
            may = [one for one in may if not one.statement.is_bare]
        if "." not in text:
            may = [one for one in may if not _ALONE.fullmatch(one.template.text)]
        if records := RECORDS.intersection(word.lower() for word in words):  # "initial loss 3.5"
            may = [
                one
                for one in may
                if one.statement.begins or all(word in one.statement.text.lower() for word in records)
            ]
        may.sort(key=lambda one: (not one.runs, -len(one.template.names)))  # what says more of a line says it better
        return next((stated for one in may if (stated := _reading(one.template, one.statement, line))), None)


def printed_by(folder: Path, scripts: Sequence[Path] = ()) -> Printed:
    """Return what the code in a folder prints; that of `scripts` in it, and of what they import, is believed first."""
    code = [one for one in sources(folder, scripts) if _tells(one.text)]
    return Printed([one.text for one in code if one.runs], [one.text for one in code if not one.runs])


def printed_of(command: str, folder: Path, failed: Callable[[str], None]) -> Printed:
    """Return what the code of a repository that a shell's lines run prints; tells `failed` why it cannot be read."""
    try:
        return printed_by(folder, list(named(command, folder)))
    except Exception as error:  # noqa: BLE001  it only helps to read lines: whatever the code holds, the job is run
        failed(f"The code was not read beside what it prints: {type(error).__name__}.")
        return Printed()


def _tells(source: str) -> bool:
    """Return whether a file of code may print a line that measures, or set up a logger."""
    return "%(message)s" in source or (_PRINTS.search(source) is not None and may_measure(source.lower()))


def _alike(sources: Sequence[str], others: Container[_Key]) -> Mapping[_Key, Statement]:
    """Return the statements in files of code, each once, and none that `others` have."""
    alike: dict[_Key, Statement] = {}
    for one in (one for source in sources for one in statements(source)):
        key = one.text, one.begins, one.ends
        if key not in others and (key in alike or len(alike) < _MOST):
            alike[key] = _agreed(alike[key], one) if key in alike else one
    return alike


def _measured(one: Statement) -> str:
    """Return what a statement measures, without what it counts."""
    names = sorted(name for name in _BRACES.findall(one.text) if name[1:-1] not in {*COUNTS, *COUNTS.values()})
    return " ".join(names) if one.measures else ""


def _agreed(one: Statement, other: Statement) -> Statement:
    """Return what two statements that print the same line have in common."""
    totals = {name: count for name, count in one.totals.items() if other.totals.get(name) == count}
    return one._replace(
        part=one.part if one.part == other.part else "",
        totals=totals,
        on_epochs=one.on_epochs and other.on_epochs,
        absolute=one.absolute and other.absolute,
        spends=one.spends and other.spends,
    )


def _is_known(one: Statement, template: Template, words: Sequence[str]) -> bool:
    """Return whether its lines are known from whatever else has numbers: by a word, or as a whole."""
    if one.begins and one.ends and ("{}" not in one.text or one.is_bare):
        counts = not COUNTS.keys().isdisjoint(template.names)
        return bool(words) or counts or _ALONE.fullmatch(template.text) is not None
    return any(len(word) > 2 for word in words)


def _reading(template: Template, one: Statement, line: str) -> _Stated | None:
    found = template.find(line)
    if found is None:
        return None
    values = {name: number(value) for name, value in found.items()}
    counts = {name: values.pop(name) for name in (*COUNTS, *COUNTS.values()) if name in values}
    if not values or not all(0 <= count <= MOST_STEPS and count % 1 == 0 for count in counts.values()):
        return None
    told = {name: int(count) for name, count in counts.items()}
    totals = ((many, one.totals.get(many)) for what, many in COUNTS.items() if what in told and many not in told)
    told |= {many: total for many, total in totals if total is not None}
    part = "" if any(is_of_evaluation(name) or name.startswith("train") for name in values) else one.part
    reading = _placed(told, {of_part(part, name): value for name, value in values.items()})
    printed = {name: value for name, value in values.items() if name in one.printed}
    return _Stated(reading, printed, one.on_epochs, one.absolute, one.spends)


def _united(values: Mapping[str, float], stated: _Stated) -> Mapping[str, float]:
    """Return what a line measures with what only its code says: more of it, and names with their first word."""
    united = dict(values)
    part = next(iter(values), "").partition("_")[0] if all_of_evaluation(values) else ""
    for name, value in stated.printed.items():
        whole = of_part(part, name)
        if whole in united:
            continue
        same = [other for other, read in values.items() if read == value]
        first, _, last = name.partition("_")
        if cut := next((other for other in same if last and other in (last, of_part(part, last))), None):
            if first not in CONNECT:
                united.pop(cut, None)
                united[whole] = value
        elif not same:
            united[whole] = value
    return united


def _on_bar(reading: Reading, stated: _Stated) -> Reading:
    """Return what a bar says whose description the code prints."""
    if stated.on_epochs:
        return reading._replace(epoch=None, epochs=None, within_epoch=False, from_either=False)
    epoch, epochs = stated.reading.epoch, stated.reading.epochs
    if reading.within_epoch or epoch is None:
        return reading
    epoch -= epochs is not None  # who says "3/10" counts from one
    return reading._replace(epoch=epoch, epochs=epochs, within_epoch=True, from_either=epochs is None, eta=None)


def _counted(reading: Reading, said: _Stated) -> Reading | None:
    """Return a reading with what the code says of its counts, None where that is no news of where it stands."""
    stated = said.reading
    news = reading.step is None and (stated.step is not None or (reading.epoch is None and stated.epoch is not None))
    finer = stated.within_epoch and (not reading.within_epoch or (stated.epoch is None and stated.total is None))
    same = stated.step == reading.step is not None and reading.total in (None, stated.total)
    other = same and (finer or (reading.within_epoch and said.absolute))
    where = stated.epoch if stated.step is None else stated.step
    spends = said.spends and reading.total is None  # "3/13" took none of its own
    news = news or (spends and where is not None and reading.step not in (None, where))
    if news or other:
        return stated._replace(values=reading.values, rate=reading.rate, eta=reading.eta)
    return None


def _with_totals(reading: Reading, stated: Reading) -> Reading:
    """Return a reading with how far its counts go, where only the code says so."""
    if (reading.step, reading.within_epoch, reading.total) == (stated.step, stated.within_epoch, None):
        reading = reading._replace(total=stated.total)
    if (reading.epoch, reading.epochs) == (stated.epoch, None):
        reading = reading._replace(epochs=stated.epochs)
    return reading


def _placed(counts: Mapping[str, int], values: Mapping[str, float]) -> Reading:
    epoch, epochs = counts.get("epoch"), counts.get("epochs")
    place = Reading(epoch=None if epoch is None else float(epoch), values=values)
    if "batch" in counts:
        step, total = counts["batch"], counts.get("batches")
        return place._replace(step=step, total=total, epochs=epochs, within_epoch=True, from_either=True)
    if "step" in counts:
        return place._replace(step=counts["step"], total=counts.get("steps"))
    return place._replace(epochs=epochs, epoch_counts=True)
