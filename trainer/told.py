"""What people are told of checkpoints: each thing once, and of so many of one kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_NAMED = 5  # files that a notice names, and things of one kind that are told of


class Told:
    """Remembers what was told."""

    def __init__(self, notice: Callable[[str, str], None]) -> None:
        """`notice` takes a code and the words."""
        self._notice = notice
        self._said: dict[str, set[str]] = {}  # by code

    def once(self, key: str, code: str, text: str) -> None:
        """Tell of a thing once, and of so many of one code."""
        said = self._said.setdefault(code, set())
        if key in said or len(said) == _NAMED:
            return
        said.add(key)
        self._notice(code, text if len(said) < _NAMED else f"{text} More of this kind are not told of.")


def listed(names: Sequence[str]) -> str:
    """Return files' names in a sentence, the first of many."""
    told = ", ".join(ascii(name)[1:-1][:60] for name in names[:_NAMED])
    return told if len(names) <= _NAMED else f"{told} and {len(names) - _NAMED} more"
