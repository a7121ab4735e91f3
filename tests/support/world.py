"""A deployment in one process: rows in memory, a folder for the store, a fake cloud, and agents that are scripted.

`restart` throws every object away and builds new ones over the same rows, files and machines, which is all that
a killed bot leaves. `pass_time` lets the clock run in the steps of the enforcing pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import select

from jobs import db, ledger, orders, policy, withdrawal
from jobs.db import Database
from jobs.follow import Follow
from jobs.ledger import Closed
from jobs.lifecycle import AttemptState, JobEventName, JobState
from jobs.model import Attempt, Entry, Job, Note, Period
from jobs.offers import Desk
from jobs.ports import Ports
from jobs.providers import LaunchOrder, Provider
from jobs.records import dump
from jobs.rentals import Rentals
from jobs.values import DOLLAR, JobSpec, Micros, Source
from tests.support.builders import a_request, a_source, a_spec, a_team
from tests.support.clock import FakeClock, SequentialIds
from tests.support.databases import memory_engine
from tests.support.fake_provider import FakeProvider
from tests.support.mortal import Fate, MortalDatabase, MortalProvider
from trainer import wire
from trainer.storage import FolderStore

HOME = "0f3c1e52-7a44-4f0e-9d1b-6b2a54a3c9d1"
PASS = 30.0  # seconds between enforcing passes


class Parcel:
    """Packs a commit as its own sha, and counts how often."""

    def __init__(self) -> None:
        self.packed = 0

    def pack(self, source: Source, out: Path) -> str:
        """Write a few bytes that stand for the commit."""
        self.packed += 1
        data = f"{source.repo}@{source.sha}".encode()
        out.write_bytes(data)
        return hashlib.sha256(data).hexdigest()


class Agent:
    """Writes what a machine's agent would: one chunk a call, numbered."""

    def __init__(self, world: World, job_id: str, attempt: int = 1, rank: int = 0) -> None:
        self.world, self.job_id, self.attempt, self.rank = world, job_id, attempt, rank
        self.chunks = 0

    def says(self, kind: str, **data: Any) -> Agent:
        """Write one event as a chunk of its own."""
        return self.writes([{"t": self.world.clock.now().timestamp(), "kind": kind, "data": data}])

    def writes(self, events: Sequence[Mapping[str, Any]]) -> Agent:
        """Write events as one chunk."""
        return self.raw(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def raw(self, data: bytes) -> Agent:
        """Write bytes as a chunk."""
        self.chunks += 1
        self.world.store.put(wire.event_key(self.job_id, self.attempt, self.chunks, self.rank), data)
        return self

    def saves(
        self, name: str, step: int, *, manifest: bool = True, removed: Sequence[str] = (), unproven: bool = False
    ) -> Agent:
        """Upload a checkpoint and tell of it; without its manifest it is not whole, and `unproven` it may be half."""
        prefix = wire.checkpoint_prefix(self.job_id, self.attempt, name, self.rank)
        self.world.store.put(f"{prefix}/ckpt.pt", name.encode())
        entry = wire.FileEntry(path="ckpt.pt", size=len(name), sha256=hashlib.sha256(name.encode()).hexdigest())
        at, cut = self.world.clock.now().timestamp(), ("ckpt.pt",) if unproven else ()
        whole = wire.Manifest(name=name, step=step, at=at, files=(entry,), unproven=cut)
        if manifest:
            self.world.store.put(f"{prefix}/manifest.json", wire.to_json(whole))
        key = f"{prefix}/manifest.json"
        told = {"name": name, "step": step, "manifest": key, "bytes": len(name), "files": 1, "removed": list(removed)}
        return self.says("checkpoint", **told)

    def ends(self, reason: str = "finished", code: int | None = 0) -> Agent:
        """Tell the outcome."""
        return self.says("outcome", reason=reason, code=code, signal=None, tail=["done"], steps=100)


class World:
    """Everything a story about renting needs; `providers` defaults to one fake cloud called `cloud`."""

    def __init__(
        self, folder: Path, *providers: FakeProvider, clock: FakeClock | None = None, address: str = "sqlite://"
    ) -> None:
        self.clock = clock or FakeClock()
        self.ids = SequentialIds()
        self.fate = Fate()
        self.db = MortalDatabase(_engine(address), self.fate)
        self.store = FolderStore(folder)
        self.clouds = list(providers) or [FakeProvider(self.clock)]
        self.packer = Parcel()
        self.secrets: dict[str, str] = {}
        self.woken: list[str] = []
        self.wake: Callable[[str], None] = self.woken.append  # who is told of commits
        with self.db.write() as tx:
            team = a_team()
            tx.add(team)
            tx.flush()
            db.period_of(tx, team, self.clock.now())
        self.restart()

    @property
    def cloud(self) -> FakeProvider:
        """The first provider."""
        return self.clouds[0]

    def restart(self) -> None:
        """Build the bot anew over the same rows, files and machines."""
        self.fate.spares()
        providers: dict[str, Provider] = {cloud.traits.name: MortalProvider(cloud, self.fate) for cloud in self.clouds}
        self.follow = Follow(db=self.db, clock=self.clock, store=self.store, wake=lambda job_id: self.wake(job_id))
        self.ports = Ports(
            db=self.db,
            clock=self.clock,
            providers=providers,
            market=Desk(providers),
            packer=self.packer,
            store=self.store,
            store_uri=self.store.root.as_uri(),
            home=HOME,
            secrets=self.secrets,
            drain=self.follow.drain,
            wake=lambda job_id: self.wake(job_id),
        )
        self.rentals = Rentals(self.ports, silence=0.0)  # `test_first_look` has the bot that waits

    # ------------------------------------------------------------ rows

    def queued(self, spec: JobSpec | None = None, *, ceiling: Micros = 3 * DOLLAR, **columns: Any) -> str:
        """Write a QUEUED job whose worst case is held; return its id."""
        spec = spec or a_spec()
        now = self.clock.now()
        job_id = self.ids.job()
        hold = columns.pop("hold", None)
        if hold is None:
            traits = [cloud.traits for cloud in self.clouds]
            hold = policy.hold_of(spec, ceiling=ceiling, traits=traits)
        request = columns.pop("request", None) or a_request()
        with self.db.write() as tx:
            period = tx.exec(select(Period)).one()
            fields: dict[str, Any] = {
                "id": job_id,
                "delivery": f"{job_id}-delivery",
                "team_id": "vision",
                "channel": "C1TRAIN",
                "person": "U1ADA",
                "request": dump(request),
                "state": JobState.REQUESTED,
                "created_at": now,
                "source": dump(a_source()),
                "spec": dump(spec),
                "rate_ceiling": ceiling,
                "hold": hold,
                "period_id": period.id,
            }
            job = Job(**(fields | columns))
            tx.add(job)
            tx.flush()
            held = ledger.open_hold(
                tx, job_id=job_id, person=job.person, period=period, micros=hold, key=f"{job_id}:hold", at=now
            )
            assert held, "the story's budget does not pay for its job"
            db.move(tx, job, JobEventName.HOLD, now)
        return job_id

    def job(self, job_id: str) -> Job:
        """Return the job as it is now."""
        with self.db.read() as tx:
            return db.get_job(tx, job_id)

    def attempts(self, job_id: str) -> list[Attempt]:
        """Return the job's attempts."""
        with self.db.read() as tx:
            return db.attempts(tx, job_id)

    def states(self, job_id: str) -> tuple[JobState, list[AttemptState]]:
        """Return the job's state and those of its attempts."""
        return self.job(job_id).state, [row.state for row in self.attempts(job_id)]

    def notes(self, job_id: str, kind: str | None = None) -> list[Note]:
        """Return what was written down about the job, of one kind where it is named."""
        with self.db.read() as tx:
            return [note for note in db.notes(tx, job_id) if kind in (None, note.kind)]

    def entries(self, job_id: str) -> list[tuple[str, Micros]]:
        """Return the job's ledger entries as (kind, micros)."""
        with self.db.read() as tx:
            return [(entry.kind.value, entry.micros) for entry in ledger.entries(tx, job_id)]

    def period(self) -> Period:
        """Return the month."""
        with self.db.read() as tx:
            return tx.exec(select(Period)).one()

    def balanced(self) -> bool:
        """Return whether the month's row says what its entries add up to."""
        with self.db.read() as tx:
            period, rows = tx.exec(select(Period)).one(), list(tx.exec(select(Entry)))
        total = {kind: sum(row.micros for row in rows if row.kind.value == kind) for kind in ("hold", "release")}
        charged = sum(row.micros for row in rows if row.kind.value == "charge")
        overrun = sum(row.micros for row in rows if row.kind.value == "overrun")
        held = total["hold"] - total["release"] - charged
        return (period.held, period.spent) == (held, charged + overrun)

    # ------------------------------------------------------------ the course of things

    def launch(self, spec: JobSpec | None = None, **columns: Any) -> str:
        """Queue a job and look for its machine; return its id."""
        job_id = self.queued(spec, **columns)
        self.rentals.launch(job_id)
        return job_id

    def running(self, spec: JobSpec | None = None, **columns: Any) -> tuple[str, Agent]:
        """Launch a job and let its agents speak; return its id and the first one."""
        job_id = self.launch(spec, **columns)
        agent, *_ = [
            Agent(self, job_id, row.number, row.rank).says("stage", stage="run", note="")
            for row in self.attempts(job_id)
        ]
        self.follow.round()
        assert self.job(job_id).state is JobState.RUNNING
        return job_id, agent

    def pass_time(self, span: timedelta | float = 0.0, *, every: float = PASS, **spans: float) -> None:
        """Let time run, with an enforcing pass, a look at the machines and due launches `every` so many seconds."""
        total = span if isinstance(span, timedelta) else timedelta(seconds=span)
        until = self.clock.now() + total + timedelta(**spans)
        while self.clock.now() < until:
            self.clock.advance(min(every, (until - self.clock.now()).total_seconds()))
            self.tick()

    def tick(self) -> None:
        """Do once what the scheduler does again and again."""
        self.follow.round()
        self.rentals.enforce()
        self.rentals.launch_due()

    def stop(self, job_id: str, person: str = "U1ADA") -> None:
        """Do to the rows what a press of Stop does."""
        with self.db.write() as tx:
            withdrawal.cancel(tx, job_id, policy.Person(id=person, lead=False), self.clock.now())

    def told_to_stop(self, job_id: str) -> wire.Control | None:
        """Return what the control file of the job's attempt says."""
        data = self.store.get(wire.control_key(job_id, self.job(job_id).attempt))
        return None if data is None else wire.from_json(wire.Control, data)

    def now(self) -> datetime:
        """Return what time it is."""
        return self.clock.now()


def _engine(address: str) -> Engine:
    return memory_engine() if address == "sqlite://" else Database.open(address).engine


def closed_of(entries: list[tuple[str, Micros]]) -> Closed:
    """Return how the entries of a settled job add up."""
    sums = {kind: sum(micros for name, micros in entries if name == kind) for kind, _ in entries}
    return Closed(
        charged=sums.get("charge", 0) + sums.get("overrun", 0),
        held=sums.get("hold", 0),
        released=sums.get("release", 0),
        overrun=sums.get("overrun", 0),
    )


def launched_orders(cloud: FakeProvider) -> list[LaunchOrder]:
    """Return the orders of every machine that the cloud ever made."""
    return [machine.order for machine in cloud.machines]


def key_of(job_id: str, attempt: int = 1, rank: int = 0) -> str:
    """Return a launch key of this home."""
    return orders.launch_key(HOME, job_id, attempt, rank)
