"""What is known of this home without its database: records and receipts in the store, machines at the providers.

Nothing is changed here and nothing ends. An object that cannot be read and a provider that does not answer are named,
so that whoever rebuilds knows what may be missing; everything else is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jobs import snapshots
from jobs.errors import ProviderError, StoreError
from jobs.providers import Instance, InstanceState, Provider
from jobs.snapshots import JobRows, TeamRows
from trainer.storage import Store, StoreFault

# A bucket answers each read in some 30 ms however many are asked at once; a folder does not mind.
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that was found."""

    teams: Mapping[str, TeamRows]
    jobs: Mapping[str, JobRows]  # the newest word on each, settled or not
    machines: Sequence[Instance]  # of this home, not gone
    homes: frozenset[str]  # other homes that keep their records in the same store
    unread: Mapping[str, str]  # key -> why it cannot be used
    silent: Mapping[str, str]  # provider -> what it answered


def gather(store: Store, providers: Mapping[str, Provider], home: str) -> Evidence:
    """Read the store and ask every provider; raises `StoreError` where the store itself cannot be read."""
    unread: dict[str, str] = {}
    teams: dict[str, TeamRows] = {}
    jobs: dict[str, JobRows] = {}
    homes: set[str] = set()
    try:
        for key, plain in _objects(store, snapshots.TEAMS, home, unread, homes):
            with _reading(key, unread):
                team = snapshots.team_rows(plain)
                teams[team.team.id] = team
        for folder in (snapshots.RECEIPTS, snapshots.JOBS):
            for key, plain in _objects(store, folder, home, unread, homes):
                with _reading(key, unread):
                    found = snapshots.job_rows(plain)
                    # A crash may have left a record beside the receipt, which is read first.
                    known = jobs.get(found.job.id)
                    if known is None or snapshots.is_newer(found.job, known.job):
                        jobs[found.job.id] = found
    except StoreFault as fault:
        raise StoreError(f"The store cannot be read, so nothing was rebuilt. {fault}") from fault
    machines, silent = _machines(providers, home)
    return Evidence(teams=teams, jobs=jobs, machines=machines, homes=frozenset(homes), unread=unread, silent=silent)


def remembered(store: Store, home: str) -> bool:
    """Say whether the store holds a record of this home's teams; raises `StoreFault`."""
    return any(_objects(store, snapshots.TEAMS, home, {}, set()))


@contextmanager
def _reading(key: str, unread: dict[str, str]) -> Iterator[None]:
    """Note down what cannot be read, and go on."""
    try:
        yield
    except ValueError as error:
        unread[key] = str(error).splitlines()[0]


def _objects(
    store: Store, folder: str, home: str, unread: dict[str, str], homes: set[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    keys = [key for key in store.keys(folder) if key.endswith(".json")]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for key, data in zip(keys, threads.map(store.get, keys), strict=True):
            if data is None:
                continue  # settled in this moment
            with _reading(key, unread):
                whose, rows = snapshots.read(data)
                if whose != home:
                    homes.add(whose)
                elif rows is not None:
                    yield key, rows


def _machines(providers: Mapping[str, Provider], home: str) -> tuple[list[Instance], dict[str, str]]:
    found: list[Instance] = []
    silent: dict[str, str] = {}
    for name, provider in providers.items():
        try:
            listed = provider.list()
        except ProviderError as error:
            silent[name] = str(error)
            continue
        found += [one for one in listed if one.tags.get("home") == home and one.state is not InstanceState.GONE]
    return found, silent
