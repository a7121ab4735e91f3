"""What the numbers of a form say: which one counts, which measure, and what they are called.

A form is what lines have in common, numbers aside. Pure: the same lines give the same answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from trainer.blocks import EPOCHS, STEPS
from trainer.formats import Reading
from trainer.names import RECORDS, is_companion, is_extreme, is_outcome, is_worth_naming, series_name
from trainer.numbers import number

# Neither comes in what a command printed: control characters are taken out where it is split into lines.
HOLE = "\0"  # where a number stands in a form
ENOUGH = 3  # lines after which a form may be believed
EMPTY = "\1"  # a cell that holds none
_EXPONENT = r"(?:[eE][-+]?\d+)?"
# One class of characters comes first, so that the engine passes over all others.
NUMBER = re.compile(
    r"([-+.\d\x01nNiI](?:(?<=\d/.)|(?<![\w.@/\\].))(?:"
    rf"(?<=\d)(?:\d{{0,2}}(?:,\d{{3}})+|\d*)(?:\.\d*)?{_EXPONENT}"
    rf"|(?<=[-+])(?:(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d*)?{_EXPONENT}|\.\d+{_EXPONENT}|(?:[nN]a[nN]|[iI]nf)(?!\w))"
    rf"|(?<=\.)\d+{_EXPONENT}"
    r"|(?<=[nN])[aA][nN](?!\w)|(?<=[iI])[nN][fF](?!\w)|(?<=\x01)"
    r")(?!\.?\d|[A-Za-z]{0,2}_|\w*[\\@]))"
)
# A time, a size or a speed measures the machine.
_UNIT = re.compile(
    r"\s(?:s|secs?|seconds?|[munµ]s|mins?|minutes?|h|hrs?|hours?|[kKMGT]i?B|[bB]ytes|W|fps|Hz|°?C|[A-Za-z]+/s(?:ec\w*)?|s/[A-Za-z]+)(?![\w/])"
)
_FRACTION = re.compile(r"[.eEnN]")
_NEAR = 80  # characters in which a number's name is looked for
_SIGNS = " \t:=({[<'\"~"
_OPENING = frozenset("[<(")
_APART = re.compile(r"(?:^|[:|\])>-])\s*[\[<(]\s*$")  # a bracket that belongs to no word: "INFO:lda:<20>"
_BRACKETS = re.compile(r"\s?[\[(][^\[\]()]*[\])]$")
_WORD_BEFORE = re.compile(r"(?:\d+[A-Za-z]{0,2}_|&)?(?:[A-Za-z_][\w.@/&-]*|(?<=&))(?:'s)?$")
_MOST_WORDS = 4  # that a number's name has
_NORM = re.compile(r"\|([A-Za-z][\w ]*)\|$")  # "|proj g|= 0.3"
_WORDS_BEHIND = re.compile(r" ?(?:- ?)?(?P<words>[A-Za-z_][\w@/-]*(?: [A-Za-z_][\w@/-]*){0,2})(?!\w|\s?[:=])")
_WORD = re.compile(r"[A-Za-z_][\w@/-]*")
_JOINING = frozenset({
    "is", "was", "of", "at", "to", "with", "and", "in", "after", "for", "on", "by", "the", "a", "an", "equals", "so",
    "far", "now",
})  # fmt: skip
_COUNTING = EPOCHS | STEPS | {
    "pass", "passes", "trial", "sweep", "cycle", "fevals", "evals", "evaluations", "evaluation", "nit", "n_gen",
    "time_step", "iterate", "iterat", "subiter", "sub_iter", "loop", "generations", "minibatch", "rounds",
}  # fmt: skip
_WEAK = frozenset({"t", "i", "n", "samples", "examples", "frames", "tokens"})  # they count in a heading alone
_PER = re.compile(r"(?:_per)?_(?:token|word|char|sample|example|document|doc|pixel|node|dim|step)$")
_NO_NAME = re.compile(
    r"^[kmgt]i?b$|^over$|(?:^|_)(?:time|times|seconds|secs?|minutes|hours|iterations?|epochs?|steps?|episodes)(?:_|$)|per_?sec"
)
_WITH_RATE = re.compile(rf"\[ ?{HOLE}, ?{HOLE}\]")  # RAFT's "[   50,  0.0003509]", whose losses have no names
_MONTHS = frozenset({
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
})  # fmt: skip
_SUMMARIES = frozenset({"avg", "mean", "min", "max", "best", "worst", "std", "median"})  # of a generation, in a table
_TABBED, _CELLS = re.compile(r"\s*[|│┃║]\s*|\t+| {2,}|\s*,\s*"), re.compile(r"\S+(?: \S+)*")


class Known(NamedTuple):
    """What is known of a line without its form."""

    line: int  # its number
    step: int | None  # where the run stands
    counts: bool = False  # this line says so
    plain: Reading | None = None  # what it measures by itself, without a step
    named: bool = False  # what has names that others know is read already
    told: bool = False  # something was told by then, whatever line said it


@dataclass(eq=False)
class Form:
    """A form as it is watched."""

    heading: str  # the line above the first one, "" for none
    first: str
    rows: list[Sequence[str]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)  # of each of the rows
    plan: Plan | None = None


@dataclass(eq=False, kw_only=True)
class Plan:
    """Which of a form's numbers say what."""

    count: int | None
    total: int | None
    names: Sequence[tuple[int, str]]
    headed: bool  # some of them by a heading above
    last: int = 0
    base: int = 0  # what was counted before the count began anew

    def read(self, cells: Sequence[str], plain: Reading | None, *, counts: bool) -> Reading:
        """Return what a line of these numbers says; `counts`: its count is the run's."""
        told = {name: number(cells[at]) for at, name in self.names if cells[at] != EMPTY}
        # NaN alarms people: only under a name beside it that is known to judge the run.
        may = {name for name in told if is_outcome(name) and not self.headed}
        values = plain.values if plain else {k: v for k, v in told.items() if math.isfinite(v) or k in may}
        at = -1.0 if self.count is None or cells[self.count] == EMPTY else number(cells[self.count])
        if not counts or at < 0 or at % 1 != 0:  # NaN and infinity among them
            return Reading(values=values)
        count = int(at)
        self.base += self.last if count < self.last else 0
        self.last = count
        of = number(cells[self.total]) if self.total is not None and not self.base else math.inf
        total = int(of) if math.isfinite(of) else None
        return Reading(step=self.base + count, total=total, values=values)


def plan(shape: str, form: Form) -> Plan | None:
    """Return which numbers of a form say what, None as long as that does not show."""
    counts, named = form.known[-1].counts, form.known[-1].named
    columns = list(zip(*form.rows, strict=True))
    parts = shape.split(HOLE)
    befores = [HOLE.join(parts[: at + 1]) for at in range(len(columns) + 1)]
    fractions = [any(map(_FRACTION.search, column)) for column in columns]
    words = list(map(last_word, befores))
    spoken = any(word and (fraction or is_outcome(word)) for word, fraction in zip(words, fractions, strict=False))
    above = _headed(form, len(columns)) if form.heading and not spoken else None
    totals = {at for at in range(1, len(columns)) if parts[at] == "/" and len(set(columns[at])) == 1}
    totals = {at for at in totals if columns[at][0].replace(",", "").isdecimal()}
    apart = {at for at in range(len(columns)) if parts[at] == "/" or has_unit(parts[at + 1])}
    count = None if counts else _counter(columns, befores, above, apart)
    names: dict[int, str] = {}
    extremes: dict[int, str] = {}
    for at, column in enumerate(columns):
        name = called(befores[at], parts[at + 1])
        over = not name and above is not None
        name = above[at] if above and over else name
        if at == count or at in apart or not _may_name(name) or name in names.values():
            continue
        filled = [cell for cell in column if cell != EMPTY]
        mostly = 2 * sum(bool(_FRACTION.search(cell)) for cell in filled) > len(filled) or not filled
        if not over and fractions[at] and is_extreme(name) and "best" in name:
            extremes[at] = name
        elif _is_known(name) or (over and name in _SUMMARIES):
            if not named and (fractions[at] or over or is_outcome(name)):
                names[at] = name
        elif mostly and (is_worth_naming(name) or (over and is_extreme(name))):
            names[at] = name
        elif fractions[at] and is_extreme(name):
            extremes[at] = name
    names = names or ({} if form.known[0].told else extremes)  # the best so far, where nothing else is told
    total = count + 1 if count is not None and count + 1 in totals else None
    leads = count == 0 and _WITH_RATE.match(shape) and fractions[1]
    if not names and count is not None and (leads or last_word(befores[count]) in STEPS):
        return Plan(count=count, total=total, names=(), headed=False)
    placed = counts or count is not None or (_follows(form) and any(parts[at].rstrip()[-1:] in ":=" for at in names))
    if not names or not placed or all(len(set(columns[at])) == 1 for at in names):
        return None
    total = total if any(map(_is_known, names.values())) else None  # of whatever else is counted
    return Plan(count=count, total=total, names=tuple(names.items()), headed=above is not None)


def _counter(
    columns: Sequence[Sequence[str]], befores: Sequence[str], above: Sequence[str] | None, apart: Container[int]
) -> int | None:
    """Return which column counts: one that is called so, or the first that rises evenly and is called nothing else."""
    unnamed: list[int] = []
    letters: list[int] = []  # "F: 1500 | R: 12.5"
    for at, column in enumerate(columns):
        word = last_word(befores[at])
        share = befores[at + 1][len(befores[at]) + 1 :].lstrip().startswith("%")
        if at in apart or share or befores[at].rstrip(" (").endswith("%"):
            continue
        if (word in _COUNTING or (above and not word and above[at] in _COUNTING | _WEAK)) and _rises(column):
            return at
        if len(word) < 2 and not above and _rises_evenly(column):
            (letters if word else unnamed).append(at)
    return next(iter([*unnamed, *letters]), None)


def _rises(column: Sequence[str]) -> bool:
    """Return whether a column that is called a count is one: whole numbers that rise, or begin anew."""
    numbers = [number(cell) for cell in column if cell != EMPTY]
    if len(numbers) < len(column) or not all(one >= 0 and one % 1 == 0 for one in numbers):
        return False
    first, most = numbers[0], max(numbers)
    return most > first and all(after > before or after <= first for before, after in pairwise(numbers))


def _rises_evenly(column: Sequence[str]) -> bool:
    """Return whether a column is of whole numbers in even strides, the first perhaps excepted: 1, 100, 200."""
    if not all(cell.replace(",", "").isdecimal() for cell in column):
        return False
    numbers = [int(cell.replace(",", "")) for cell in column]
    strides = [after - before for before, after in pairwise(numbers)]
    if min(strides) <= 0:
        return False
    return strides[-1] == strides[-2] or (len(strides) == 2 and numbers[0] == 1 and strides[1] - strides[0] == 1)


def _follows(form: Form) -> bool:
    """Return whether each line of the form stood at another step than the one before it."""
    steps = [known.step for known in form.known[-ENOUGH:]]
    return all(before is not None and after is not None and after > before for before, after in pairwise(steps))


@lru_cache(maxsize=1_024)
def _may_name(name: str) -> bool:
    named = name.lstrip("0123456789_")[:1].isalpha() and name not in _MONTHS
    return named and not name.startswith(("std_", "stddev_")) and not _NO_NAME.search(name)


@lru_cache(maxsize=1_024)
def _is_known(name: str) -> bool:
    bare = _PER.sub("", name)
    return is_outcome(name) or is_companion(name) or is_outcome(bare) or is_companion(bare)


def is_fraction(cell: str) -> bool:
    """Return whether a number is none of those that count."""
    return _FRACTION.search(cell) is not None


def has_unit(behind: str) -> bool:
    """Return whether a unit stands behind a number, or what makes it a part of a word."""
    return behind[:1].isalpha() or behind[:1] == "_" or bool(_UNIT.match(behind))


@lru_cache(maxsize=256)  # a form is looked at more than once, and its columns for more than one reason
def last_word(before: str) -> str:
    """Return the word directly before a number, "" where something else stands there."""
    if before.rstrip()[-1:] in _OPENING and _APART.search(before):
        return ""
    words = _words_before(before.rstrip(_SIGNS)[-_NEAR:]) or ("",)
    word = words[-2] if len(words) > 1 and words[-1].lower().strip(".") in ("no", "nr", "number") else words[-1]
    return "" if word.lower() in _JOINING else series_name(word)


@lru_cache(maxsize=256)
def called(before: str, behind: str) -> str:
    """Return what a number is called by the words around it, "" for nothing."""
    bare = before.rstrip(_SIGNS)
    bare = _BRACKETS.sub("", bare).rstrip(_SIGNS) if bare[-1:] in ")]" else bare
    if bare[-1:] == "|" and (norm := _NORM.search(bare)):
        return f"{series_name(norm[1])}_norm"
    words = _words_before(bare[-_NEAR:])
    if not words and (found := _WORDS_BEHIND.match(behind)):
        words = found["words"].split()
    words = _joined(words)
    if not words:
        words = [word for word in _WORD.findall(bare) if is_outcome(series_name(word))][-1:]
    return _name(words)


def _words_before(text: str) -> Sequence[str]:
    """Return the words at the end of `text`, as many as one space each stands between."""
    words: list[str] = []
    for token in reversed(text.rsplit(" ", _MOST_WORDS)[-_MOST_WORDS:]):
        found = _WORD_BEFORE.search(token)
        if found is None:
            break
        words.insert(0, found.group())
        if found.start() > 0 or token[0].isdigit():
            break
    return tuple(words)


def _joined(words: Sequence[str]) -> Sequence[str]:
    """Return the last words that no little word parts: "value" of "finished with value"."""
    kept = list(words)
    while kept and kept[-1].lower() in _JOINING:
        kept.pop()
    last = max((at for at, word in enumerate(kept) if word.lower() in _JOINING), default=-1)
    return kept[last + 1 :]


def _name(words: Sequence[str]) -> str:
    """Return a series' name: as many of the last words as make one that is known, or all."""
    for first in range(len(words)):
        name = series_name(" ".join(words[first:]))
        if first and words[first - 1].lower() in RECORDS:
            break  # "Time cost" is no cost
        if is_outcome(name) or is_companion(name):
            return name
    plain = " ".join(words)
    return series_name(plain) or plain.lower().replace(" ", "_")


def _headed(form: Form, columns: int) -> Sequence[str] | None:
    """Return the names of the columns by the heading above the form's first line, None where they do not agree."""
    heading = form.heading.strip()
    cells = [cell for cell in _TABBED.split(heading) if cell]
    for names in (cells, heading.split()):
        if len(names) == columns:
            return [_name(name.split()) for name in names]
    return _below(form.heading, form.first)


def _below(heading: str, line: str) -> Sequence[str]:
    """Return for each number in `line` the words of the heading that stand over it, "" where that is not clear."""
    heading, line = heading.expandtabs(), line.expandtabs()
    cells = list(_CELLS.finditer(heading.replace("|", " ")))
    under = [
        min(range(len(cells)), key=lambda at: max(cells[at].start() - found.end(), found.start() - cells[at].end()))
        for found in NUMBER.finditer(line)
    ]
    names: list[str] = []
    for place, at in enumerate(under):
        words = cells[at].group().split()
        together = under.count(at)
        if together == 1:
            names.append(_name(words))
        else:  # "Iterat #Fevals" over two numbers, a word each
            names.append(_name([words[under[:place].count(at)].lstrip("#")]) if len(words) == together else "")
    return names
