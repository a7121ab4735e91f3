"""The end that nobody can catch: a process that kills itself with SIGKILL at a point chosen beforehand.

`Fate` counts the points as they are passed. `MortalDatabase` puts three of them around every commit, named after the
function that opened the transaction; `tests.crashes.cloud.Driver` puts three around every call of a provider.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlmodel import Session

from jobs.db import Database
from jobs.engine import DEFAULT_PATIENCE
from tests.crashes.points import POINTS, Position

# A broken rule may commit where the real code does not.
MUTANTS = "tests.crashes.mutants."


class Unregistered(BaseException):
    """A commit or a call that the table does not name; no `except Exception` may hide it."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """Where a process ends: at the `nth` passing of `point`, or of any point where none is named."""

    point: str = ""
    nth: int
    position: Position


@dataclass(kw_only=True)
class Fate:
    """Counts what is passed and ends the process where its death is due; None: it lives."""

    death: Death | None = None
    # Says a last word to whoever counts the dead.
    last_word: Callable[[str, Position], None] = lambda point, position: None
    # What somebody else does just after a commit of that name, as another thread of the bot would; once.
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _all: int = 0

    def point(self, name: str, position: Position) -> None:
        """Pass a point, or die in it. Raises `Unregistered`."""
        if name not in POINTS and not name.startswith(MUTANTS):
            raise Unregistered(f"{name} is not in tests/crashes/points.py: is it to be killed at?")
        if position is Position.BEFORE:
            self.passed.append(name)
            self._counts[name] += 1
            self._all += 1
        due = self.death
        if due is None or due.position is not position:
            return
        if due.nth == (self._counts[name] if due.point == name else 0 if due.point else self._all):
            self.last_word(name, position)
            os.kill(os.getpid(), signal.SIGKILL)


class MortalDatabase(Database):
    """A database whose process may end before, in and after each of its commits."""

    def __init__(self, engine: Engine, fate: Fate) -> None:
        super().__init__(engine)
        self.fate = fate

    def write(self, patience: float = DEFAULT_PATIENCE) -> AbstractContextManager[Session]:
        """Open one transaction, named after its caller."""
        caller = sys._getframe(1)
        name = f"{caller.f_globals['__name__']}.{caller.f_code.co_qualname}"
        return self._write(name, patience)

    @contextmanager
    def _write(self, name: str, patience: float) -> Iterator[Session]:
        self.fate.point(name, Position.BEFORE)
        with super().write(patience) as tx:
            yield tx
            tx.flush()
            self.fate.point(name, Position.BETWEEN)
        self.fate.point(name, Position.AFTER)
        if (other := self.fate.meanwhile.pop(name, None)) is not None:
            other()


def often(passed: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return every passing of every point as (name, which), in the order of names."""
    return [(name, nth) for name in sorted(passed) for nth in range(1, passed[name] + 1)]
