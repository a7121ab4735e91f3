"""The real scheduler over short intervals: triggers, ticks that break, wake-ups, a clean end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler

from jobs import db
from jobs.clock import SystemClock
from jobs.lifecycle import JobState
from jobs.rentals import Rentals
from jobs.scheduler import Scheduler
from tests.support.builders import a_spec
from tests.support.fake_provider import FakeProvider
from tests.support.world import Agent, World

LIMIT = 30.0  # seconds for a condition; it is met in a fraction of one


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """Intervals of a test."""

    enforce_seconds: float = 3600.0
    follow_seconds: float = 3600.0


class Pricing:
    """An intake that has nothing to do, and says who asked."""

    def __init__(self) -> None:
        self.worked: list[str] = []

    def due(self) -> list[str]:
        return []

    def work(self, job_id: str) -> None:
        self.worked.append(job_id)


class Deciding:
    """Approvals that break each time."""

    def __init__(self) -> None:
        self.asked = 0

    def expire_due(self) -> object:
        self.asked += 1
        raise RuntimeError("the database is away")

    def remind_due(self) -> object:
        return None


def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds; fails after a limit."""
    end = time.monotonic() + LIMIT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        pause.wait(0.02)


class Live(World):
    """A world in which time is this machine's own."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        super().__init__(folder, FakeProvider(clock), clock=clock)  # type: ignore[arg-type]  # it is never moved


@contextmanager
def scheduled(
    world: World, rentals: Any = None, clockwork: BackgroundScheduler | None = None, **rhythm: float
) -> Iterator[Scheduler]:
    scheduler = Scheduler(
        db=world.db,
        intake=Pricing(),
        rentals=rentals or world.rentals,
        follow=world.follow,
        service=Deciding(),
        settings=Rhythm(**rhythm),
        clockwork=clockwork,
    )
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()


def test_a_woken_job_is_launched_at_once(tmp_path: Path) -> None:
    world = Live(tmp_path)
    with scheduled(world) as scheduler:
        job_id = world.queued()
        scheduler.wake(job_id)
        until(lambda: len(world.cloud.machines) == 1)
        until(lambda: job_id in scheduler.planned())


def test_the_date_trigger_ends_a_machine_at_its_deadline_between_two_passes(tmp_path: Path) -> None:
    world = Live(tmp_path)
    with scheduled(world) as scheduler:
        job_id = world.queued(a_spec(minutes=1.5 / 60))
        scheduler.wake(job_id)
        until(lambda: len(world.cloud.machines) == 1)
        deadline = world.job(job_id).deadline
        assert deadline is not None
        until(lambda: world.job(job_id).state is JobState.TIMED_OUT)
        assert world.now() - deadline < timedelta(seconds=10)
        assert world.cloud.alive() == []


def test_triggers_are_rebuilt_from_the_rows_at_the_start(tmp_path: Path) -> None:
    world = Live(tmp_path)
    job_id, _ = world.running(a_spec(minutes=2 / 60))
    world.restart()
    with scheduled(world) as scheduler:
        until(lambda: job_id in scheduler.planned() or world.job(job_id).state is JobState.TIMED_OUT)
        until(lambda: world.job(job_id).state is JobState.TIMED_OUT)
    assert world.cloud.alive() == []


def test_a_trigger_moves_with_its_deadline(tmp_path: Path) -> None:
    world = Live(tmp_path)
    job_id, _ = world.running()
    with scheduled(world, enforce_seconds=0.2) as scheduler:
        until(lambda: job_id in scheduler.planned())
        later = scheduler.planned()[job_id] + timedelta(hours=1)
        with world.db.write() as tx:
            db.touch(tx, db.get_job(tx, job_id), world.now(), deadline=later)
        until(lambda: scheduler.planned()[job_id] == later)


def test_the_pass_is_the_net_under_lost_triggers(tmp_path: Path) -> None:
    world = Live(tmp_path)
    job_id, _ = world.running()
    with scheduled(world, enforce_seconds=0.2) as scheduler:
        until(lambda: job_id in scheduler.planned())
        with world.db.write() as tx:  # nobody tells the scheduler
            for row in db.attempts(tx, job_id):
                db.touch_attempt(tx, row, world.now(), deadline=world.now())
            db.touch(tx, db.get_job(tx, job_id), world.now(), deadline=world.now())
        until(lambda: world.job(job_id).state is JobState.TIMED_OUT)
        until(lambda: job_id not in scheduler.planned())


def test_the_passes_come_though_every_trigger_stands_still(tmp_path: Path) -> None:
    """A wall clock that is set back by hours leaves the triggers that far in the future."""

    class StandsStill(BackgroundScheduler):  # type: ignore[misc]  # the library ships no types
        def start(self, *args: Any, **options: Any) -> None:
            super().start(paused=True)

    world = Live(tmp_path)
    job_id, _ = world.running(a_spec(minutes=1.5 / 60))
    with scheduled(world, clockwork=StandsStill(timezone=UTC), enforce_seconds=0.2):
        until(lambda: world.job(job_id).state is JobState.TIMED_OUT)
    assert world.cloud.alive() == []


def test_a_tick_that_breaks_comes_again(tmp_path: Path) -> None:
    world = Live(tmp_path)

    class Broken(Rentals):
        passes = 0

        def enforce(self) -> None:
            self.passes += 1
            if self.passes < 3:
                raise RuntimeError("broken")
            super().enforce()

    broken = Broken(world.ports)
    with scheduled(world, broken, enforce_seconds=0.1):
        until(lambda: broken.passes > 3)

        def marked() -> bool:
            with world.db.read() as tx:
                return db.mark(tx, "enforced") is not None

        until(marked)


def test_an_outcome_is_read_and_acted_on_without_a_pass(tmp_path: Path) -> None:
    world = Live(tmp_path)
    job_id, agent = world.running()
    with scheduled(world, follow_seconds=0.1) as scheduler:
        world.wake = scheduler.wake
        agent.ends()
        until(lambda: world.job(job_id).state is JobState.SUCCEEDED)
    assert isinstance(agent, Agent) and world.cloud.alive() == []


def test_stop_waits_for_what_runs(tmp_path: Path) -> None:
    world = Live(tmp_path)
    inside, go = threading.Event(), threading.Event()
    job_id = world.queued()

    def slow() -> None:
        inside.set()
        assert go.wait(LIMIT)

    world.cloud.before("launch", slow)
    with scheduled(world) as scheduler:
        scheduler.wake(job_id)
        assert inside.wait(LIMIT)
        threading.Timer(0.2, go.set).start()
    assert JobState.PROVISIONING is world.job(job_id).state
    assert len(world.cloud.machines) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crew-")]
