"""A corrected line is only offered when it works: each `fix` is parsed before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from jobs.errors import BadRequest

Meaning = TypeVar("Meaning")

_MOST_CORRECTIONS: Final = 6  # of one line, one after another; each takes a word that the last one left


def corrected(parse: Callable[[str], Meaning], line: str, prefix: str) -> Meaning:
    """Return `parse(line)`; its `BadRequest` leaves with a fix that parses, `prefix` before it, or with none."""
    try:
        return parse(line)
    except BadRequest as error:
        error.fix = _working(parse, error.fix, prefix)
        raise


def _working(parse: Callable[[str], object], fix: str | None, prefix: str) -> str | None:
    for _ in range(_MOST_CORRECTIONS):
        if fix is None:
            return None
        try:
            parse(fix)
        except BadRequest as error:
            fix = error.fix
        else:
            return f"{prefix} {fix}".strip()
    return None
