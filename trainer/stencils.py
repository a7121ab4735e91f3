"""Lines that differ by their digits alone: where two of them had their numbers, the next ones have theirs.

Most lines of a log are of such a kind. A reader goes by which characters are digits, and hardly ever by which digits
they are: only where a name has some, where a count is more than its total, and in a few lines that are never read like
this (`_turns`). Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from trainer.formats import Reading
from trainer.numbers import number

_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
# Of bounded length: a line may be made to keep us busy.
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]{0,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?")
_CLOCK = re.compile(r"\d{1,9}(?::\d{1,9}){1,4}")
_PAIR = re.compile(
    r"(\d(?<![\d.,/]\d)[\d,]{0,40})\s*(?:/|\bof\b|\bout of\b)\s*(\d[\d,]{0,40})(?![\d/]|[.,]\d)", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+")
# A name may have digits: "acc5", "'recall top 5':", "Hits @5", "5-shot", "fold 2's".
_WORD = re.compile(
    r"(?<![\w./@-])[./@-]*[A-Za-z_][\w./@-]*\d[\w./@-]*|['\"][^'\"]*\d[^'\"]*['\"](?=:)|(?<= )@\d+"
    r"|(?<![\w.])\d+(?=[_-][A-Za-z]|'s )"
)
_PART_COUNTS = re.compile(r"[eE](?i:poch:)\s*\[?\d+\.\d")  # "Epoch: [3.00]"
_OWN_STEP = re.compile(r"(?:iter(?:ation)?|step|batch)s?[\s:=#]*\d+[\s:,|/]")  # it may be a bar's or not
_BROKEN = re.compile(r"[.eE]")
_NO_PACE = re.compile(r"0(?<![\d.]0)0*(?:\.0*)?\s?(?:ms|[A-Za-z]+/s|s/[A-Za-z]+)(?!\w)")
_MOST = 48  # numbers in a line that is worth it
_VALUES, _BAR = map(Reading._fields.index, ("values", "bar"))

_Span = tuple[int, int]
Word = tuple[int, int, str]  # from where to where it stands
_Place = tuple[int, int, Callable[[str], float]]  # from where to where a number stands, and how it is read


def kind(text: str) -> bytes:
    """Return what lines have in common that differ by their digits alone."""
    return text.encode("utf-8", "surrogatepass").translate(_ZEROS)


def words(text: str) -> Sequence[Word]:
    """Return the words of a line that have digits, for lines of one kind may differ by those of a name."""
    return [(*found.span(), found.group()) for found in _WORD.finditer(text)]


def has(text: str, words: Sequence[Word]) -> bool:
    """Return whether words that have digits stand in `text` where they stood in another line of its kind."""
    for start, end, word in words:  # noqa: SIM110  as cheap as it gets
        if text[start:end] != word:
            return False
    return True


class Stencil(NamedTuple):
    """Where the lines of one kind have what they say."""

    reading: Reading  # of one of them
    words: Sequence[Word]  # that have digits
    pairs: Sequence[tuple[slice, slice]]  # counts and their totals
    # Where numbers stand; of several places that may be meant, all have to have the same.
    fields: Sequence[tuple[int, Sequence[_Place]]]
    values: Sequence[tuple[str, Sequence[_Place]]]
    bar: slice | None  # where the name of a bar stands, if it has digits

    def read(self, text: str) -> Reading | None:
        """Return what a line of this kind says, or None where only its reader can tell."""
        if self.words and not has(text, self.words):
            return None
        for count, total in self.pairs:
            if number(text[count]) > number(text[total]):
                return None
        fields: list[object] = list(self.reading)
        values: dict[str, float] = {}
        try:
            for at, places in self.fields:
                if (found := _agreed(text, places)) is None:
                    return None
                fields[at] = found
            for name, places in self.values:
                if (found := _agreed(text, places)) is None:
                    return None
                values[name] = found
        except ZeroDivisionError:  # of a pace
            return None
        fields[_VALUES] = values
        if self.bar is not None:
            fields[_BAR] = text[self.bar]
        return Reading._make(fields)


def _agreed(text: str, places: Sequence[_Place]) -> float | None:
    """Return the number that stands in all of these places, None where they differ."""
    start, end, how = places[0]
    found = how(text[start:end])
    if len(places) > 1 and any(how(text[start:end]) != found for start, end, how in places):
        return None
    return found


def stencil(one: str, reading: Reading, other: str, same: Reading) -> Stencil | None:
    """Return where two lines of one kind, `one` and `other`, have what they say, None where that does not show."""
    if reading.values.keys() != same.values.keys() or _turns(one, reading):
        return None
    digits = words(one)
    if not has(other, digits):
        return None
    pairs = [(slice(*found.span(1)), slice(*found.span(2))) for found in _PAIR.finditer(one)]
    if any(number(text[count]) > number(text[total]) for count, total in pairs for text in (one, other)):
        return None
    numbers, clocks = _numbers(one, other), _clocks(other) if reading.eta is not None else {}
    fields: list[tuple[int, Sequence[_Place]]] = []
    for at, (name, first, second) in enumerate(zip(Reading._fields, reading, same, strict=True)):
        if name in _HOWS and isinstance(first, int | float) and isinstance(second, int | float):
            hows = _WHOLE_EPOCH if name == "epoch" and isinstance(first, int) else _HOWS[name]
            fields.append((at, _fitting(clocks if name == "eta" else numbers, hows, one, first, second)))
        elif at not in (_VALUES, _BAR) and first != second:
            return None
    values = [(name, _fitting(numbers, _IS, one, value, same.values[name])) for name, value in reading.values.items()]
    bar = _spelled(one, reading.bar, other, same.bar)
    if bar is None and (reading.bar != same.bar or _DIGITS.search(reading.bar or "")):
        return None
    if len(numbers) > _MOST or not all(places for _, places in (*fields, *values)):
        return None
    return Stencil(reading, digits, pairs, fields, values, bar)


def _turns(text: str, reading: Reading) -> bool:
    """Return whether numbers of a line decide what is read of others."""
    if reading.rate is None and _NO_PACE.search(text):
        return True
    return (
        bool(_PART_COUNTS.search(text))
        or "'iter'" in text
        or "/? [" in text  # a bar's first one, "0/?", counts nothing
        or (reading.bar is not None and bool(_OWN_STEP.search(text.lower())))
    )


class _How(NamedTuple):
    """A way in which readers take a number."""

    read: Callable[[str], float]
    printed: Callable[[float], float]  # the number that was printed where this one was read
    whole: bool = False  # it has no point


def _numbers(one: str, other: str) -> Mapping[float, Sequence[_Span]]:
    """Return the numbers of the second of two lines, and where they stand.

    They stand there with their signs and without, and the parts of those that have commas by themselves.
    """
    found = defaultdict[float, list[_Span]](list)
    for at in _NUMBER.finditer(one):
        start, end = at.span()
        found[number(other[start:end])].append((start, end))
        if one[start] in "+-":
            found[number(other[start + 1 : end])].append((start + 1, end))
        if "," in at.group():
            for part in _DIGITS.finditer(one, start, end):
                found[number(other[part.start() : part.end()])].append(part.span())
    return found


def _clocks(other: str) -> Mapping[float, Sequence[_Span]]:
    """Return the times of the second of two lines, in seconds, and where they stand."""
    found = defaultdict[float, list[_Span]](list)
    for at in _CLOCK.finditer(other):
        found[_seconds(at.group())].append(at.span())
    return found


def _reads(how: _How, word: str, one: float) -> bool:
    try:
        return how.read(word) == one
    except ZeroDivisionError:  # of a pace
        return False


def _fitting(
    numbers: Mapping[float, Sequence[_Span]], hows: Sequence[_How], text: str, one: float, other: float
) -> list[_Place]:
    """Return where a number may stand that is `one` in the first line, `text`, and `other` in the second."""
    places: list[_Place] = []
    for how in hows:
        for start, end in numbers.get(how.printed(other), ()):
            word = text[start:end]
            if not (how.whole and _BROKEN.search(word)) and _reads(how, word, one):
                places.append((start, end, float if how.read is number and "," not in word else how.read))
    return places


def _spelled(one: str, name: str | None, other: str, same: str | None) -> slice | None:
    """Return where the name of a bar stands in both lines, None where it has no digits or does not stand there."""
    if not name or not same or not _DIGITS.search(name):
        return None
    start, end = one.find(name), one.find(name) + len(name)
    return slice(start, end) if start >= 0 and other[start:end] == same else None


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


def _seconds(text: str) -> float:
    """Return the seconds of "1:02:03"."""
    return float(sum(60**power * int(part) for power, part in enumerate(reversed(text.split(":")))))


def _pace(text: str) -> float:
    pace = number(text)
    if not pace:
        raise ZeroDivisionError  # only its reader knows what to think of that
    return pace


def _as_it_is(one: float) -> float:
    return one


def _one_more(one: float) -> float:
    return one + 1


_IS = (_How(number, _as_it_is),)
_WHOLE = (_How(_whole, _as_it_is, whole=True),)
_WHOLE_EPOCH = (*_WHOLE, _How(lambda text: _whole(text) - 1, _one_more, whole=True))
_HOWS: Mapping[str, Sequence[_How]] = {
    "step": _WHOLE,
    "total": _WHOLE,
    "epoch": (*_IS, _How(lambda text: number(text) - 1, _one_more, whole=True)),  # or counted from one
    "epochs": _WHOLE,
    "eta": (_How(_seconds, _as_it_is),),
    "rate": (  # steps a second, seconds a step, milliseconds a step
        _How(_pace, _as_it_is),
        _How(lambda text: 1 / number(text), lambda rate: round(1 / rate, 9)),
        _How(lambda text: 1000 / number(text), lambda rate: round(1000 / rate, 9)),
    ),
}
