"""Lines in a form that nobody has described, but that comes again: the same words around other numbers.

No spelling is known here. Of the numbers in such a form, a whole one that rises in even strides counts, and one with a
decimal point and a name (before it, behind it, or above it in a heading) measures. A form is believed when it has
come three times; what its first lines said is told then. Pure: the same lines give the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from trainer.blocks import EPOCHS, STEPS
from trainer.formats import Reading
from trainer.numbers import is_companion, is_outcome, is_worth_naming, number, series_name

_CLOCK, _CLOCKS = re.compile(r"\d+(?::\d+)+(?:[.,]\d+)?|\d{4}([-/])\d\d\1\d\d"), re.compile("@@+")
_NUMBER = re.compile(
    r"((?<![\w.@/\\])[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|(?:nan|inf)(?!\w))"
    r"(?!\.?\d|\w*[\\@])"
    r"|(?<=\d/)(?:\d{1,3}(?:,\d{3})+|\d+)(?![\d./]))",  # of "10/300"
    re.IGNORECASE,
)
_FRACTION = re.compile(r"[.eEnN]")
_WRAPPED = re.compile(r"(?:tensor|array|(?:np|numpy)\.\w+)\(\[?([-+.\w]+)\]?(?:, \w+=[^()]*)?\)")  # "np.float32(0.5)"
_HOLE = "\0"  # where a number stands in a form
_LONGEST = 400  # characters
_MOST_NUMBERS = 24
_MOST_FORMS = 128  # that are watched at once
_ENOUGH, _PATIENCE = 3, 6  # lines after which a form may be believed, and after which it is given up
_AGO = 400  # lines after which one of a form no longer stands beside the next
_SILENT = 50  # lines without the form that counted, after which another may
_ABOVE = 3  # lines that a heading may stand above what it heads

_SIGNS = " \t:=({[<'\"~"
_APART = re.compile(r"(?:^|[:|\])>-])\s*[\[<(]\s*$")  # a bracket that belongs to no word: "INFO:lda:<20>"
_BRACKETS = re.compile(r"\s?[\[(][^\[\]()]*[\])]$")
_WORDS_BEFORE = re.compile(r"(?P<words>[A-Za-z_][\w.@/&-]*(?: [A-Za-z_&][\w.@/&-]*){0,3})$")
_NORM = re.compile(r"\|([A-Za-z][\w ]*)\|$")  # "|proj g|= 0.3"
_WORDS_BEHIND = re.compile(r" ?(?:- ?)?(?P<words>[A-Za-z_][\w@/-]*(?: [A-Za-z_][\w@/-]*){0,2})")
_WORD = re.compile(r"[A-Za-z_][\w@/-]*")
_JOINING = frozenset({
    "is", "was", "of", "at", "to", "with", "and", "in", "after", "for", "on", "by", "the", "a", "an", "equals", "so",
    "far", "now",
})  # fmt: skip
_COUNTING = EPOCHS | STEPS | {
    "pass", "passes", "trial", "sweep", "cycle", "tick", "t", "i", "n", "fevals", "evals", "evaluations", "evaluation",
    "nit", "sample", "samples", "seen", "frame", "frames", "example", "examples", "document", "documents", "token",
    "tokens", "time_step", "iterate", "subiter", "sub_iter", "loop", "generations", "minibatch", "rounds", "iterat",
}  # fmt: skip
_PER = re.compile(r"(?:_per)?_(?:token|word|char|sample|example|document|doc|pixel|node|dim|step)$")
_MONTHS = frozenset({
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
})  # fmt: skip
_SUMMARIES = frozenset({"avg", "mean", "min", "max", "best", "worst", "std", "median"})  # of a generation, in a table
_TABBED, _CELLS = re.compile(r"\s*[|│┃║]\s*|\t+| {2,}|\s*,\s*"), re.compile(r"\S+(?: \S+)*")


@dataclass(frozen=True, kw_only=True)
class Recurred:
    """What a line says by its form, and what those before it said that were waited for."""

    reading: Reading
    earlier: Sequence[tuple[int, int | None, Reading]] = ()  # how many lines ago, at which step if known, and what


@dataclass(eq=False, kw_only=True)
class _Plan:
    """Which of a form's numbers say what."""

    count: int | None
    total: int | None
    names: Sequence[tuple[int, str]]
    last: int = 0
    base: int = 0  # what was counted before the count began anew

    def read(self, cells: Sequence[str], plain: Reading | None, *, counts: bool) -> Reading:
        values = {name: number(cells[at]) for at, name in self.names} if plain is None else plain.values
        if self.count is None or not counts:
            return Reading(values=values)
        count = int(number(cells[self.count]))
        self.base += self.last if count < self.last else 0
        self.last = count
        total = None if self.total is None or self.base else int(number(cells[self.total]))
        return Reading(step=self.base + count, total=total, values=values)


@dataclass(eq=False)
class _Form:
    heading: str  # the line above the first one, "" for none
    first: str
    rows: list[Sequence[str]] = field(default_factory=list)
    lines: list[tuple[int, int | None, Reading | None]] = field(default_factory=list)  # what was known of each
    plan: _Plan | None = None


class Recurring:
    """Watches the lines that no format claims."""

    def __init__(self) -> None:
        self._forms: dict[str, _Form | None] = {}  # None: given up
        self._counter, self._counted_at = "", 0  # the form that counts, and the last line of it
        self._words, self._words_at = "", -_ABOVE - 1  # the last line without a number, and where it was

    def feed(
        self, text: str, *, line: int, step: int | None, plain: Reading | None = None, counts: bool = False
    ) -> Recurred | None:
        """Return what `text`, line number `line`, says by its form.

        `step` is where the run stands by what is known without, `counts`: by this very line; `plain` what the line
        measures by itself, without a step.
        """
        if len(text) > _LONGEST:
            return None
        bare = _CLOCK.sub(_at, text) if ":" in text or "-" in text or "/" in text else text
        bare = _WRAPPED.sub(r"\1", bare) if "(" in bare else bare
        pieces = _NUMBER.split(bare)
        cells = pieces[1::2]
        if not cells:
            if any(map(str.isalpha, text)):
                self._words, self._words_at = text, line
            return None
        if len(cells) > _MOST_NUMBERS:
            return None
        shape = " ".join(_HOLE.join(pieces[::2]).split())
        shape = _CLOCKS.sub("@", shape) if "@" in shape else shape
        if shape in self._forms:
            form = self._forms[shape]
        else:
            form = self._watch(shape, _Form(self._words if line - self._words_at <= _ABOVE else "", bare))
        if form is None:
            return None
        if form.plan:
            return Recurred(reading=form.plan.read(cells, plain, counts=self._may_count(shape, form.plan, line)))
        if form.lines and line - form.lines[0][0] > _AGO:
            form.rows, form.lines = [], []
        form.rows.append(cells)
        form.lines.append((line, step, plain))
        if len(form.rows) < _ENOUGH:
            return None
        form.plan = _plan(shape, form, counts=counts)
        if form.plan is None:
            if len(form.rows) >= _PATIENCE:
                self._forms[shape] = None
            return None
        may = self._may_count(shape, form.plan, line)
        rows = zip(form.lines, form.rows, strict=True)
        read = [(line - at, where, form.plan.read(row, of, counts=may)) for (at, where, of), row in rows]
        form.rows, form.lines = [], []
        return Recurred(reading=read[-1][2], earlier=read[:-1])

    def _watch(self, shape: str, form: _Form) -> _Form:
        if len(self._forms) >= _MOST_FORMS:  # those that are believed stay
            oldest = next((old for old, one in self._forms.items() if one is None or one.plan is None), None)
            self._forms.pop(oldest or next(iter(self._forms)))
        self._forms[shape] = form
        return form

    def _may_count(self, shape: str, plan: _Plan, line: int) -> bool:
        """Return whether a form's count is the run's: the first that counts, as long as it comes."""
        if plan.count is None or (shape != self._counter and self._counter and line - self._counted_at < _SILENT):
            return False
        self._counter, self._counted_at = shape, line
        return True


def _at(found: re.Match[str]) -> str:
    return "@" * len(found.group())  # as wide as it was, for what stands under a heading


def _plan(shape: str, form: _Form, *, counts: bool) -> _Plan | None:
    """Return which numbers of a form say what, None as long as that does not show."""
    columns = list(zip(*form.rows, strict=True))
    parts = shape.split(_HOLE)
    befores = [_HOLE.join(parts[: at + 1]) for at in range(len(columns))]
    totals = {at for at in range(1, len(columns)) if parts[at] == "/" and len(set(columns[at])) == 1}
    counters = [
        at
        for at, column in enumerate(columns)
        if not counts
        and at not in totals
        and not _has_unit(parts[at + 1])
        and _counts(column, name=_last_word(befores[at]))
    ]
    named = [at for at in counters if _last_word(befores[at]) in _COUNTING]
    count = next(iter([*named, *counters]), None)
    headed = _headed(form, len(columns)) if form.heading else None
    names: dict[int, str] = {}
    for at, column in enumerate(columns):
        if at == count or at in totals or _has_unit(parts[at + 1]):
            continue
        name = _named(befores[at], parts[at + 1])
        above = not name and headed is not None
        name = headed[at] if headed and above else name
        if name in names.values() or not name or name in _MONTHS:
            continue
        known = _is_known(name) or (above and name in _SUMMARIES)
        fractions = sum(bool(_FRACTION.search(cell)) for cell in column)
        if at in counters and not known:
            continue
        measures = fractions or above or is_outcome(name) if known else 2 * fractions > len(column)
        if measures and (known or is_worth_naming(name)):
            names[at] = name
    if not names or (count is None and not counts):
        return None
    if all(len(set(columns[at])) == 1 for at in names):
        return None
    total = count + 1 if count is not None and count + 1 in totals else None
    return _Plan(count=count, total=total, names=tuple(names.items()))


def _counts(column: Sequence[str], *, name: str) -> bool:
    """Return whether a column counts: whole numbers that rise in even strides, the first perhaps excepted."""
    if name and name not in _COUNTING:
        return False
    if not all(cell.replace(",", "").isdecimal() for cell in column):
        return False
    numbers = [int(cell.replace(",", "")) for cell in column]
    strides = [after - before for before, after in pairwise(numbers)]
    if min(strides) <= 0:
        return False
    if name or (len(set(strides[1:])) == 1 and (len(strides) > 2 or abs(strides[1] - strides[0]) <= 1)):
        return True
    return strides[-1] == strides[-2]


def _is_known(name: str) -> bool:
    bare = _PER.sub("", name)
    return is_outcome(name) or is_companion(name) or is_outcome(bare) or is_companion(bare)


def _has_unit(behind: str) -> bool:
    return behind[:1].isalpha() or behind[:1] == "_"


def _last_word(before: str) -> str:
    """Return the word directly before a number, "" where something else stands there."""
    if _APART.search(before):
        return ""
    found = _WORDS_BEFORE.search(before.rstrip(_SIGNS))
    word = found.group().split()[-1] if found else ""
    return "" if word.lower() in _JOINING else series_name(word)


def _named(before: str, behind: str) -> str:
    """Return what a number is called by the words around it, "" for nothing."""
    bare = before.rstrip(_SIGNS)
    bare = _BRACKETS.sub("", bare).rstrip(_SIGNS) if bare[-1:] in ")]" else bare
    if norm := _NORM.search(bare):
        return f"{series_name(norm[1])}_norm"
    found = _WORDS_BEFORE.search(bare) or _WORDS_BEHIND.match(behind)
    words = _joined(found["words"].split()) if found else ()
    if not words:
        words = [word for word in _WORD.findall(bare) if is_outcome(series_name(word))][-1:]
    return _name(words)


def _joined(words: Sequence[str]) -> Sequence[str]:
    """Return the last words that no little word parts: "value" of "finished with value"."""
    kept: list[str] = []
    for word in words:
        if word.lower() not in _JOINING:
            kept.append(word)
        elif word != words[-1]:
            kept = []
    return kept


def _name(words: Sequence[str]) -> str:
    """Return a series' name: as many of the last words as make one that is known, or all."""
    for first in range(len(words)):
        name = series_name(" ".join(words[first:]))
        if is_outcome(name) or is_companion(name):
            return name
    plain = " ".join(words)
    return series_name(plain) or plain.lower().replace(" ", "_")


def _headed(form: _Form, columns: int) -> Sequence[str] | None:
    """Return the names of the columns by the heading above the form's first line, None where they do not agree."""
    heading = form.heading.strip()
    cells = [cell for cell in _TABBED.split(heading) if cell]
    for names in (cells, heading.split()):
        if len(names) == columns:
            return [_name(name.split()) for name in names]
    return _below(form.heading, form.first)


def _below(heading: str, line: str) -> Sequence[str]:
    """Return for each number in `line` the words of the heading that stand over it; "" where several numbers do."""
    heading, line = heading.expandtabs(), line.expandtabs()
    cells = list(_CELLS.finditer(heading.replace("|", " ")))
    under = [
        min(range(len(cells)), key=lambda at: max(cells[at].start() - found.end(), found.start() - cells[at].end()))
        for found in _NUMBER.finditer(line)
    ]
    return ["" if under.count(at) > 1 else _name(cells[at].group().split()) for at in under]
