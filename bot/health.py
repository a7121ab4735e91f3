"""Whether the promises are being kept right now, said in words; what `/healthz` answers and a pager reads.

Everything is read from rows in one look, by columns that have an index: a check that is made each few seconds never
waits for a writer and never makes one wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, func, select

from bot import outbox
from jobs.clock import Clock
from jobs.db import Database
from jobs.lifecycle import AttemptState
from jobs.model import Attempt, Mark

ENFORCED_WITHIN = timedelta(seconds=90)  # three passes; older means that nobody ends machines
TOLD_WITHIN = timedelta(minutes=15)  # Slack's own incidents are mostly shorter, and a backlog is worked off in less
HEARD_WITHIN = timedelta(minutes=2)  # Slack closes and reopens Socket Mode every few hours; that takes seconds
ENDED_WITHIN = timedelta(minutes=5)  # a provider that takes longer to end a machine needs a person


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What health is judged by, and what the metrics show of it."""

    enforced_at: datetime | None  # the last enforcing pass; None: none has run yet
    owed_since: datetime | None  # the oldest message that nobody was sent; None: nothing waits
    ending_since: datetime | None  # the oldest end that was asked for and is not confirmed


def pulse(tx: Session) -> Pulse:
    """Read the pulse."""
    enforced = tx.get(Mark, "enforced")
    ending = select(func.min(Attempt.end_asked_at)).where(col(Attempt.state) == AttemptState.ENDING)
    return Pulse(
        enforced_at=enforced.at if enforced else None,
        owed_since=outbox.oldest_owed(tx),
        ending_since=tx.exec(ending).one(),
    )


class Line:
    """Whether Slack can reach the bot by Socket Mode; over HTTP nobody watches, and it counts as up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._up: Callable[[], bool] = lambda: True
        self._down: datetime | None = None  # since when, as far as anybody asked

    def watch(self, up: Callable[[], bool]) -> None:
        """Ask `up` from now on."""
        self._up = up

    def trouble(self) -> str | None:
        """Return what is wrong, in words. The connection is made again by its client; this only tells."""
        now = self._clock.now()
        self._down = None if self._up() else self._down or now
        if self._down is None or now - self._down <= HEARD_WITHIN:
            return None
        return f"Socket Mode is down since {_told(self._down)}: nothing typed or pressed arrives. Deadlines are kept."


@dataclass(frozen=True, kw_only=True)
class Health:
    """Asked by `/healthz`; safe between threads."""

    db: Database
    clock: Clock
    line: Line | None = None

    def troubles(self) -> list[str]:
        """Return what is wrong, in words; empty when nothing is."""
        try:
            with self.db.read() as tx:
                seen = pulse(tx)
        except SQLAlchemyError as error:
            return [f"The database cannot be read ({type(error).__name__})."]
        unheard = self.line.trouble() if self.line else None
        return [*judge(seen, self.clock.now()), *([unheard] if unheard else [])]


def judge(seen: Pulse, now: datetime) -> list[str]:
    """Return what is wrong with a pulse, in words."""
    found = []
    if seen.enforced_at is None:
        found.append("No enforcing pass has run yet.")
    elif now - seen.enforced_at > ENFORCED_WITHIN:
        found.append(f"The last enforcing pass was {(now - seen.enforced_at).total_seconds():.0f} s ago.")
    elif seen.enforced_at - now > ENFORCED_WITHIN:
        # The clock was set back; until the next pass nobody can say how old that mark is.
        found.append("The last enforcing pass is marked in the future: was the clock set back?")
    if seen.owed_since is not None and now - seen.owed_since > TOLD_WITHIN:
        found.append(f"A message for Slack has waited since {_told(seen.owed_since)}.")
    if seen.ending_since is not None and now - seen.ending_since > ENDED_WITHIN:
        found.append(f"A machine was told to end at {_told(seen.ending_since)} and is not confirmed gone.")
    return found


def _told(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
