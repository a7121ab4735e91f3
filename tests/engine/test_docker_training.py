"""PyTorch trains in a container of a real engine: it finishes, it meets its deadline, it is stopped, it is killed."""

from __future__ import annotations

import dataclasses
import io
import os
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import docker
import pytest

from jobs.clock import SystemClock
from jobs.providers import Instance, InstanceState, LaunchOrder
from jobs.providers.docker import Docker
from tests.support import engine, workload
from tests.support.builders import a_need
from trainer import wire
from trainer.archive import build
from trainer.storage import FolderStore

WITHOUT_TORCH = pytest.mark.skipif(
    find_spec("torch") is None, reason="the checkpoints are loaded with it: pip install -e '.[torch]'"
)
pytestmark = [pytest.mark.engine, pytest.mark.slow, WITHOUT_TORCH]

TRAIN = (Path(__file__).parent / "train.py").read_text()


class Ground:
    """One engine, one folder store, one home."""

    def __init__(self, folder: Path) -> None:
        self.home = str(uuid.uuid4())
        self.clock = SystemClock()
        self.store = FolderStore(folder / "store")
        self.client = docker.from_env(version="auto", timeout=60)
        self.provider = Docker(
            home=self.home,
            clock=self.clock,
            archive=build(folder / "trainer.pyz", with_s3=False),
            connect=lambda: self.client,
        )
        self.order: LaunchOrder

    def train(self, command: str, *, lasts: timedelta, grace: float = 2.0) -> Instance:
        deadline = self.clock.now() + lasts
        key = f"hg-{self.home[:8]}-train-a1-r0"
        self.order = LaunchOrder(
            launch_key=key,
            tags={"app": "hourglass", "home": self.home, "job": "train", "deadline": str(int(deadline.timestamp()))},
            deadline=deadline,
            image=self.provider.pin(engine.TORCH),
            store=self.store.root.as_uri(),
            job="train",
            attempt=1,
            rank=0,
            env={},
            gpus=0,
            disk_gb=1,
            shm_gb=1,
        )
        workload.put_work(self.store, self.order, commands=[command], files={"train.py": TRAIN}, grace=grace)
        return self.provider.launch(self.provider.offers(a_need(gpu="cpu", count=0))[0], self.order)

    def state(self) -> InstanceState | None:
        found = self.provider.find(self.order.launch_key)
        return found.state if found is not None else None

    def ended(self) -> bool:
        return self.state() is InstanceState.GONE

    def steps(self) -> list[int]:
        told = (event for event in workload.events(self.store, self.order) if event.kind is wire.EventKind.METRIC)
        return [event.data["step"] for event in told if "loss" in event.data["values"]]

    def checkpoint(self) -> dict[str, object]:
        """Return what the newest whole checkpoint holds, as anybody who follows the link would load it."""
        told = [event for event in workload.events(self.store, self.order) if event.kind is wire.EventKind.CHECKPOINT]
        manifest = wire.from_json(wire.Manifest, self.store.get(told[-1].data["manifest"]) or b"")
        key = f"{told[-1].data['manifest'].rpartition('/')[0]}/{manifest.files[0].path}"
        import torch  # takes seconds, which no run without an engine should pay

        loaded: dict[str, object] = torch.load(io.BytesIO(self.store.get(key) or b""), weights_only=True)
        return loaded


def until(condition: Callable[[], bool], seconds: float = 90.0) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    give_up = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < give_up:
        time.sleep(0.1)
    return held


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    engine.require(engine.TORCH)
    ground = Ground(tmp_path)
    yield ground
    for instance in ground.provider.list():
        ground.provider.terminate(instance)
    ground.client.close()
    assert engine.containers(ground.home, ended=True) == []


def test_a_training_that_finishes_leaves_its_curve_its_checkpoint_and_no_container(ground: Ground) -> None:
    instance = ground.train("python train.py 60 0.01", lasts=timedelta(minutes=5))
    assert until(ground.ended)
    outcome = workload.outcome(ground.store, ground.order)
    assert outcome is not None and (outcome["reason"], outcome["code"]) == ("finished", 0)
    assert ground.steps()[-1] == 60
    checkpoint = ground.checkpoint()
    weight = checkpoint["model"]["weight"].item()  # type: ignore[index]  # what torch saved
    assert checkpoint["step"] == 60 and abs(weight - 3) < 0.1
    ground.provider.terminate(instance)
    assert engine.containers(ground.home, ended=True) == []


def test_at_the_deadline_the_grace_brings_a_checkpoint_and_the_container_ends_by_itself(ground: Ground) -> None:
    ground.train("python train.py 100000 0.05", lasts=timedelta(minutes=5), grace=10.0)
    assert until(lambda: len(ground.steps()) > 3)
    # Moved to where it can be waited for: how long an image's torch takes to load is nothing to bet a deadline on.
    deadline = ground.clock.now() + timedelta(seconds=14)
    workload.ask(ground.store, dataclasses.replace(ground.order, deadline=deadline))
    assert until(ground.ended)
    assert ground.clock.now() - deadline < ground.provider.traits.hard_lag
    outcome = workload.outcome(ground.store, ground.order)
    assert outcome is not None and outcome["reason"] == "deadline"
    assert ground.checkpoint()["step"] == ground.steps()[-1]


def test_one_that_is_deaf_is_ended_at_the_deadline_all_the_same(ground: Ground) -> None:
    ground.train(
        "trap '' TERM; python -c 'import torch, time; time.sleep(3600)'", lasts=timedelta(seconds=8), grace=1.0
    )
    assert until(ground.ended, 40)
    assert ground.clock.now() - ground.order.deadline < ground.provider.traits.hard_lag


def test_a_stop_through_the_control_file_saves_and_says_who_asked(ground: Ground) -> None:
    ground.train("python train.py 100000 0.05", lasts=timedelta(minutes=5), grace=20.0)
    assert until(lambda: len(ground.steps()) > 3)
    workload.ask(ground.store, ground.order, stop=wire.Reason.STOPPED)
    assert until(ground.ended)
    outcome = workload.outcome(ground.store, ground.order)
    assert outcome is not None and outcome["reason"] == "stopped"
    assert ground.checkpoint()["step"] == ground.steps()[-1]


def test_a_killed_container_is_gone_and_leaves_nothing(ground: Ground) -> None:
    instance = ground.train("python train.py 100000 0.05", lasts=timedelta(minutes=5))
    assert until(lambda: len(ground.steps()) > 3)
    ground.provider.terminate(instance)
    assert ground.ended()
    assert engine.containers(ground.home, ended=True) == []
    assert workload.outcome(ground.store, ground.order) is None


def test_its_files_belong_to_whom_the_bot_can_read_and_remove(ground: Ground) -> None:
    ground.train("python train.py 5 0", lasts=timedelta(minutes=5))
    assert until(ground.ended)
    files = [path for path in (ground.store.root / "jobs").rglob("*") if path.is_file()]
    assert files and all(os.access(path, os.R_OK | os.W_OK) for path in files)
