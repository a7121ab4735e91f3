"""What a busy bot costs: a round over thousands of running jobs, a command typed meanwhile, and a hold beside a
million entries.

The database is a file with every commit synced, the store a folder; the cloud is the tests' own, in memory, and
answers at once. The curve's points are taken in one world that grows. What machines write is put into the folder
without syncing it: they would do that elsewhere.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import insert
from sqlmodel import select, update

from jobs import ledger
from jobs.clock import RandomIds
from jobs.db import Database
from jobs.journal import A_ROUND
from jobs.model import Entry, EntryKind, Period, Team
from jobs.service import Service
from jobs.values import DOLLAR
from tests.bench.figures import Figure, percentile
from tests.bench.latency import LINE, PER_SECOND, paced
from tests.face.stage import Stage
from tests.support.builders import a_spec
from tests.support.clock import START
from tests.support.world import World
from trainer import wire

SIZES = (100, 1_000, 2_000, 5_000)
BUSY = 2_000  # jobs of the goal
ROUNDS = 3
MEANWHILE = 30  # seconds in which commands are typed
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
        machines, stage = Machines(world), _face(world, Path(folder) / "slack")
        for size in SIZES:
            machines.grow(size)
            working = time.process_time()
            seconds = statistics.median(machines.round() for _ in range(ROUNDS))
            working = (time.process_time() - working) / ROUNDS
            resident = psutil.Process().memory_info().rss >> 20
            figures.append(
                Figure(
                    name=f"follow and enforce, {size:,} running jobs",
                    value=seconds,
                    unit="s",
                    goal=10 if size == BUSY else None,
                    note=f"{seconds / size * 1000:.2f} ms a job; {working:.1f} s of CPU, the writing too; "
                    f"{resident} MB resident",
                )
            )
            if size == BUSY:
                gc.collect()
                gc.freeze()  # the stand-ins' own memory; `serve` does so with its own once it is up
                figures.extend(_meanwhile(machines, stage))
        stage.close()
    return figures


class Machines:
    """Jobs that run for hours, and what their machines write."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._jobs: list[str] = []
        self._chunks: list[int] = []

    def grow(self, size: int) -> None:
        """Let jobs start until so many run, and let the store have their records."""
        begun = len(self._jobs)
        while len(self._jobs) < size:
            self._jobs.append(self.world.launch(a_spec(minutes=6000)))
            self._chunks.append(0)
            self._write(len(self._jobs) - 1, {"kind": "stage", "data": {"stage": "run", "note": ""}})
        self.world.follow.round()
        for _ in range((size - begun) // A_ROUND + 1):
            self.world.rentals.enforce()

    def round(self) -> float:
        """Let each machine write a chunk, then look at them all as the scheduler does; return the seconds it took."""
        for which, chunk in enumerate(self._chunks):
            self._write(which, {"kind": "metric", "data": {"step": chunk * 10, "values": {"loss": 2.0}}})
        self.world.clock.advance(EVERY)
        begun = time.perf_counter()
        heard = self.world.follow.round()
        self.world.rentals.enforce()
        spent = time.perf_counter() - begun
        assert heard == len(self._jobs), f"{heard} of {len(self._jobs)} chunks were applied"
        return spent

    def _write(self, which: int, event: dict[str, Any]) -> None:
        self._chunks[which] += 1
        path = self.world.store.root / wire.event_key(self._jobs[which], 1, self._chunks[which])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"t": self.world.now().timestamp(), **event}) + "\n")


def _face(world: World, folder: Path) -> Stage:
    """Return the bot's listeners over the world's rows, connected to the sandbox."""
    stage = Stage(folder)
    stage.db.close()
    stage.db = world.db
    stage.service = Service(
        db=world.db,
        clock=world.clock,
        ids=RandomIds(),
        settings=stage.settings,
        traits={cloud.traits.name: cloud.traits for cloud in world.clouds},
        mover=world.rentals.move_deadline,
        wake=lambda job_id: None,
    )
    stage.restart()
    stage.open()
    return stage


def _meanwhile(machines: Machines, stage: Stage) -> list[Figure]:
    """Type commands while round follows round; all of it, and the stand-in for Slack, in this one process."""
    enough, spent = threading.Event(), list[float]()

    def look() -> None:
        while not enough.is_set():
            spent.append(machines.round())
            enough.wait(max(0.0, EVERY - spent[-1]))

    def work(number: int) -> None:
        outcome = stage.people.type("ada", "vision", f"/train {LINE}")
        assert outcome.ok, outcome

    work(-1)
    looking = threading.Thread(target=look, name="rounds")
    looking.start()
    times = paced(work, seconds=MEANWHILE)
    enough.set()
    looking.join()
    resident = psutil.Process().memory_info().rss / 2**20
    note = f"{len(times)} commands at {PER_SECOND}/s beside {len(spent)} rounds, {statistics.median(spent):.1f} s each"
    beside = f"beside {BUSY:,} running jobs"
    return [
        Figure(name=f"typed line to acknowledgement {beside}, p50", value=percentile(times, 50), unit="ms", goal=None),
        Figure(
            name=f"typed line to acknowledgement {beside}, p99",
            value=percentile(times, 99),
            unit="ms",
            goal=250,
            note=note,
        ),
        Figure(name=f"resident memory {beside}", value=resident, unit="MB", goal=300, note="the sandbox's too"),
    ]


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


def _books(path: Path, entries: int) -> Database:
    world = World(path.with_suffix(".store"), address=f"sqlite:///{path}")
    with world.db.write() as tx:
        tx.exec(update(Period).values(cap=10**9 * DOLLAR))
        period = tx.exec(select(Period.id)).one()
    fields: dict[str, Any] = {"period_id": period, "job_id": "", "person": "U1ADA", "kind": EntryKind.GRANT, "note": ""}
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
