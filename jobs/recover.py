"""A lost or older database brought up to what the store and the providers know, before anything may end.

Whatever is found is written in one transaction; no provider is asked for anything but its listing. What was restored
is what the bot then enforces: every deadline, hold and machine. It may be done again, and then changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlmodel import Session

from jobs import evidence, foundlings, restoring
from jobs.clock import Clock
from jobs.db import Database
from jobs.evidence import Evidence
from jobs.providers import Provider
from jobs.restoring import Report
from trainer.storage import Store


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a recovery had to go by, and what it did with it."""

    evidence: Evidence
    report: Report

    @property
    def whole(self) -> bool:
        """Whether nothing stayed unread and every provider answered."""
        return not self.evidence.unread and not self.evidence.silent


class _Undone(Exception):
    """Thrown to leave a transaction without its changes."""


def nothing_more(tx: Session, report: Report) -> None:
    """Do nothing."""


def recover(
    *,
    db: Database,
    store: Store,
    providers: Mapping[str, Provider],
    clock: Clock,
    home: str,
    zone: str,
    dry: bool = False,
    then: Callable[[Session, Report], None] = nothing_more,
) -> Found:
    """Rebuild the rows of `home`; `dry` leaves the database as it was.

    `then` runs in the same transaction. Raises `StoreError` or `NotWritten`, and nothing was changed then.
    """
    found = evidence.gather(store, providers, home)
    now = clock.now()
    report = Report()
    try:
        with db.write() as tx:
            months = restoring.Months(tx, found.teams, zone=zone, now=now, report=report)
            restoring.rebuild(tx, found, months, report, now)
            traits = {name: provider.traits for name, provider in providers.items()}
            foundlings.match(tx, found.machines, months, report, traits=traits, now=now)
            restoring.sum_up(tx, report)
            then(tx, report)
            if dry:
                raise _Undone
    except _Undone:
        pass
    return Found(evidence=found, report=report)
