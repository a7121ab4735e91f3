"""The words of a `/train` that rents: the repository, `key=value`, and the command after ` -- `.

All words are read before anything is said, so that one answer names every mistake and its fix mends them all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from bot.arguments import ENV, KEYS, OVERRIDES, Wrong, people, read, read_env, reason, stray, unknown
from bot.words import Line, arguments, joined, quoted
from jobs.errors import BadRequest, BadSource
from jobs.repository import split_reference
from jobs.values import Request

_UNIT = re.compile(r"(?:h|hrs?|hours?|m|mins?|minutes?|d|days?)", re.IGNORECASE)
_PROGRAM = re.compile(
    r"(?:python[\d.]*|torchrun|accelerate|deepspeed|bash|sh|make|uv|nvidia-smi|\./\S+|\S+\.(?:py|sh))"
)
_KEYED: Final = re.compile(r"(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)=(?P<value>.*)", re.DOTALL)


def parse_run(line: Line, *, text: str, delivery: str, channel: str, person: str) -> Request:
    """Return the request that `line` makes; raises `BadRequest`, its fix without the leading `/train`."""
    reading = _Reading(line, with_repository=True)
    reading.all_words()
    argv = reading.command()
    reading.raise_complaints()
    return Request(
        delivery=delivery,
        channel=channel,
        person=person,
        repo=reading.repo,
        ref=reading.ref,
        overrides=reading.overrides,
        argv=argv,
        notify=tuple(dict.fromkeys(reading.notify)),
        reason=reading.reason,
        text=text,
    )


def parse_overrides(line: Line) -> dict[str, Any]:
    """Return what `rerun` changes; raises `BadRequest`, its fix being the changed `key=value` words alone."""
    reading = _Reading(line, with_repository=False)
    reading.all_words()
    if line.tail is not None:
        reading.complain("`rerun` keeps the command. For another one, send a new `/train owner/repo@ref … -- command`.")
    reading.raise_complaints()
    return reading.overrides


class _Reading:
    """One pass over the words: what they mean, what is wrong with them, and what they should be instead."""

    def __init__(self, line: Line, *, with_repository: bool) -> None:
        self.line = line
        self.with_repository = with_repository
        self.repo = ""
        self.ref: str | None = None
        self.overrides: dict[str, Any] = {}
        self.notify: list[str] = []
        self.reason = ""
        self._keys: set[str] = set()
        self._last_key = ""
        self._repository_at: int | None = None
        self._changes: dict[int, str] = {}
        self._tail = line.tail
        self._complaints: list[str] = []
        self._stuck = False
        self._bad_repository = False
        self._strays = 0

    def complain(self, message: str, changes: dict[int, str] | None = None) -> None:
        """Note a mistake; `changes` are the words that mend it, None where nobody can guess."""
        self._complaints.append(message)
        self._stuck = self._stuck or changes is None
        self._changes.update(changes or {})

    def raise_complaints(self) -> None:
        """Raise one `BadRequest` for everything that was wrong, if anything was."""
        if self._complaints:
            fix = None if self._stuck else Line(words=self.line.words, tail=self._tail).edited(self._changes)
            raise BadRequest("\n".join(self._complaints), fix=fix)

    def all_words(self) -> None:
        """Read every word before the command."""
        index = 0
        while index < len(self.line.words):
            index = self._word(index)
        if self.with_repository and self._repository_at is None:
            self.complain("Which repository? Write it first, like `acme/vit@main`.")
        elif self.with_repository and self.ref is None and not self._bad_repository:
            self._ask_for_ref()

    def command(self) -> Sequence[str]:
        """Return what followed ` -- ` as an argument list; empty where nothing was said."""
        if self.line.tail is None:
            return ()
        try:
            return arguments(self.line.tail)
        except BadRequest as error:
            self.complain(str(error), None if error.fix is None else {})
            self._tail = error.fix
            return ()

    def _word(self, index: int) -> int:
        """Read the word at `index`; return the index of the next one to read."""
        word = self.line.words[index]
        if taken := self._spaced(index):
            return index + taken
        keyed = _KEYED.fullmatch(word.text)
        if keyed and "/" not in keyed["key"]:
            self._key(index, keyed["key"], keyed["value"])
            return index + 1
        if self.with_repository and self._repository_at is None and self._is_repository(word.text):
            self._repository(index, word.text)
            return index + 1
        return self._stray(index, word.text)

    def _spaced(self, index: int) -> int:
        """Complain of `hours =4`, `hours= 4`, `hours = 4`; return how many words that took, 0 for none."""
        words = [word.text for word in self.line.words[index : index + 3]]
        alone = len(words) > 1 and re.fullmatch(r"[A-Za-z_.]+", words[0]) is not None
        taken = 0
        if alone and words[1] == "=" and len(words) > 2:
            taken = 3
        elif (alone and words[1].startswith("=") and len(words[1]) > 1) or (
            len(words) > 1 and re.fullmatch(r"[A-Za-z_.]+=", words[0]) and "=" not in words[1] and "/" not in words[1]
        ):
            taken = 2
        if taken:
            raws = [word.raw for word in self.line.words[index : index + taken]]
            self.complain(
                f"`{' '.join(raws)}`: no spaces around `=`. Write `{''.join(raws)}`.",
                {index: "".join(raws), **{index + step: "" for step in range(1, taken)}},
            )
        return taken

    def _key(self, index: int, typed: str, value: str) -> None:
        key = typed.lower()
        env = key.startswith(ENV)
        name = typed if env else key
        if name in self._keys and key != "notify":
            self.complain(f"`{typed}=` is said twice. Keep one.")
            return
        self._keys.add(name)
        self._last_key = key
        try:
            if env:
                variable, text = read_env(typed, value)
                self.overrides.setdefault("env", {})[variable] = text
            elif key in OVERRIDES:
                self.overrides[key] = read(key, value)
            elif key in KEYS and self.with_repository:
                self._about_people(key, value)
            elif key in KEYS:
                self.complain(f"`{key}=` belongs to a new `/train`; `rerun` takes {', '.join(OVERRIDES)} and env.NAME.")
            else:
                raise unknown(typed, value)
        except Wrong as wrong:
            self.complain(str(wrong), None if wrong.instead is None else {index: wrong.instead})

    def _about_people(self, key: str, value: str) -> None:
        if not value:
            read(key, value)
        if key == "notify":
            self.notify += people(value)
        else:
            self.reason = reason(value)

    def _is_repository(self, text: str) -> bool:
        return "/" in text or ("@" in text and not text.startswith(("@", "<@")))

    def _repository(self, index: int, text: str) -> None:
        self._repository_at = index
        try:
            self.repo, self.ref = split_reference(text)
        except BadSource as error:
            self._bad_repository = True
            self.complain(str(error))

    def _ask_for_ref(self) -> None:
        at = self._repository_at or 0
        self.complain(
            f"Which commit of `{self.repo}`? Write a branch, a tag or a sha behind an `@`, like `{self.repo}@main`.",
            {at: f"{self.line.words[at].raw.rstrip('@')}@main"},
        )

    def _stray(self, index: int, text: str) -> int:
        words = self.line.words
        if self._last_key == "hours" and _UNIT.fullmatch(text) and index and words[index - 1].text[-1:].isdigit():
            together = words[index - 1].raw + text
            self.complain(
                f"`{words[index - 1].raw} {text}`: write the time as one word, `{together}`.",
                {index - 1: together, index: ""},
            )
            return index + 1
        if text.startswith("@") and self.repo and self.ref is None:
            at = self._repository_at or 0
            self.ref = text[1:]
            together = words[at].raw + text
            self.complain(f"Write repository and ref as one word: `{together}`.", {at: together, index: ""})
            return index + 1
        if self._last_key == "reason" and index and "=" in words[index - 1].text:
            return self._unquoted_reason(index)
        return self._lone(index, text)

    def _unquoted_reason(self, index: int) -> int:
        words = self.line.words
        end = index
        while end < len(words) and not _KEYED.fullmatch(words[end].text):
            end += 1
        said = " ".join([self.reason, *(word.text for word in words[index:end])])
        self.complain(
            f"A reason of several words stands in quotes: `reason={quoted(said)}`.",
            {index - 1: f"reason={quoted(said)}", **dict.fromkeys(range(index, end), "")},
        )
        return end

    def _lone(self, index: int, text: str) -> int:
        words = self.line.words
        meant = stray(text, has_gpu="gpu" in self._keys, has_hours="hours" in self._keys)
        if meant:
            self._keys.add(meant.partition("=")[0])
            self.complain(f"`{text}` stands alone; did you mean `{meant}`?", {index: meant})
            return index + 1
        program = _PROGRAM.fullmatch(text.removeprefix("--"))
        if program and self.line.tail is None and self.with_repository:
            command = joined([program[0], *(word.raw for word in words[index + 1 :])], None)
            self._tail = command
            self.complain(
                f"`{text}`: the command stands after ` -- `, like `-- {command}`.",
                dict.fromkeys(range(index, len(words)), ""),
            )
            return len(words)
        self._strays += 1
        if self._strays > 1:
            return index + 1  # one of them is enough to be told about
        if text.startswith("-"):
            self.complain(f"`{text}` begins with `-`. Options of the command stand after ` -- `; ours are `key=value`.")
        else:
            self.complain(f"`{text}` is not `key=value`. A command stands after ` -- `, like `-- python train.py`.")
        return index + 1
