"""Lines of progress as a team describes them: the line as it is printed, with braces where its numbers stand.

    ep {epoch}/{epochs} it {batch}/{batches} :: L {loss} A {val_acc}%

`{step}` counts from the start of the run, `{epoch}` epochs, `{batch}` within one; `{steps}`, `{epochs}` and
`{batches}` are how many there are. Any other name is a series. `{}` stands for whatever is there. A space stands for
any, and before a number there may be more or none. What stands before a template and behind it does not matter, unless
it has no word of its own: then it is the whole line. One without a name is of lines that are to be left alone. `{{` and
`}}` are braces. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTS = {"step": "steps", "epoch": "epochs", "batch": "batches"}  # each with how many there are
_WHOLE = frozenset({*COUNTS, *COUNTS.values()})
_LONGEST, _MOST_FIELDS = 400, 24
_ANYTHING = re.compile(r" ?(?<!\{)\{ *\}(?!\})")
_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|(?P<brace>[{}])|(?P<text>[^{}]+)")
NAME = re.compile(r"\d{0,3}[A-Za-z_][\w@./-]{0,59}")
# A number is taken whole or not at all, without the point that ends a sentence: "0,534" is none that is read. Where the
# next one stands right behind a comma, a comma parts them. Of bounded length: a line may be made to keep us busy.
_BARE = r"(?:\d{1,40}(?:\.\d{1,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?|[nN]a[nN]\b|[iI]nf(?:inity)?\b"
_NUMBER = rf"[-+]?(?:[1-9]\d{{0,2}}(?:,\d{{3}})+(?:\.\d{{1,40}})?|{_BARE})", r"(?!\d|[.,]\d)"
_PARTED_NUMBER = rf"[-+]?(?:{_BARE})", r"(?!\d|\.\d)"
_PARTED = re.compile(r",\{(?!\{)")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A line as it is described."""

    text: str
    # What stands between `{}` and `{}`, looked for one after another, with the names of its numbers: never goes back,
    # so that no line costs more than its length.
    pieces: Sequence[tuple[re.Pattern[str], Sequence[str]]]
    whole: bool  # it has no word of its own, and is the whole line

    @property
    def names(self) -> Sequence[str]:
        """What its numbers are called, in their order."""
        return [name for _, names in self.pieces for name in names]

    def find(self, line: str) -> Mapping[str, str] | None:
        """Return the numbers of a line by their names, None where it is no such line; a run of space is one space."""
        found: dict[str, str] = {}
        at = 0
        for pattern, names in self.pieces:
            match = pattern.search(line, at)
            if match is None:
                return None
            found.update(zip(names, match.groups(), strict=True))
            at = match.end()
        return found


def parse(text: str, *, begins: bool = False, ends: bool = False) -> Template:
    """Read a template, that `begins` the line and `ends` it or not.

    Raises `ValueError` with a sentence that says what is wrong with it.
    """
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        raise ValueError(f"`{text[:40]}…` is longer than {_LONGEST} characters. A part of the line will do")
    pieces: list[tuple[str, list[str]]] = [("", [])]
    words = after_number = False
    compact = _ANYTHING.sub("{}", text)
    for token in _TOKEN.finditer(compact):
        pattern, names = pieces[-1]
        if token["brace"]:
            raise ValueError(f"a brace in `{text}` has no other. One that is printed is written twice: `{{{{`")
        if token["name"] is None:
            literal = token["text"] or token.group()[0]
            words = words or any(map(str.isalpha, literal))
            pieces[-1] = pattern + _literal(literal, after_number=after_number), names
            after_number = False
        elif not token["name"]:
            pieces.append(("", []))
            after_number = False
        elif after_number:
            raise ValueError(f"`{token.group()}` in `{text}` stands directly behind another number. Nothing parts them")
        else:
            name = _name(token["name"].strip(), text)
            pieces[-1] = (
                pattern + _number(len(names) + 1, parted=bool(_PARTED.match(compact, token.end()))),
                [*names, name],
            )
            after_number = True
    _check(text, [name for _, names in pieces for name in names], words=words)
    if begins or not words:
        pieces[0] = rf"^\s*{pieces[0][0]}", pieces[0][1]
    if ends or not words:
        pieces[-1] = rf"{pieces[-1][0]}\s*$", pieces[-1][1]
    compiled = tuple((re.compile(pattern), tuple(names)) for pattern, names in pieces if pattern)
    return Template(text=text, pieces=compiled, whole=not words)


def _number(group: int, *, parted: bool) -> str:
    """Return a pattern for a number; once found it is not gone back on, so that no line keeps us busy."""
    number, ends = _PARTED_NUMBER if parted else _NUMBER
    return rf" ?(?<!\d)(?<!\d\.)(?=({number}))\{group}{ends}"


def _literal(text: str, *, after_number: bool) -> str:
    """Return a pattern for what is printed as it is; the space before a number is that number's."""
    bare = text.rstrip(" ")
    if not bare:
        return " " if after_number else ""
    return re.escape(bare) + (" ?" if bare != text else "")


def _name(text: str, template: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"`{{{text}}}` in `{template}` is no name: letters, digits and `_`, like `{{val_loss}}`")
    return re.sub(r"[./-]+", "_", text.lower())


def _check(text: str, names: Sequence[str], *, words: bool) -> None:
    if not names and not words:
        raise ValueError(f"`{text}` says nothing. Write a line as it is printed, like `step {{step}} loss {{loss}}`")
    if len(names) > _MOST_FIELDS:
        raise ValueError(f"`{text[:40]}…` names more than {_MOST_FIELDS} numbers")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"`{{{twice}}}` stands twice in `{text}`. Keep one; `{{}}` stands for what is not read")
    if "step" in names and "batch" in names:
        raise ValueError(
            f"`{text}` has both `{{step}}`, from the run's start, and `{{batch}}`, within an epoch. Keep one"
        )
