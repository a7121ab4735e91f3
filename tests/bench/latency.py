"""From a typed command to a durable row, and to Slack's acknowledgement, at twenty commands a second."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.demo.stage import CHANNEL, RESEARCHER
from bot.parse import parse_train
from bot.verbs import Run
from jobs.clock import RandomIds, SystemClock
from jobs.db import Database
from jobs.service import Service
from jobs.settings import load
from tests.bench.figures import Figure, percentile
from tests.bench.process import practising

PER_SECOND = 20
SECONDS = 15
LINE = "acme/chargpt@main gpu=a100 hours=4"


def paced(work: Callable[[int], None], seconds: int = SECONDS) -> list[float]:
    """Start `work(n)` twenty times a second whether or not the last has ended; return each one's milliseconds.

    An open loop: a slow answer does not slow the people who type.
    """
    begun = time.perf_counter()
    pause = threading.Event()

    def timed(number: int) -> float:
        started = time.perf_counter()
        work(number)
        return (time.perf_counter() - started) * 1000

    with ThreadPoolExecutor(max_workers=PER_SECOND * 3) as pool:
        running = []
        for number in range(PER_SECOND * seconds):
            pause.wait(max(0.0, begun + number / PER_SECOND - time.perf_counter()))
            running.append(pool.submit(timed, number))
        return [future.result() for future in running]


def durable_row() -> list[Figure]:
    """Parse the line and commit its row to SQLite on this machine's disk, with every commit synced."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"HOURGLASS_STATE": folder})
        database = Database.open(settings.database())
        service = Service(
            db=database,
            clock=SystemClock(),
            ids=RandomIds(),
            settings=settings,
            traits={},
            mover=lambda job, deadline: None,
            wake=lambda job_id: None,
        )

        def work(number: int) -> None:
            command = parse_train(LINE, delivery=f"bench-{number}", channel="C1", person=f"U{number % 7}")
            assert isinstance(command, Run)
            service.request(command.request)

        work(-1)
        times = paced(work)
        database.close()
    return _figures("typed line to durable row", times, p50=7, p99=100)


def acknowledgement() -> list[Figure]:
    """Type it into the sandbox and wait for the running bot's acknowledgement over Socket Mode."""
    with tempfile.TemporaryDirectory() as folder, practising(Path(folder)) as stage:

        def work(number: int) -> None:
            outcome = stage.sandbox.people.type(RESEARCHER, CHANNEL, f"/train {LINE}")
            assert outcome.ok, outcome

        work(-1)
        times = paced(work)
    return _figures("typed line to acknowledgement", times, p50=None, p99=100)


def _figures(name: str, times: list[float], *, p50: float | None, p99: float | None) -> list[Figure]:
    note = f"{len(times)} commands at {PER_SECOND}/s"
    return [
        Figure(name=f"{name}, p50", value=percentile(times, 50), unit="ms", goal=p50, note=note),
        Figure(name=f"{name}, p99", value=percentile(times, 99), unit="ms", goal=p99, note=note),
    ]
