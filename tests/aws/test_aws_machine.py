"""The boot script on a machine: in a real container, with this computer's engine, against S3 as moto speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.providers import Instance, InstanceState
from jobs.providers.aws import Aws
from tests.aws.cloud import Cloud
from tests.aws.harness import (
    HOW_TO_GET_AN_ENGINE,
    Machines,
    aws,
    bootstrap,
    engine_cloud,
    engine_runs,
    open_bucket,
    prices,
    until,
)
from tests.aws.jobs_at_hand import boot_log, events, launch_order, lay, outcome
from trainer import archive, wire
from trainer.storage import S3Store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not engine_runs(), reason=HOW_TO_GET_AN_ENGINE),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive.build(tmp_path_factory.mktemp("archive") / "trainer.pyz", with_s3=True)


@dataclass
class Ground:
    """A cloud whose machines boot, a bucket in it, and the provider."""

    cloud: Cloud
    machines: Machines
    uri: str
    store: S3Store
    provider: Aws
    home: str

    def rent(self, job: str, commands: list[str], lasts: float, **order: object) -> Instance:
        """Lay the job ready and launch its machine, to end `lasts` seconds from now."""
        deadline = datetime.now(UTC) + timedelta(seconds=lasts)
        lay(self.store, job, commands, deadline)
        asked = launch_order(self.cloud, self.uri, home=self.home, job=job, deadline=deadline, **order)  # type: ignore[arg-type]  # tests pass what it takes
        return self.provider.launch(prices()[0], asked)

    def state(self, job: str) -> InstanceState | None:
        found = self.provider.find(f"hg-{self.home[:8]}-{job}-a1-r0")
        return found.state if found else None


@pytest.fixture
def ground(agent: Path) -> Iterator[Ground]:
    home = str(uuid4())
    with engine_cloud() as cloud, Machines(cloud) as machines:
        uri = cloud.bucket("team-files")
        provider = aws(cloud, bootstrap(cloud, uri, agent), home=home)
        yield Ground(cloud, machines, uri, open_bucket(cloud, uri), provider, home)


def test_a_machine_boots_trains_tells_uploads_and_ends_its_own_rental(ground: Ground) -> None:
    secret = "two lines,\none 'quote'"
    machine = ground.rent("train1", ["python3 train.py 20"], 120, secrets={"TOKEN": secret})
    assert until(lambda: outcome(ground.store, "train1") is not None, 60), ground.machines.console(machine.id)
    assert (outcome(ground.store, "train1") or {})["reason"] == wire.Reason.FINISHED, outcome(ground.store, "train1")

    told = events(ground.store, "train1")
    losses = [e.data["values"]["loss"] for e in told if e.kind is wire.EventKind.METRIC and "loss" in e.data["values"]]
    assert losses[0] == 4.0
    assert losses[-1] == pytest.approx(0.2)
    manifest = next(e.data["manifest"] for e in told if e.kind is wire.EventKind.CHECKPOINT)
    files = wire.from_json(wire.Manifest, ground.store.get(manifest) or b"").files
    assert [file.path for file in files] == ["ckpt.pt"]

    assert until(lambda: ground.state("train1") is InstanceState.GONE, 30), ground.machines.console(machine.id)
    assert ground.machines.powered() == []
    log = boot_log(ground.store, "train1")
    assert "powers off in" in log
    assert "The container ended with 0." in log
    assert log.rstrip().endswith("The machine powers off.")
    assert list(ground.store.keys("launch/train1")) == ["launch/train1/a1-r0/script"]
