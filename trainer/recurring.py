"""Lines in a form that nobody has described, but that comes again: the same words around other numbers.

A form is believed when it has come three times and its numbers show what they are (`trainer.forms`); what its first
lines said is told then. Pure: the same lines give the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainer import stencils
from trainer.formats import Reading
from trainer.forms import EMPTY, ENOUGH, HOLE, NUMBER, Form, Known, Plan, plan
from trainer.numbers import unwrapped

# A number's first digit comes first, so that the engine passes over everything else.
_CLOCK = re.compile(r"\d(?<!\d\d)(?:\d*(?::\d+)+(?:[.,]\d+)?|\d{3}([-/])\d\d\1\d\d|(?<=\b\d)\d*(?:[hms]\d+)+[hms]?\b)")
_DIGITS = re.compile(r"\d+")
_CLOCKS = re.compile("@@+")
_NUMERIC = re.compile(r"[\d|nNiI](?:(?<=[\d|])|(?<=[nN])[aA][nN]|(?<=[iI])[nN][fF])")  # a cell may hold none: "- |"
_NOTHING = re.compile(r"(?<=[|\s])-(?=\s*(?:\||$))")
_JUDGES = re.compile(r"\W*(?:val|valid|validation|test|testing|eval|evaluation|dev)\b", re.IGNORECASE)
_MARKS = " -*+.|"  # that may stand at a line's end or not
_LONGEST, _LONGEST_HEADING = 1_000, 300  # characters
_MOST_NUMBERS = 96
_MOST_FORMS, _MOST_KINDS = 128, 1_024  # that are watched at once, and remembered
_TRIES = (ENOUGH, 5, 8)  # lines after which it is looked what a form says; after the last it is given up
_AGO = 400  # lines after which one of a form no longer stands beside the next
_SILENT = 50  # lines without the form that counted, after which another may
_ABOVE = 3  # lines that a heading may stand above what it heads


@dataclass(frozen=True, kw_only=True)
class Recurred:
    """What a line says by its form, and what those before it said that were waited for."""

    reading: Reading
    earlier: Sequence[tuple[int, int | None, Reading]] = ()  # how many lines ago, at which step if known, and what

    def under(self, rename: Callable[[Mapping[str, float]], Mapping[str, float]]) -> Recurred:
        """Return the same with other names."""
        earlier = [(ago, step, one._replace(values=rename(one.values))) for ago, step, one in self.earlier]
        return Recurred(reading=self.reading._replace(values=rename(self.reading.values)), earlier=earlier)


class Recurring:
    """Watches the forms of lines that no format reads, or reads only in part."""

    def __init__(self) -> None:
        self._forms: dict[str, Form | None] = {}  # None: given up
        # Kinds of lines whose form is believed or given up: where they have their numbers, and other digits.
        self._kinds: dict[bytes, tuple[str, Sequence[slice], Sequence[stencils.Word]] | None] = {}
        self._counter, self._counted_at = "", 0  # the form that counts, and the last line of it
        self._tables: dict[int, str] = {}  # the heading of rows of so many numbers and no words
        self._words, self._words_at = "", -_ABOVE - 1  # the last line without a number, and where it was

    def feed(self, text: str, known: Known) -> Recurred | None:
        """Return what `text` says by its form."""
        if len(text) > _LONGEST:
            return None
        kind = stencils.kind(text)
        remembered = self._kinds.get(kind)
        if remembered is not None and stencils.has(text, remembered[2]):
            shape, spans, _ = remembered
            return self._planned(shape, self._forms[shape], [text[span] for span in spans], known)
        if not _NUMERIC.search(text):
            self._head(text, known.line)
            return None
        bare = _CLOCK.sub(_at, text)
        bare = unwrapped(bare)
        bare = _NOTHING.sub(EMPTY, bare) if "|" in bare and "- " in f"{bare} " else bare
        pieces = NUMBER.split(bare)
        cells = pieces[1::2]
        if not cells:
            self._head(text, known.line)
            return None
        if len(cells) > _MOST_NUMBERS:
            return None
        shape = " ".join(HOLE.join(pieces[::2]).split()).rstrip(_MARKS).replace(f"|{HOLE}", f"| {HOLE}")
        shape = _CLOCKS.sub("@", shape) if "@" in shape else shape
        if shape in self._forms:
            form = self._forms[shape]
        else:
            form = self._watch(shape, Form(self._heading(shape, len(cells), known.line), bare))
        if form is not None and not form.plan:
            return self._try(shape, form, cells, known)
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        if kind not in self._kinds:
            self._kinds[kind] = None  # it may never come again
        elif len(bare) == len(text) and EMPTY not in cells:
            spans = [slice(*found.span()) for found in NUMBER.finditer(bare)]
            self._kinds[kind] = shape, spans, _other_digits(bare, spans)
        return self._planned(shape, form, cells, known)

    def _planned(self, shape: str, form: Form | None, cells: Sequence[str], known: Known) -> Recurred | None:
        """Return what a line of a form says that is believed; nothing of one that is given up."""
        if form is None or form.plan is None:
            return None
        may = self._may_count(shape, form.plan, known.line)
        return Recurred(reading=form.plan.read(cells, known.plain, counts=may))

    def _try(self, shape: str, form: Form, cells: Sequence[str], known: Known) -> Recurred | None:
        """Take one more line of a form that is not believed yet; return what all of them said, once it is."""
        if form.known and known.line - form.known[-1].line > _AGO:
            form.rows, form.known = [], []
        form.rows.append(cells)
        form.known.append(known)
        if len(form.rows) not in _TRIES:
            return None
        form.plan = plan(shape, form)
        if form.plan is None:
            if len(form.rows) == _TRIES[-1]:
                self._forms[shape] = None
            return None
        may = self._may_count(shape, form.plan, known.line)
        rows = zip(form.known, form.rows, strict=True)
        read = [(known.line - of.line, of.step, form.plan.read(row, of.plain, counts=may)) for of, row in rows]
        form.rows, form.known = [], []
        return Recurred(reading=read[-1][2], earlier=read[:-1])

    def _head(self, text: str, line: int) -> None:
        """Take a line without a number: it may head what follows."""
        if len(text) <= _LONGEST_HEADING and any(map(str.isalpha, text)):
            self._words, self._words_at = text, line

    def _heading(self, shape: str, cells: int, line: int) -> str:
        """Return the heading above a new form, or above what stands like it in the same table."""
        near = self._words if line - self._words_at <= _ABOVE else ""
        if not any(map(str.isalpha, shape)):
            self._tables[cells] = near = near or self._tables.get(cells, "")
        return near

    def _watch(self, shape: str, form: Form) -> Form:
        if len(self._forms) >= _MOST_FORMS:  # those that are believed stay
            oldest = next((old for old, one in self._forms.items() if one is None or one.plan is None), None)
            self._forms.pop(oldest or next(iter(self._forms)))
            self._kinds.clear()
        self._forms[shape] = form
        return form

    def _may_count(self, shape: str, plan: Plan, line: int) -> bool:
        """Return whether a form's count is the run's: the first that counts and judges nothing, as long as it comes."""
        if (
            plan.count is None
            or _JUDGES.match(shape)
            or (shape != self._counter and self._counter and line - self._counted_at < _SILENT)
        ):
            return False
        self._counter, self._counted_at = shape, line
        return True


def _other_digits(bare: str, spans: Sequence[slice]) -> list[stencils.Word]:
    """Return the digits that are of no number and no time: of names, mostly."""
    words = ((found.start(), found.end(), found.group()) for found in _DIGITS.finditer(bare))
    return [word for word in words if not any(span.start <= word[0] < span.stop for span in spans)]


def _at(found: re.Match[str]) -> str:
    return "@" * len(found.group())  # as wide as it was, for what stands under a heading
