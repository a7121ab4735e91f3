"""The practice provider keeps the contract, with real processes of this computer."""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from jobs.clock import SystemClock
from jobs.providers import LaunchOrder, Provider
from jobs.providers.practice import Practice
from tests.contract.suite import ProviderContract
from tests.support.builders import a_need, an_offer
from trainer.wire import ENV_INSTANCE

# What stands in the trainer archive's place here: a first process that would stay for an hour.
STAYS = "import time\ntime.sleep(3600)\n"

_names = itertools.count(1)


class PracticeRig:
    """Practice machines in a folder of their own, with a program that stays until it is ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = str(uuid.uuid4())
        self.need = a_need()
        self.clock = SystemClock()
        self.archive = folder / "stays.py"
        self.archive.write_text(STAYS)
        self.provider: Provider = self._practice(self.home)

    def _practice(self, home: str) -> Practice:
        return Practice(
            folder=self.folder / "machines",
            home=home,
            clock=self.clock,
            price=lambda need: an_offer(provider="practice", gpu=need.gpu) if need.gpu == "a100" else None,
            archive=self.archive,
        )

    def neighbour(self) -> Provider:
        return self._practice(str(uuid.uuid4()))

    def order(self, name: str, *, lasts: timedelta) -> LaunchOrder:
        deadline = self.clock.now() + lasts
        key = f"hg-{self.home[:8]}-job{next(_names)}{name}-a1-r0"
        tags = {"app": "hourglass", "home": self.home, "job": name, "deadline": str(int(deadline.timestamp()))}
        return LaunchOrder(
            launch_key=key,
            tags={**tags, "key": key},
            deadline=deadline,
            image=None,
            store=(self.folder / "store").as_uri(),
            job=name,
            attempt=1,
            rank=0,
            env={},
            gpus=1,
            disk_gb=1,
            shm_gb=0,
        )

    def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        give_up = time.monotonic() + limit.total_seconds()
        while not (held := condition()) and time.monotonic() < give_up:
            time.sleep(0.05)
        return held

    def alive(self) -> int:
        return len({instance for instance in map(_instance_of, psutil.process_iter()) if self.home[:8] in instance})

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        machines = self.folder / "machines"
        aside = self.folder / "aside"
        machines.mkdir(exist_ok=True)
        machines.rename(aside)
        machines.write_text("a file where the folder should be")
        try:
            yield
        finally:
            machines.unlink()
            aside.rename(machines)


def _instance_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(ENV_INSTANCE, "")
    except psutil.Error:
        return ""


class TestPractice(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[PracticeRig]:
        rig = PracticeRig(tmp_path)
        yield rig
        for instance in rig.provider.list():
            rig.provider.terminate(instance)
        assert rig.alive() == 0
