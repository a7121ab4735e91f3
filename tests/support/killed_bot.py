"""A bot with one job to launch on a practice machine, which reaches a point of its launch and waits to be killed.

Run as `python -m tests.support.killed_bot FOLDER POINT`; it writes `here` to its standard output in that point.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from jobs import db, ledger
from jobs.clock import Clock, SystemClock
from jobs.db import Database
from jobs.follow import Follow
from jobs.lifecycle import JobEventName, JobState
from jobs.model import Job
from jobs.offers import Desk, practice_offer
from jobs.ports import Ports
from jobs.providers import Provider
from jobs.providers.practice import Practice
from jobs.records import dump
from jobs.rentals import Rentals
from jobs.values import Source
from tests.support.builders import a_request, a_source, a_spec, a_team
from tests.support.mortal import Fate, MortalProvider
from tests.support.world import HOME
from trainer import archive
from trainer.storage import FolderStore

JOB = "killed1"
MINUTES = 3.0


class TarPacker:
    """Packs a commit of one file."""

    def pack(self, source: Source, out: Path) -> str:
        """Write the archive."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.addfile(tarfile.TarInfo("README.md"), io.BytesIO())
        out.write_bytes(buffer.getvalue())
        return hashlib.sha256(buffer.getvalue()).hexdigest()


class Waiting(Fate):
    """A fate that says where it is, and waits there for the signal that nobody can catch."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def point(self, name: str) -> None:
        """Pass a point, or stay in it."""
        if name == self.where:
            sys.stdout.write("here\n")
            sys.stdout.flush()
            threading.Event().wait()


def practice(folder: Path) -> Practice:
    """Return the practice provider over this folder."""
    clock = SystemClock()
    return Practice(
        folder=folder / "practice",
        home=HOME,
        clock=clock,
        price=lambda need: practice_offer(need, clock.now()),
        archive=archive.build(folder / "trainer.pyz", with_s3=False),
    )


class Later(SystemClock):
    """This machine's clock, `by` ahead: for a bot that is started a while after the one before it was killed."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


def bot(folder: Path, provider: Provider, clock: Clock | None = None) -> tuple[Ports, Follow, Rentals]:
    """Return a bot over the folder's database, store and machines."""
    database, clock, store = (
        Database.open(f"sqlite:///{folder / 'bot.db'}"),
        clock or SystemClock(),
        FolderStore(folder / "store"),
    )
    follow = Follow(db=database, clock=clock, store=store, wake=lambda _: None)
    providers = {"practice": provider}
    ports = Ports(
        db=database,
        clock=clock,
        providers=providers,
        market=Desk(providers),
        packer=TarPacker(),
        store=store,
        store_uri=store.root.as_uri(),
        home=HOME,
        drain=follow.drain,
        wake=lambda _: None,
    )
    return ports, follow, Rentals(ports, silence=0.0)


def queue(ports: Ports, argv: Sequence[str]) -> None:
    """Write the job, its worst case held."""
    now = ports.clock.now()
    spec = a_spec(minutes=MINUTES, commands=(), argv=tuple(argv), providers=("practice",), gpu="a100")
    with ports.db.write() as tx:
        team = a_team()
        tx.add(team)
        tx.flush()
        period = db.period_of(tx, team, now)
        job = Job(
            id=JOB,
            delivery=JOB,
            team_id=team.id,
            channel="C1TRAIN",
            person="U1ADA",
            request=dump(a_request()),
            state=JobState.REQUESTED,
            created_at=now,
            source=dump(a_source()),
            spec=dump(spec),
            rate_ceiling=10_000_000,
            hold=2_000_000,
            period_id=period.id,
        )
        tx.add(job)
        tx.flush()
        ledger.open_hold(tx, job_id=JOB, person="U1ADA", period=period, micros=job.hold, key=f"{JOB}:hold", at=now)
        db.move(tx, job, JobEventName.HOLD, now)


def main(folder: Path, point: str) -> None:
    """Queue the job and launch it as far as the point."""
    mortal = MortalProvider(practice(folder), Waiting(point))
    ports, _, rentals = bot(folder, mortal)
    queue(ports, [sys.executable, "-c", "import time; print('step 1: loss 2.5', flush=True); time.sleep(600)"])
    rentals.launch(JOB)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
