"""Two bots over the same rows and files at once: a deploy that overlaps, or a lock that was lost.

The second one has a memory of its own. It acts on its own beat, and in the midst of what the first one does: after each
commit of its and on both sides of each call, which is where another process can come in between.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from jobs.errors import NotWritten
from tests.simulation.bot import Bot
from tests.support.mortal import Fate, Killed
from trainer.storage import StoreFault

INSIDE = "before a commit"  # nobody else writes there: the database sees to that


class SharedFate(Fate):
    """The first bot's fate; `between` is called where another process may come in, once it is set."""

    def __init__(self, chance: random.Random, share: float = 0.3) -> None:
        super().__init__()
        self.between: Callable[[], None] | None = None
        self._chance, self._share = chance, share
        self._acting = False

    def point(self, name: str) -> None:
        """Pass a point, or die in it; somebody else may act there first."""
        if name != INSIDE and self.between is not None and not self._acting and self._chance.random() < self._share:
            with self.another():
                self.between()
        super().point(name)

    @contextmanager
    def another(self) -> Iterator[None]:
        """Let the second bot act in the block: nobody comes in between what it does."""
        self._acting = True
        try:
            yield
        finally:
            self._acting = False


class Second:
    """The bot beside the first. `woken` are the jobs that it was woken for."""

    def __init__(self, life: Callable[[Callable[[str], None]], Bot], chance: random.Random) -> None:
        self.woken: dict[str, None] = {}
        self.bot = life(self.wake)
        self.acted = 0
        self._chance = chance
        for job_id in self.bot.begin():
            self.wake(job_id)

    def wake(self, job_id: str) -> None:
        """Remember that it should look at a job now."""
        self.woken[job_id] = None

    def act(self, work: Callable[[Bot, str], None]) -> bool:
        """Do one thing that its threads would do; False where it died in it."""
        self.acted += 1
        bot = self.bot
        if self.woken and self._chance.random() < 0.5:
            job_id = next(iter(self.woken))
            del self.woken[job_id]
            act: Callable[[], object] = lambda: work(bot, job_id)  # noqa: E731  one of five
        else:
            act = self._chance.choice(
                (bot.rentals.enforce, bot.notifier.round, bot.follow.round, self._due, self._asks)
            )
        try:
            with suppress(NotWritten, StoreFault):  # as its scheduler does: it comes again
                act()
        except Killed:
            return False
        return True

    def _due(self) -> None:
        for job_id in self.bot.due():
            self.wake(job_id)

    def _asks(self) -> None:
        self.bot.service.expire_due()
        self.bot.service.remind_due()
