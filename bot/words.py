"""A line cut into words: before ` -- ` they are ours, after it they are the command's, kept as they are.

The command runs without a shell. What only a shell understands (`&&`, `|`, `$LR`, `$(…)`) would reach the
script as letters, so it is refused where it stands unquoted, and the line that was probably meant, with
`bash -c`, is offered instead. Inside quotes everything is a letter and passes.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jobs.errors import BadRequest

LONGEST_LINE: Final = 4000  # characters; what fits into one message
MOST_ARGUMENTS: Final = 256
SEPARATOR: Final = "--"

_WORD = re.compile(r"""(?:[^\s"']|"(?:\\.|[^"\\])*"|'[^']*')+""", re.DOTALL)
_QUOTED = re.compile(r""""((?:\\.|[^"\\])*)"|'([^']*)'""", re.DOTALL)
_FOR_A_SHELL = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|(?P<shell>&&|\|\||\$\(|\$\{|\$[A-Za-z_]\w*|[;|&<>`\n])""", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word of ours."""

    raw: str  # as typed, quotes included
    text: str  # without the quotes


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line in two parts; `tail` is None where there was no ` -- `."""

    words: Sequence[Word]
    tail: str | None

    def edited(self, changes: Mapping[int, str]) -> str:
        """Return the line with word `i` replaced by `changes[i]`; an empty replacement drops the word."""
        head = [changes.get(index, word.raw) for index, word in enumerate(self.words)]
        return joined([word for word in head if word], self.tail)

    def after(self, count: int) -> Line:
        """Return the line without its first `count` words."""
        return Line(words=self.words[count:], tail=self.tail)


def joined(words: Sequence[str], tail: str | None) -> str:
    """Return the words and the command as one line."""
    return " ".join([*words, *([] if tail is None else [SEPARATOR, tail])])


def split(text: str) -> Line:
    """Cut a normalised line; raises `BadRequest` for control characters, open quotes and endless lines."""
    if len(text) > LONGEST_LINE:
        raise BadRequest(
            f"That line has {len(text)} characters; {LONGEST_LINE} are read. Put what is long into `.hourglass.yml`."
        )
    for letter in text:
        if unicodedata.category(letter) == "Cc" and letter != "\n":
            raise BadRequest(f"There is a control character (U+{ord(letter):04X}) in the line. Type it again without.")
    words: list[Word] = []
    position = 0
    while (position := _skip_space(text, position)) < len(text):
        match = _WORD.match(text, position)
        if match is None or (match.end() < len(text) and not text[match.end()].isspace()):
            raise BadRequest(f"A quote is opened and not closed: `{_shown(text[position:])}`.")
        position = match.end()
        if match[0] == SEPARATOR:
            return Line(words=words, tail=text[position:].strip())
        words.append(Word(raw=match[0], text=_QUOTED.sub(_inside, match[0])))
    return Line(words=words, tail=None)


def arguments(tail: str) -> tuple[str, ...]:
    """Return the command's argument list, word for word.

    Raises `BadRequest` for an empty command, open quotes, and what only a shell would understand; its `fix` is
    then the *command* as a shell would be given it.
    """
    command = tail.replace("\\\n", " ")
    if not command:
        raise BadRequest("Nothing follows ` -- `: write the command there, like `-- python train.py`.")
    for match in _FOR_A_SHELL.finditer(command):
        if match["shell"]:
            sign = "a line break" if match["shell"] == "\n" else f"`{match['shell']}`"
            raise BadRequest(
                f"The command runs without a shell, and {sign} is for one. Quote it, or hand the command to a shell.",
                fix=f"bash -c {shlex.quote(command)}",
            )
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise BadRequest(f"A quote is opened and not closed in the command `{_shown(command)}`.") from error
    if not words or not words[0]:
        raise BadRequest("The command is empty: write one, like `-- python train.py`.")
    if len(words) > MOST_ARGUMENTS:
        raise BadRequest(f"The command has {len(words)} words; {MOST_ARGUMENTS} are read. Put it into a script.")
    return words


def quoted(text: str) -> str:
    """Return `text` as one word of a line."""
    if re.fullmatch(r"[^\s\"'\\]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _inside(match: re.Match[str]) -> str:
    return match[2] if match[1] is None else re.sub(r"\\([\"\\])", r"\1", match[1])


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
