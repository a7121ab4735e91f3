"""The kinds of lines that a run prints, and what the table of formats finds in them.

Two lines of one kind differ by their digits alone, and by how far a bar is drawn. The readers get the first two; what
they find tells where the next ones have their numbers (`trainer.stencils`), or that they have none that matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from trainer import drawn, generic, stencils
from trainer.formats import Reading
from trainer.names import may_measure
from trainer.series import ROWS
from trainer.stencils import Stencil, Word

_NUMERIC = re.compile(r"\d|nan|inf")  # without one of these a line measures nothing
# Which digits a number has decides what JSON and the lines of a COCO evaluation say.
_BY_DIGITS = ('{"', "IoU=")
_TRIES = 6  # to find where a kind has its numbers
_MOST, _WIDEST = 512, 1_000  # kinds that are remembered, and how long their lines may be


class Found(NamedTuple):
    """What the readers find in a line."""

    row: float  # of the table of formats, -1 for none
    reading: Reading | None
    named: bool  # it may name a measurement; not asked where a reader found something


Explain = Callable[[str, Found], Found]  # what a line says with what is known of the code that printed it


def by_readers(text: str) -> Found:
    """Return what the first reader finds that finds something."""
    lower = text.lower()
    named: bool | None = None
    if _NUMERIC.search(lower):
        for row, hint, read in ROWS:
            if hint is None and named is None:
                named = may_measure(lower) or generic.names_epoch(lower)
            if (named if hint is None else hint in lower) and (reading := read(text)):
                return Found(row, reading, True)
    return Found(-1.0, None, may_measure(lower) if named is None else named)


class Kind:
    """What is known of lines of one kind."""

    __slots__ = ("_barren", "_last", "_learns", "_read", "_stencil", "_tries", "heads")

    def __init__(self, read: Callable[[str], Found] = by_readers) -> None:
        self.heads = True  # one of them may be a heading
        self._read = read
        self._last: tuple[tuple[str, Found], ...] = ()  # the last two that the readers got
        self._learns = False  # those have not been compared
        self._tries = 0
        self._stencil: tuple[Stencil, Found] | None = None
        self._barren: tuple[Sequence[Word], Found] | None = None  # in one with these words no reader finds anything

    def read(self, text: str) -> Found:
        """Return what the readers would find in `text`, a line of this kind."""
        if self._learns:
            self._learn()
        if self._stencil is not None:
            stencil, found = self._stencil
            if reading := stencil.read(text):
                return Found(found.row, reading, found.named)
        elif self._barren is not None and stencils.has(text, self._barren[0]):
            return self._barren[1]
        found = self._read(text)
        self._last = *self._last[-1:], (text, found)
        self._learns = len(self._last) == 2 and self._tries < _TRIES
        return found

    def _learn(self) -> None:
        """Compare the last two lines: only now, for of many kinds no third one comes."""
        (text, found), (other, same) = self._last
        self._learns, self._tries = False, self._tries + 1
        self._stencil = self._barren = None
        text, other = drawn.emptied(text), drawn.emptied(other)
        if found.row != same.row or any(mark in text for mark in _BY_DIGITS):
            return
        if found.reading is not None and same.reading is not None:
            stencil = stencils.stencil(text, found.reading, other, same.reading)
            self._stencil = stencil and (stencil, found)
        elif stencils.has(other, words := stencils.words(text)):
            self._barren = words, found


class Kinds:
    """The kinds of lines that came last."""

    def __init__(self, explain: Explain = lambda _, found: found) -> None:
        """Read lines by the table of formats, and by what `explain` makes of that."""
        self._read = lambda text: explain(text, by_readers(text))
        self._kinds: dict[bytes, Kind] = {}

    def of(self, text: str) -> Kind:
        """Return the kind of a line; one that is very long is always the first of its kind."""
        if len(text) > _WIDEST:
            return Kind(self._read)
        key = stencils.kind(drawn.emptied(text))
        found = self._kinds.get(key)
        if found is None:
            if len(self._kinds) >= _MOST:
                self._kinds.clear()
            found = self._kinds[key] = Kind(self._read)
        return found
