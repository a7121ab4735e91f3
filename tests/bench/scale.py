"""What a busy bot costs: a round over thousands of running jobs, and a hold beside a million entries.

The database is a file with every commit synced, the store a folder; the cloud is the tests' own, in memory, and
answers at once. The curve's points are taken in one world that grows.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import psutil
from sqlalchemy import insert
from sqlmodel import select, update

from jobs import ledger
from jobs.db import Database
from jobs.model import DOLLAR, Entry, EntryKind, Period, Team
from tests.bench.figures import Figure
from tests.support.builders import a_spec
from tests.support.clock import START
from tests.support.world import Agent, World

SIZES = (100, 1_000, 2_000, 5_000)
BUSY = 2_000  # jobs of the goal
ROUNDS = 3
EVERY = 5.0  # seconds between a machine's chunks
SMALL, LARGE = 1_000, 1_000_000  # ledger entries
HOLDS = 300
AT_ONCE = 10_000


def rounds() -> list[Figure]:
    """Let each of so many running jobs write a chunk, and follow and enforce once; the median of three rounds."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "store", address=f"sqlite:///{folder}/hourglass.db")
        with world.db.write() as tx:
            tx.exec(update(Team).values(cap=10**9 * DOLLAR))
            tx.exec(update(Period).values(cap=10**9 * DOLLAR))
        agents: list[Agent] = []
        for size in SIZES:
            while len(agents) < size:
                job_id = world.launch(a_spec(minutes=600))
                agents.append(Agent(world, job_id).says("stage", stage="run", note=""))
            world.tick()
            seconds = statistics.median(_round(world, agents) for _ in range(ROUNDS))
            resident = psutil.Process().memory_info().rss >> 20
            figures.append(
                Figure(
                    name=f"follow and enforce, {size:,} running jobs",
                    value=seconds,
                    unit="s",
                    goal=10 if size == BUSY else None,
                    note=f"{seconds / size * 1000:.1f} ms a job; {resident} MB resident",
                )
            )
        world.db.close()
    return figures


def hold() -> list[Figure]:
    """Hold and release in months with few and with many entries, in turns; the ratio of the medians."""
    with tempfile.TemporaryDirectory() as folder:
        books = [_books(Path(folder) / f"{entries}.db", entries) for entries in (SMALL, LARGE)]
        times: list[list[float]] = [[], []]
        for number in range(HOLDS):
            for which, database in enumerate(books):
                begun = time.perf_counter()
                _hold(database, f"held-{number}")
                times[which].append(time.perf_counter() - begun)
        for database in books:
            database.close()
    small, large = (statistics.median(each) * 1000 for each in times)
    note = f"{large:.2f} ms against {small:.2f} ms, {HOLDS} each, in turns"
    name = f"a hold beside {LARGE:,} entries, over one beside {SMALL:,}"
    return [Figure(name=name, value=large / small, unit="×", goal=1.2, note=note)]


def _round(world: World, agents: list[Agent]) -> float:
    for agent in agents:
        step = agent.chunks * 10
        agent.says("metric", step=step, values={"loss": 2.0})
    world.clock.advance(EVERY)
    begun = time.perf_counter()
    world.follow.round()
    world.rentals.enforce()
    return time.perf_counter() - begun


def _books(path: Path, entries: int) -> Database:
    world = World(path.with_suffix(".store"), address=f"sqlite:///{path}")
    with world.db.write() as tx:
        tx.exec(update(Period).values(cap=10**9 * DOLLAR))
        period = tx.exec(select(Period.id)).one()
    fields = {"period_id": period, "job_id": "", "person": "U1ADA", "kind": EntryKind.GRANT, "note": ""}
    fields |= {"micros": 1, "at": world.now()}
    for begin in range(0, entries, AT_ONCE):
        keys = range(begin, min(begin + AT_ONCE, entries))
        with world.db.write() as tx:
            tx.execute(insert(Entry), [{**fields, "key": f"entry-{number}"} for number in keys])
    return world.db


def _hold(database: Database, key: str) -> None:
    with database.write() as tx:
        period = tx.exec(select(Period)).one()
        held = ledger.open_hold(tx, job_id=key, person="U1ADA", period=period, micros=DOLLAR, key=key, at=START)
    assert held
