"""A database that is lost while jobs run: how long the rebuilding takes, and whether any machine or dollar is missed.

A cloud that keeps its own books is the judge: what stands there, since when, until when, and what it costs. The lost
rows say what was held and spent. Then the bot goes on over the rebuilt rows, and every machine has to end in its time.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog
from sqlmodel import select

from jobs import db, extensions, ledger, policy
from jobs.db import Database
from jobs.model import Attempt, Job, Period, Team
from jobs.policy import Person
from jobs.values import DOLLAR, JobSpec
from tests.promises.figure import Promise, Scale
from tests.recovery.loss import copy, recovered
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider, Machine
from tests.support.mortal import MortalDatabase
from tests.support.world import Agent, World

LIMIT = 60.0  # seconds
LEAD = Person(id="U9LEAD", lead=True)
PASS = timedelta(minutes=10)
LATE = PASS + timedelta(minutes=1)  # the passes of this figure come that seldom


@dataclass(kw_only=True)
class Tally:
    """What all the losses came to."""

    seconds: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    wrong_ends: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)


def measure(scale: Scale) -> Sequence[Promise]:
    """Lose databases, empty and older ones in turn."""
    jobs, losses = scale.of(50, 5), scale.of(10, 2)
    tally = Tally()
    with _quiet():
        for number in range(losses):
            with tempfile.TemporaryDirectory(prefix="hourglass-loss-") as folder:
                _lose_one(Path(folder), random.Random(f"{scale.seed} {number}"), jobs, older=number % 2 == 1, to=tally)
    slowest = max(tally.seconds)
    return [
        Promise(
            name="database lost while jobs run",
            goal=f"{jobs} running: rebuilt in {LIMIT:.0f} s, 0 leaks, 0 wrong ends, holds and spent exact",
            measured=f"{slowest:.2f} s at most, {len(tally.leaks)} leaks, {len(tally.wrong_ends)} wrong ends, "
            f"{len(tally.inexact)} sums that differ",
            held=slowest <= LIMIT and not (tally.leaks or tally.wrong_ends or tally.inexact),
            counts={"losses": losses, **tally.counts},
            seed=scale.seed,
            note="; ".join([*tally.leaks, *tally.wrong_ends, *tally.inexact][:3]),
        )
    ]


def _lose_one(folder: Path, chance: random.Random, jobs: int, *, older: bool, to: Tally) -> None:
    clock = FakeClock()
    cloud = FakeProvider(clock, traits=some_traits(idempotent=chance.random() < 0.5))
    world = World(folder / "store", cloud, clock=clock)
    with world.db.write() as tx:
        team, period = tx.exec(select(Team)).one(), tx.exec(select(Period)).one()
        team.cap = period.cap = 1_000_000 * DOLLAR
    for _ in range(max(1, jobs // 5)):
        job_id, _ = world.running(_spec(chance))
        _finish(world, job_id)
    world.pass_time(minutes=chance.uniform(3, 20), every=180)
    for _ in range(jobs // 2):
        _start(world, chance)
    old = copy(world) if older else None
    world.pass_time(minutes=chance.uniform(1, 20), every=180)
    for _ in range(jobs - jobs // 2):
        _start(world, chance)
    _extend_some(world, chance, max(1, jobs // 5))
    world.rentals.enforce()
    cloud.lose_answers(1)
    world.launch(_spec(chance))  # its machine stands, and nobody heard of it
    world.queued(_spec(chance), not_before=world.now() + timedelta(minutes=40))
    world.rentals.enforce()
    before = _books(world)
    standing = {machine.id for machine in cloud.alive()}

    _replaced(world, folder / "hourglass.db", old)
    calls = len(cloud.calls)
    begun = time.perf_counter()
    found = recovered(world)
    to.seconds.append(time.perf_counter() - begun)
    to.counts["machines standing"] += len(standing)
    to.counts["jobs rebuilt"] += len(found.report.added)
    to.counts["jobs brought up to date"] += len(found.report.advanced)
    to.counts["machines adopted"] += len(found.report.standing)
    if {verb for verb, _ in cloud.calls[calls:]} - {"list"}:
        to.wrong_ends.append("the recovery asked a provider for more than its list")
    _compare(before, _books(world), to)
    world.restart()
    for job_id in sorted(before.holds):
        if world.job(job_id).attempt and chance.random() < 0.1:
            _finish(world, job_id)  # some end early
            world.follow.round()
    world.pass_time(hours=6, every=PASS.total_seconds())
    _judge(world, cloud, to)


def _finish(world: World, job_id: str) -> None:
    """Let every machine of the job's newest attempt say that it has finished."""
    for row in world.attempts(job_id):
        if row.number == world.job(job_id).attempt:
            agent = Agent(world, job_id, row.number, row.rank)
            agent.chunks = row.cursor
            agent.ends()


def _spec(chance: random.Random) -> JobSpec:
    return a_spec(minutes=float(chance.randrange(30, 180)), nodes=chance.choice((1, 1, 1, 2)), providers=("cloud",))


def _start(world: World, chance: random.Random) -> None:
    world.running(_spec(chance), person=chance.choice(("U1ADA", "U2BOB")))


def _extend_some(world: World, chance: random.Random, count: int) -> None:
    """Press Extend; the last one's database is lost before the row says so, the machine's limit has moved."""
    with world.db.read() as tx:
        running = [job.id for job in tx.exec(select(Job)) if job.state.value == "running"]
    chosen = chance.sample(running, min(count, len(running)))
    for job_id in chosen:
        at = world.now()
        with world.db.write() as tx:
            traits = {"cloud": world.cloud.traits}
            extension = extensions.begin(tx, job_id, LEAD, float(chance.randrange(10, 90)), at=at, traits=traits)
        world.rentals.move_deadline(world.job(job_id), extension.new)
        if job_id != chosen[-1]:
            with world.db.write() as tx:
                extensions.finish(tx, extension, at=at)


def _replaced(world: World, path: Path, older: bytes | None) -> None:
    """Put a new file, or an older copy, where the database was."""
    if older is not None:
        path.write_bytes(older)
    world.db = MortalDatabase(Database.open(f"sqlite:///{path}", migrate=older is None).engine, world.fate)
    world.restart()


# ---------------------------------------------------------------- the judges


@dataclass(frozen=True, kw_only=True)
class Books:
    """What is held and spent."""

    holds: dict[str, tuple[int, int]]  # by job: as the row says, as its entries add up
    held: int
    spent: int
    granted: int
    machines: frozenset[str]  # launch keys of rows whose machine may stand


def _books(world: World) -> Books:
    with world.db.read() as tx:
        jobs = list(tx.exec(select(Job)))
        holds = {job.id: (job.hold, ledger.open_of(ledger.entries(tx, job.id))) for job in jobs}
        period = tx.exec(select(Period)).one()
        keys = frozenset(row.launch_key for row in db.live_attempts(tx))
        return Books(holds=holds, held=period.held, spent=period.spent, granted=period.granted, machines=keys)


def _compare(lost: Books, rebuilt: Books, to: Tally) -> None:
    to.counts["holds compared"] += len(lost.holds)
    for name in ("held", "spent", "granted", "machines"):
        if getattr(lost, name) != getattr(rebuilt, name):
            to.inexact.append(f"{name}: {getattr(rebuilt, name)} instead of {getattr(lost, name)}")
    for job_id, hold in lost.holds.items():
        if rebuilt.holds.get(job_id) != hold:
            to.inexact.append(f"hold of {job_id}: {rebuilt.holds.get(job_id)} instead of {hold}")


def _judge(world: World, cloud: FakeProvider, to: Tally) -> None:
    """Hold what became of every machine against the cloud's own books."""
    to.leaks += [f"{machine.id} stands" for machine in cloud.alive()]
    twice = Counter(machine.order.launch_key for machine in cloud.machines)
    to.leaks += [f"{key} was launched {count} times" for key, count in twice.items() if count > 1]
    with world.db.read() as tx:
        ended = {job.id: (job.outcome or {}).get("reason") for job in tx.exec(select(Job))}
        rows = {row.launch_key: row for row in tx.exec(select(Attempt))}
    cost = 0
    for machine in cloud.machines:
        to.counts["machines judged"] += 1
        if machine.order.launch_key not in rows:
            to.leaks.append(f"{machine.id} has no row")
        if machine.ends_at is None:
            continue
        cost += _cost(machine)
        rental = machine.order.deadline - machine.launched_at
        grace = policy.grace(rental / timedelta(minutes=1))
        if machine.ends_at > machine.order.deadline + LATE:
            to.leaks.append(f"{machine.id} ended {machine.ends_at - machine.order.deadline} late")
        if machine.ends_at < machine.order.deadline - grace - PASS and ended[machine.order.job] != "finished":
            to.wrong_ends.append(f"{machine.id} ended {machine.order.deadline - machine.ends_at} early")
    period = world.period()
    if (period.held, period.spent) != (0, cost) or not world.balanced():
        to.inexact.append(f"in the end {period.held} held, {period.spent} spent; the cloud's bill is {cost}")


def _cost(machine: Machine) -> int:
    """Return the cloud's bill: started seconds, a minute at least, rounded up to a micro-dollar."""
    assert machine.ends_at is not None
    seconds = max(-(-(machine.ends_at - machine.launched_at) // timedelta(seconds=1)), 60)
    return -(-machine.offer.micros_per_hour * seconds // 3600)


@contextmanager
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)
