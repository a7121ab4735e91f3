"""How a command starts again from a checkpoint, as the task file's `resume:` says it.

    resume: --init_from=resume                     words added to the command
    resume: {commands: [python train.py --go-on]}  in place of `commands`
    resume: off                                    started as at first, whatever the trainer

Without it the machine looks for a trainer whose own flag is known. Either way the checkpoint lies where the script
left it, and `$HOURGLASS_RESUME`, `$HOURGLASS_RESUME_FILE` and `$HOURGLASS_RESUME_STEP` say where and which.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.errors import BadSpec

# What ends a command in a shell's line, or makes of the words behind it something else.
_OPERATORS = frozenset(";&|<>()")
_PAIRS = {"'": "'", '"': '"'}


@dataclass(frozen=True, kw_only=True)
class Resume:
    """What the task file says of it; one of the three."""

    words: str = ""  # added, as a shell writes them
    commands: Sequence[str] = ()  # in place of the others
    off: bool = False


def read_words(text: str) -> Resume:
    """Read the value of `resume:` where it is a single one; raises `BadSpec` on what no shell reads."""
    if text.lower() in ("off", "false", "no"):
        return Resume(off=True)
    if "\n" in text:
        raise BadSpec("`resume` has several lines: words for one command, like `--resume last`, or `{commands: […]}`.")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadSpec(f"`resume: {text}` cannot be read: {error}. Close what is quoted.") from error
    if not words:
        raise BadSpec("`resume` is empty. Write the words that make the script go on, like `--resume last`, or `off`.")
    if words[0] in ("true", "yes", "on", "auto"):
        raise BadSpec(
            f"`resume: {text}` is what happens anyway. Write the words to add, `{{commands: […]}}`, or `off`."
        )
    if mark := _operator(text):
        raise BadSpec(f"`{mark}` in `resume: {text}` would end the command. Write `resume: {{commands: […]}}`.")
    return Resume(words=text)


def again(resume: Resume | None, commands: Sequence[str], argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the commands and the argument list of a start from a checkpoint; both empty where nothing changes.

    Words are added to the last line of `commands`, or to `argv` where a command was typed. Raises `BadSpec` when
    that line ends in something that the words would not reach.
    """
    if resume is None or resume.off:
        return (), ()
    if argv:  # what the file would run instead belongs to the command that was replaced
        return (), (*argv, *shlex.split(resume.words)) if resume.words else ()
    if resume.commands:
        return tuple(resume.commands), ()
    *before, last = commands
    last = last.rstrip()
    line = last.rpartition("\n")[2]
    mark = _operator(line)
    if mark or last.endswith("\\"):
        raise BadSpec(
            f"`resume: {resume.words}` is added to the last line of `commands`, and in `{line.strip()[:80]}` "
            f"`{mark or chr(92)}` stands in its way. Write `resume: {{commands: […]}}` with the whole line."
        )
    return (*before, f"{last} {resume.words}"), ()


def _operator(line: str) -> str:
    """Return the first of a shell's operators or comments in a line that is in no quotes; empty where none is."""
    quote, skip = "", False
    for at, letter in enumerate(line):
        if skip:
            skip = False
        elif letter == "\\" and quote != "'":
            skip = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in _PAIRS:
            quote = letter
        elif letter in _OPERATORS or (letter == "#" and re.search(r"(?:^|\s)$", line[:at])):
            return letter
    return quote
