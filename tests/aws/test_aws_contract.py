"""The aws provider keeps the contract: moto's books, machines that boot, and the engine of this computer."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.providers import LaunchOrder, Provider
from tests.aws.cloud import Cloud
from tests.aws.harness import LIVE, Machines, aws, bootstrap, engine_cloud, open_bucket, until
from tests.aws.orders import launch_order
from tests.contract.suite import ProviderContract, Rig, gone, launched
from tests.support.builders import a_need
from tests.support.workload import ask, put_work
from trainer import archive

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180), pytest.mark.xdist_group("engine aws")]

_names = itertools.count(1)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive.build(tmp_path_factory.mktemp("archive") / "trainer.pyz", with_s3=True)


class AwsRig:
    """Machines that boot in a cloud on this computer."""

    def __init__(self, cloud: Cloud, machines: Machines, agent: Path) -> None:
        self.cloud = cloud
        self.machines = machines
        self.uri = cloud.bucket("team-files")
        self.store = open_bucket(cloud, self.uri)
        self.scripts = bootstrap(cloud, self.uri, agent, notice=f"aws={machines.metadata.url}")
        self.home = str(uuid.uuid4())
        self.need = a_need(gpu="cpu", count=0)
        self.provider: Provider = aws(cloud, self.scripts, home=self.home, schedules=cloud.with_schedules())

    def neighbour(self) -> Provider:
        return aws(self.cloud, self.scripts, home=str(uuid.uuid4()))

    def order(self, name: str, *, lasts: timedelta) -> LaunchOrder:
        order = launch_order(
            self.uri, home=self.home, job=f"job{next(_names)}{name}", deadline=datetime.now(UTC) + lasts
        )
        put_work(self.store, order, commands=["trap '' TERM", "sleep 3600"], grace=0.5)
        ask(self.store, order)
        return order

    def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        return until(condition, limit.total_seconds())

    def alive(self) -> int:
        return len(self.cloud.instances(*LIVE))

    def unreachable(self) -> AbstractContextManager[None]:
        return self.cloud.front.down()


@pytest.fixture
def rig(agent: Path) -> Iterator[AwsRig]:
    with engine_cloud() as cloud, Machines(cloud) as machines:
        yield AwsRig(cloud, machines, agent)


class TestAws(ProviderContract):
    """The suite; the fixture above is its rig.

    A machine looks at its deadline's tag each ten seconds, and its container at the control file, which is the bot's to
    write: what a moved deadline does to both is told in `test_aws_machine`, at that pace.
    """

    def test_a_moved_deadline_holds_and_its_tag_says_so_or_the_move_is_refused(self, rig: Rig) -> None:
        order, instance = launched(rig)
        later = order.deadline + timedelta(minutes=10)
        rig.provider.extend(instance, later)
        found = rig.provider.find(order.launch_key)
        assert found is not None and found.tags["deadline"] == str(int(later.timestamp()))
        assert found.limit is not None and timedelta(0) <= found.limit - later <= timedelta(seconds=1)

    def test_a_deadline_moved_closer_ends_it_then(self, rig: Rig) -> None:
        order, instance = launched(rig)
        rig.provider.extend(instance, datetime.now(UTC) + timedelta(seconds=15))
        assert rig.until(lambda: gone(rig, order), timedelta(seconds=15 + 10) + rig.provider.traits.hard_lag)
