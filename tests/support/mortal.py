"""A bot that dies at a chosen point: before or after a commit, before or after a provider's call.

`Fate` counts the points as the story passes them and raises `Killed` at the chosen one. `Killed` is no
`Exception`, so that nothing of the bot's may catch it; what it leaves is what `kill -9` leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session

from jobs.db import Database
from jobs.engine import DEFAULT_PATIENCE
from jobs.providers import Instance, LaunchOrder, Meter, Metered, Need, Offer, Provider


class Killed(BaseException):
    """The process ended here."""


class Fate:
    """Counts the points that a story passes, and makes one of them the last."""

    def __init__(self) -> None:
        self.passed = 0
        self._last: int | None = None
        self._name: str | None = None
        self._nth = 0

    def dies_at(self, number: int) -> None:
        """Let the process die at the point of this number, counted from now."""
        self.passed, self._last = 0, number

    def dies(self, name: str, *, nth: int = 1) -> None:
        """Let the process die at the nth point of this name from now."""
        self._name, self._nth = name, nth

    def spares(self) -> None:
        """Let the process live."""
        self._last = self._name = None

    def point(self, name: str) -> None:
        """Pass a point, or die in it."""
        self.passed += 1
        if name == self._name:
            self._nth -= 1
        if self.passed == self._last or (name == self._name and self._nth == 0):
            self.spares()
            raise Killed(name)


class MortalDatabase(Database):
    """A database whose process may die around each commit."""

    def __init__(self, engine: Engine, fate: Fate) -> None:
        super().__init__(engine)
        self.fate = fate

    @contextmanager
    def write(self, patience: float = DEFAULT_PATIENCE) -> Iterator[Session]:
        """Open a transaction; a death inside it rolls it back, as a killed process does."""
        with super().write(patience) as tx:
            yield tx
            self.fate.point("before a commit")
        self.fate.point("after a commit")


class MortalProvider:
    """A provider whose caller may die before the call is made, or before its answer is read."""

    def __init__(self, provider: Provider, fate: Fate) -> None:
        self.provider, self.fate = provider, fate
        self.traits = provider.traits

    def offers(self, need: Need) -> Sequence[Offer]:
        """Ask for offers."""
        return self.provider.offers(need)

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Ask for a machine."""
        self.fate.point("before launch")
        instance = self.provider.launch(offer, order)
        self.fate.point("after launch")
        return instance

    def find(self, launch_key: str) -> Instance | None:
        """Look a machine up."""
        return self.provider.find(launch_key)

    def list(self) -> Sequence[Instance]:
        """List machines."""
        return self.provider.list()

    def terminate(self, instance: Instance) -> None:
        """Ask for the end."""
        self.fate.point("before terminate")
        self.provider.terminate(instance)
        self.fate.point("after terminate")

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the deadline."""
        self.fate.point("before extend")
        self.provider.extend(instance, deadline)
        self.fate.point("after extend")

    def metered(self, offer: Offer, instance: Instance | None, since: datetime, until: datetime) -> Metered | None:
        """Ask what its time cost."""
        return self.provider.metered(offer, instance, since, until) if isinstance(self.provider, Meter) else None
