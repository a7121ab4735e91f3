"""Two containers train one model with the reference loop, lose one of them, and go on with a new one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.lifecycle import TERMINAL, AttemptState, JobState
from jobs.model import Job
from tests.e2e.deployment import Deployment
from tests.support import engine, logs
from trainer import wire
from trainer.storage import FolderStore

# PyTorch is loaded by both machines of both attempts, on whatever the engine's machine has left.
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 300.0
LOOP = Path(__file__).parents[2] / "bot" / "demo" / "chargpt"
# The first attempt would train for hours; what goes on from a checkpoint takes twenty steps more.
STEPS = "$((${HOURGLASS_RESUME_STEP:-100000} + 20))"
TASK = f"""
image: {engine.TORCH}
nodes: 2
commands:
  - python -m torch.distributed.run train.py --steps {STEPS} --save-every 5 --eval-every 1000
    --width 32 --layers 1 --context 32 --batch-size 8
env: {{OMP_NUM_THREADS: "1"}}
checkpoints: {{path: out, upload_every: 1s, keep: 2}}
retry: {{on_events: [interruption]}}
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A bot with this engine; neither a container nor a network is left of it."""
    engine.require(engine.TORCH)
    settings = {"HOURGLASS_DOCKER_RATE": "1.20"}
    with Deployment(tmp_path_factory.mktemp("nodes"), provider="docker", settings=settings) as running:
        running.budget()
        yield running
        home = str(running.settings.home)
    assert engine.containers(home, ended=True) == []
    assert engine.networks(home) == []


def log(deployment: Deployment, job: Job, attempt: int, rank: int) -> str:
    """Return what one machine's command printed."""
    store = FolderStore(Path(deployment.settings.store_uri().removeprefix("file://")))
    return logs.whole(store, f"{wire.attempt_prefix(job.id, attempt, rank)}/log/")


def test_one_of_two_machines_is_killed_and_the_run_goes_on_from_its_checkpoint(deployment: Deployment) -> None:
    files = {path.name: path.read_text() for path in LOOP.glob("*.py")}
    sha = deployment.repository("acme/pair", {**files, ".hourglass.yml": TASK})
    job = deployment.train(f"acme/pair@{sha} gpu=cpu hours=1")
    deployment.until(lambda: saved(deployment, job), limit=LIMIT)
    assert deployment.job(job.id).hold >= 2 * 1_200_000  # both for the hour
    assert len(engine.networks(str(deployment.settings.home))) == 1
    second = deployment.attempts(job)[1]
    subprocess.run(["docker", "kill", second.instance_id or ""], check=True, capture_output=True)

    done = deployment.ended(job, LIMIT)
    assert done.state is JobState.SUCCEEDED, (done.error, done.outcome, log(deployment, job, 1, 0)[-2000:])
    rows = [(row.number, row.rank, row.state) for row in deployment.attempts(job)]
    assert rows == [(number, rank, AttemptState.GONE) for number in (1, 2) for rank in (0, 1)]
    resumed = re.search(r"resuming from \S+ at step (\d+)", log(deployment, job, 2, 0))
    assert resumed is not None and done.step == int(resumed[1]) + 20
    assert deployment.balance(job) == 0


def saved(deployment: Deployment, job: Job) -> bool:
    """Return whether a checkpoint of the job is safe; fails where it has ended."""
    now = deployment.job(job.id)
    assert now.state not in TERMINAL, (now.error, now.outcome)
    return "Checkpoint" in str(deployment.card(job)["blocks"])
