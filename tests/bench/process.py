"""How long `hourglass serve` takes to its first answer, and what it holds in memory after a job with plots."""

from __future__ import annotations

import io
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil
from rich.console import Console

from bot.demo.stage import CHANNEL, RESEARCHER, Plan, Stage
from bot.demo.story import Story
from tests.bench.figures import Figure, percentile

STARTS = 5
JOB_LIMIT = 280.0


def practising(folder: Path) -> Stage:
    """Return a stage with the bot alone on it and practice machines to rent."""
    return Stage(Plan(folder=folder, provider="practice", port=0, reaper=False))


def start() -> list[Figure]:
    """Start the bot on a fresh state folder's database and ask it for help at once; the median of five."""
    times = []
    with tempfile.TemporaryDirectory() as folder, practising(Path(folder)) as stage:
        for _ in range(STARTS):
            stage.bot.close()
            _until_nobody(stage)
            begun = time.perf_counter()
            stage.bot = stage.start_bot()
            assert stage.sandbox.people.type(RESEARCHER, CHANNEL, "/train help").ok
            times.append(time.perf_counter() - begun)
    return [
        Figure(
            name="`hourglass serve` to its first answer",
            value=percentile(times, 50),
            unit="s",
            goal=3,
            note=f"median of {STARTS}; worst {max(times):.1f} s",
        )
    ]


def memory() -> list[Figure]:
    """Run the demo's job to its end and read the bot's resident memory then; the plots' child is gone by that time."""
    with tempfile.TemporaryDirectory() as folder, practising(Path(folder)) as stage:
        with closing(Story(stage, Console(file=io.StringIO()), limit=JOB_LIMIT)) as story:
            story.tell(Path(folder) / "out")
        resident = psutil.Process(stage.bot.pid).memory_info().rss / 2**20
    return [Figure(name="the bot's resident memory", value=resident, unit="MB", goal=150, note="after a whole job")]


def _until_nobody(stage: Stage) -> None:
    limit = time.monotonic() + 10
    while stage.sandbox.connections() and time.monotonic() < limit:
        time.sleep(0.05)  # the socket's end reaches the sandbox a moment after the process left
