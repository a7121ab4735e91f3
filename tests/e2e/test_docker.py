"""Whole jobs in this machine's container engine: PyTorch trains there, and no container outlives its deadline."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.demo.processes import Process
from bot.demo.proof import Loaded, fetch, links, load_checkpoint
from jobs.clock import SystemClock
from jobs.lifecycle import JobState
from jobs.model import EntryKind, Job
from tests.e2e.deployment import Deployment
from tests.e2e.registry import empty_registry
from tests.support import engine

# PyTorch is loaded to prove the checkpoints, and needs a while where the tests have company.
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 300.0
TRAIN = (Path(__file__).parents[1] / "engine" / "train.py").read_text()
TAKES_ALL_MEMORY = """
blocks = []
while True:
    blocks.append(bytearray(b"x" * 2**24))
"""
FOR_EVER = "python train.py 100000 0.05"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A bot with this engine, whose machines the team books at $1.20 an hour; no container is left of it."""
    engine.require(engine.TORCH)
    # Enough for PyTorch, and soon taken by a script that takes all it can get.
    settings = {"HOURGLASS_DOCKER_RATE": "1.20", "HOURGLASS_DOCKER_MEMORY_GB": "1.5"}
    with Deployment(tmp_path_factory.mktemp("docker"), provider="docker", settings=settings) as running:
        running.budget()
        yield running
        home = str(running.settings.home)
    assert engine.containers(home, ended=True) == []


def rent(
    deployment: Deployment, name: str, command: str, *, hours: str = "1h", files: dict[str, str] | None = None
) -> Job:
    """Type the line that runs `command` in the test image with PyTorch."""
    task = f"image: {engine.TORCH}\ncommands: [{command}]\ncheckpoints: {{path: out, upload_every: 2s, keep: 2}}\n"
    sha = deployment.repository(name, {"train.py": TRAIN, ".hourglass.yml": task, **(files or {})})
    return deployment.train(f"{name}@{sha} gpu=cpu hours={hours}")


def running(deployment: Deployment, job: Job, *, step: int) -> None:
    """Wait until the training has reached a step."""
    deployment.until(lambda: (deployment.job(job.id).step or 0) >= step, limit=LIMIT)


def checkpoint(deployment: Deployment, job: Job, folder: Path) -> Loaded:
    """Return the checkpoint that the thread links, fetched through the link and loaded."""
    found = deployment.until(lambda: links(deployment.thread(job)), limit=LIMIT)
    return load_checkpoint(fetch(found, folder))


def settled(deployment: Deployment, job: Job) -> None:
    """Check that a job left no container and no open hold."""
    assert deployment.balance(job) == 0
    assert all(attempt.gone_at is not None for attempt in deployment.attempts(job))
    assert engine.containers(str(deployment.settings.home), ended=True) == []


def past(moment: datetime) -> bool:
    return SystemClock().now() > moment


def test_a_training_in_a_container_ends_with_a_checkpoint_that_loads(deployment: Deployment, tmp_path: Path) -> None:
    job = rent(deployment, "acme/line", "python train.py 60 0.01")
    done = deployment.ended(job, LIMIT)
    assert done.state is JobState.SUCCEEDED, done.error
    assert checkpoint(deployment, job, tmp_path).step == 60
    charge = next(entry for entry in deployment.entries(job) if entry.kind is EntryKind.CHARGE)
    assert 0 < charge.micros < done.hold
    settled(deployment, job)


def test_stop_saves_a_checkpoint_first_and_links_it(deployment: Deployment, tmp_path: Path) -> None:
    job = rent(deployment, "acme/stopped", FOR_EVER)
    running(deployment, job, step=3)
    assert deployment.press("ada", job, "stop").ok
    done = deployment.ended(job, LIMIT)
    assert done.state is JobState.CANCELLED
    assert done.step is not None
    assert checkpoint(deployment, job, tmp_path).step == done.step
    settled(deployment, job)


def test_at_the_deadline_the_grace_brings_a_checkpoint_that_is_linked(deployment: Deployment, tmp_path: Path) -> None:
    job = rent(deployment, "acme/deadline", FOR_EVER, hours="1m")
    running(deployment, job, step=1)
    done = deployment.ended(job, LIMIT)
    assert done.state is JobState.TIMED_OUT, done.error
    assert checkpoint(deployment, job, tmp_path).step == done.step
    (attempt,) = deployment.attempts(job)
    assert done.deadline is not None and attempt.gone_at is not None
    assert attempt.gone_at - done.deadline <= timedelta(seconds=60)
    settled(deployment, job)


def test_with_the_bot_dead_init_ends_its_container_and_the_reaper_one_that_cannot_end_itself(
    deployment: Deployment,
) -> None:
    """Two containers, one wait: the first has its own clock, the second is frozen and has none."""
    home = str(deployment.settings.home)
    own = rent(deployment, "acme/deaf", "trap '' TERM; python train.py 100000 0.05", hours="1m")
    frozen = rent(deployment, "acme/frozen", FOR_EVER, hours="1m")
    for job in (own, frozen):
        running(deployment, job, step=1)
    deployment.kill()
    rows = {job.id: deployment.job(job.id) for job in (own, frozen)}
    containers = {job.id: deployment.attempts(job)[0].instance_id or "" for job in (own, frozen)}
    subprocess.run(["docker", "pause", containers[frozen.id]], check=True, capture_output=True)
    deadlines = [row.deadline for row in rows.values() if row.deadline is not None]
    assert len(deadlines) == 2

    deployment.wait(lambda: past(max(deadlines)), limit=LIMIT)
    deployment.wait(lambda: engine.containers(home) == [containers[frozen.id]], limit=30)
    arguments = ["reap", "--every", "5"]  # it leaves the first minute after a deadline to the others
    reaper = Process("reaper", arguments, deployment.environment, deployment.folder / "reaper.log")
    try:
        deployment.wait(lambda: engine.containers(home) == [], limit=120)
    finally:
        reaper.close()

    deployment.start()
    for job in (own, frozen):
        assert deployment.ended(job, LIMIT).state is JobState.TIMED_OUT
        assert len(deployment.attempts(job)) == 1
    settled(deployment, own)
    settled(deployment, frozen)


def test_a_script_that_is_killed_for_memory_is_told_so_in_the_thread(deployment: Deployment) -> None:
    job = rent(deployment, "acme/big", "python eat.py", files={"eat.py": TAKES_ALL_MEMORY})
    done = deployment.ended(job, LIMIT)
    assert done.state is JobState.FAILED
    assert (done.outcome or {}).get("reason") == "oom"
    deployment.until(lambda: "the machine ran out of memory" in deployment.texts(job))
    settled(deployment, job)


def test_an_image_that_its_registry_does_not_have_is_refused_by_name(deployment: Deployment) -> None:
    sha = deployment.repository("acme/imageless", {"run.py": "pass", ".hourglass.yml": "commands: [python run.py]\n"})
    with empty_registry() as address:
        image = f"{address}/no/such:image"
        job = deployment.train(f"acme/imageless@{sha} gpu=cpu hours=1 image={image}")
        done = deployment.ended(job, LIMIT)
    assert done.state is JobState.FAILED
    assert image in done.error
    deployment.until(lambda: image in deployment.whispers("ada", job.channel))
    settled(deployment, job)
