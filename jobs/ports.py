"""What the rentals work with, handed in once: clocks, rows, providers, files.

Protocols here are the narrow sides of other modules that rentals need; tests hand in their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from jobs.clock import Clock
from jobs.datakeys import TeamKeys
from jobs.db import Database
from jobs.errors import ProviderError
from jobs.leases import Lender
from jobs.model import Attempt
from jobs.providers import Need, Offer, Provider
from jobs.values import Source
from trainer.storage import Store


class Survey(Protocol):
    """What the providers offer now, and which of them did not answer."""

    @property
    def offers(self) -> Sequence[Offer]:
        """Cheapest whole instance first."""

    @property
    def errors(self) -> Mapping[str, ProviderError]:
        """By provider."""


class Market(Protocol):
    """Where offers come from (`jobs.offers.Desk`)."""

    def survey(self, need: Need, allowed: Sequence[str]) -> Survey:
        """Return what satisfies the need at the allowed providers, all of them where none is named."""


class Packer(Protocol):
    """Who packs a commit (`jobs.source.SourceResolver`)."""

    def pack(self, source: Source, out: Path) -> str:
        """Write the commit's archive to `out` and return its sha256; raises `BadSource`."""


def no_credentials(job: str, attempt: int, deadline: datetime, reads: Sequence[str]) -> Mapping[str, str]:
    """Return nothing: a folder is reached without credentials."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything outside that launching, ending and settling touch."""

    db: Database
    clock: Clock
    providers: Mapping[str, Provider]
    market: Market
    packer: Packer
    store: Store
    store_uri: str  # as machines see it
    home: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # teams' secrets by name
    # Variables with which a machine reaches the store and what else it may read, asked for after the intent is
    # committed.
    credentials: Lender = no_credentials
    # The next ones, for a machine that runs; also for machines whose first ones came with their boot script.
    renew: Lender = no_credentials
    data_keys: TeamKeys = field(default_factory=TeamKeys)
    # Applies what a machine left behind (`Follow.drain`); raises `StoreFault`.
    drain: Callable[[Attempt], int]
    # Called after a commit that changed a job, so that workers look at once.
    wake: Callable[[str], None]


class Claims:
    """Which jobs a thread of this process is launching now: one at a time each, the others pass by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()

    @contextmanager
    def claim(self, job_id: str) -> Iterator[bool]:
        """Take the job for the block; False where another thread has it."""
        with self._lock:
            mine = job_id not in self._taken
            self._taken.add(job_id)
        try:
            yield mine
        finally:
            if mine:
                with self._lock:
                    self._taken.discard(job_id)

    def taken(self, job_id: str) -> bool:
        """Return whether a thread has the job."""
        with self._lock:
            return job_id in self._taken
