"""Lines that look like progress and that nothing read: which there are, and how a task file could describe them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from trainer.blocks import EPOCHS, STEPS
from trainer.forms import HOLE, called, has_unit, is_fraction, last_word
from trainer.generic import is_best
from trainer.headings import without_prefix
from trainer.names import is_companion, is_outcome, is_worth_naming
from trainer.numbers import number
from trainer.templates import COUNTS, Template, parse

_LONGEST = 300  # characters
_MOST_NUMBERS = 20
_MOST_FORMS = 64
_KEPT = 8  # lines of a form, from its beginning and from its end
_ENOUGH = 4  # lines of a form before anything is said of it
_EPOCHS = EPOCHS | {"e"}
_IN_A_PATH = re.compile(r"[\w.]*/[\w./-]*$|[\w.-]+\.$")
_RATE = re.compile(r"(?:^|_)(?:lr|learning_rate|momentum)(?:_\d+)?$")  # measures nothing alone
_CLOCK = re.compile(r"\d+(?::\d\d)+(?:[.,]\d+)?|\d{4}[-/]\d\d[-/]\d\d")
_OTHERWISE = re.compile(r"%\||^[{|]")  # bars, records and rows of tables have no words to be found by
_WHEN = "\2"  # where one stands
# Digits that a word ends in, too: "Ep3".
_NUMBER = re.compile(
    r"((?:(?<![\w)\]])[-+])?(?<![\d.])(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?|\b(?:nan|inf)\b)",
    re.IGNORECASE | re.ASCII,  # else "ınf" is one, too, and no number
)
_COUNTED = frozenset({*COUNTS, *COUNTS.values()})


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A form of lines that nothing reads."""

    times: int  # lines of it
    told: int  # numbers of one of them that were read
    example: str  # the last one
    template: str  # what may stand under `progress:`; its names are guessed

    @property
    def setting(self) -> str:
        """The line of the task file that describes it."""
        return "progress: ['{}']".format(self.template.replace("'", "''"))


@dataclass(eq=False)
class _Form:
    times: int = 0
    told: int = 0
    fell: set[int] = field(default_factory=set)  # numbers that were less than in the line before
    first: list[Sequence[str]] = field(default_factory=list)  # lines in pieces, as `_NUMBER` parts them
    last: deque[Sequence[str]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    @property
    def lines(self) -> Sequence[Sequence[str]]:
        return [*self.first, *self.last]


class Unread:
    """Collects such lines."""

    def __init__(self) -> None:
        self._forms: dict[str, _Form] = {}

    def take(self, line: str, told: int = 0) -> None:
        """Take a line of which so many measurements were read; one without a fraction has none, and is left alone."""
        text = " ".join(without_prefix(line.strip()).split())
        if len(text) > _LONGEST or "." not in text or _OTHERWISE.search(text) or is_best(text):
            return
        pieces = _NUMBER.split(_CLOCK.sub(_WHEN, text))
        if len(pieces) > 2 * _MOST_NUMBERS or not any(map(is_fraction, pieces[1::2])):
            return
        shape = HOLE.join(pieces[::2])
        if shape not in self._forms and len(self._forms) >= _MOST_FORMS:  # the one that came least gives way
            self._forms.pop(min(self._forms, key=lambda old: self._forms[old].times))
        form = self._forms.setdefault(shape, _Form())
        form.times += 1
        form.told = max(told, form.told)
        if before := form.lines[-1:]:
            pairs = zip(before[0][1::2], pieces[1::2], strict=True)
            form.fell.update(at for at, (one, other) in enumerate(pairs) if number(other) < number(one))
        (form.first if len(form.first) < _KEPT else form.last).append(pieces)

    def suggestions(self, most: int = 3) -> Sequence[Suggestion]:
        """Return what could be described, the form with most lines first."""
        found: list[Suggestion] = []
        for form in sorted(self._forms.values(), key=lambda form: -form.times):
            template = _template(form) if form.times >= _ENOUGH and len(found) < most else None
            if template and _says_more(template, form):
                example = "".join(form.lines[-1]).replace(_WHEN, "…")
                found.append(Suggestion(times=form.times, told=form.told, example=example, template=template.text))
        return found


def _says_more(template: Template, form: _Form) -> bool:
    """Return whether a template has measurements that were not read; among numbers without a word two, at least."""
    if template.whole and (form.told or len(template.names) < 2):
        return False  # of a row of a table that is read in part, what is missing may be anything
    return len({name for name in template.names if not _RATE.search(name)} - _COUNTED) > form.told


def _template(form: _Form) -> Template | None:
    """Return a template that reads each of a form's lines, None where none does."""
    lines = form.lines
    words = lines[0][::2]
    columns = list(zip(*(line[1::2] for line in lines), strict=True))
    names = _names(words, columns, form.fell)
    parts = [word.replace("{", "{{").replace("}", "}}").replace(_WHEN, "{}") for word in words]
    numbers = [column[0] if name is None else f"{{{name}}}" for name, column in zip(names, columns, strict=True)]
    try:
        template = parse("".join(part + number for part, number in zip(parts, [*numbers, ""], strict=True)))
    except ValueError:
        return None
    fits = template.text.isprintable() and all(template.find("".join(line)) for line in lines)
    return template if fits else None


def _names(words: Sequence[str], columns: Sequence[Sequence[str]], fell: Container[int]) -> Sequence[str | None]:
    """Return what each number may be called: "" for one that is not to be read, None for one that never changes."""
    names: list[str | None] = []
    for at, column in enumerate(columns):
        name = _name(HOLE.join(words[: at + 1]), words[at + 1], column, names, anew=at in fell)
        stem, nth = name, 1
        while name and name in names:
            nth += 1
            name = f"{stem}_{nth}"
        names.append(name)
    return names


def _name(before: str, behind: str, column: Sequence[str], so_far: Sequence[str | None], *, anew: bool) -> str | None:
    word, near = last_word(before), before.rpartition(HOLE)[2]
    unit, _, rest = near.partition(" ") if HOLE in before and near[:1].isalpha() else ("", "", near)
    same, whole = len(set(column)) == 1, not any(map(is_fraction, column))
    if same and near.strip() in ("/", "of") and so_far and so_far[-1] in COUNTS:
        return COUNTS[so_far[-1]]
    glued = behind[:1].isalpha()  # "E3b20"
    if whole and (glued or not has_unit(behind)) and (_counts(column) or word in EPOCHS):
        kind = "epoch" if word in _EPOCHS else "batch" if anew else "step"
        taken = {"epoch"} if kind == "epoch" else {"step", "batch"}
        return "" if taken & set(so_far) else kind
    if same and whole:  # as in "top5", or a process, which another run does not have
        return None if before[-1:].isalpha() or before[-1:] == "_" or behind[:1] == "_" else ""
    if has_unit(behind) or _IN_A_PATH.search(before):
        return ""
    name = called(rest if unit else before, behind) if word else ""
    if is_outcome(name) or is_companion(name):
        return "" if name in so_far else name
    if same or whole:
        return ""
    if name and is_worth_naming(name) and name not in STEPS:
        return name
    return "" if word else "value"


def _counts(column: Sequence[str]) -> bool:
    """Return whether whole numbers rise, each perhaps several times; some begin anew, and some lines are not kept."""
    steps = [number(after) - number(before) for before, after in pairwise(column)]
    return max(steps) > 0 and sum(step < 0 for step in steps) <= len(steps) // 3
