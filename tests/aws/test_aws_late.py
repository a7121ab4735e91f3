"""The contract suite where EC2 tells everything late: machines seen late, booting slowly, ending slowly; by a clock."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from jobs.providers import InstanceState, LaunchOrder, Provider
from jobs.providers.aws import Aws
from jobs.providers.aws_schedule import Schedules
from tests.aws.books import Scripts
from tests.aws.cloud import GROUP, IMAGE, REGION, SCHEDULER_ROLE
from tests.aws.orders import launch_order
from tests.contract.suite import ProviderContract, Rig, cheapest, launched, state
from tests.crashes.aws import OFFER, WIRE, AwsCloud
from tests.support.builders import a_need
from tests.support.clock import FakeClock

_names = itertools.count(1)


class LateRig:
    """moto by a clock of the test's; nothing boots, and only schedules end machines by themselves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cloud = AwsCloud(self.clock, boot_delay=timedelta(seconds=40), end_lag=timedelta(seconds=30))
        self.cloud.unseen = timedelta(seconds=15)
        WIRE.answer = self.cloud._http
        self.home = str(uuid.uuid4())
        self.need = a_need(gpu=OFFER.gpu)
        self.provider: Provider = self.of(self.home)

    def of(self, home: str) -> Aws:
        return Aws(
            home=home,
            regions=(REGION,),
            prices=(OFFER,),
            boot=Scripts(),
            clients=WIRE.client,
            image=IMAGE,
            schedules=Schedules(role=SCHEDULER_ROLE, group=GROUP, clients=WIRE.client),
            monotonic=self.clock.monotonic,
        )

    def neighbour(self) -> Provider:
        return self.of(str(uuid.uuid4()))

    def order(self, name: str, *, lasts: timedelta) -> LaunchOrder:
        # What boots that slowly has no use of a deadline before.
        ends = (self.clock.now() + lasts + timedelta(minutes=2)).replace(microsecond=0)
        return launch_order("s3://team-files/hg", home=self.home, job=f"job{next(_names)}{name}", deadline=ends)

    def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        for _ in range(int((limit + timedelta(minutes=2)).total_seconds()) + 1):
            if condition():
                return True
            self.clock.advance(1)
        return False

    def alive(self) -> int:
        return len(self.cloud.alive())

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        before, WIRE.answer = WIRE.answer, lambda *_: (503, {"Content-Type": "text/xml"}, b"")
        try:
            yield
        finally:
            WIRE.answer = before


@pytest.fixture
def rig() -> LateRig:
    return LateRig()


class TestAwsTellsLate(ProviderContract):
    """The suite; the fixture above is its rig."""

    def test_a_machine_goes_through_all_its_states_and_is_never_absent_in_between(self, rig: Rig) -> None:
        order = rig.order("a", lasts=timedelta(minutes=5))
        instance = rig.provider.launch(cheapest(rig), order)
        seen: list[InstanceState | None] = []

        def look() -> bool:
            seen.append(state(rig, order))
            return seen[-1] is InstanceState.RUNNING

        assert rig.until(look, timedelta(minutes=1))
        rig.provider.terminate(instance)
        assert rig.until(lambda: seen.append(state(rig, order)) or seen[-1] is InstanceState.GONE, timedelta(minutes=1))
        assert list(dict.fromkeys(seen)) == [
            InstanceState.PENDING,
            InstanceState.RUNNING,
            InstanceState.ENDING,
            InstanceState.GONE,
        ]

    def test_another_bot_sees_a_fresh_machine_only_once_ec2_lists_it(self, rig: LateRig) -> None:
        order = rig.order("a", lasts=timedelta(minutes=5))
        rig.provider.launch(cheapest(rig), order)
        other = rig.of(rig.home)
        assert other.find(order.launch_key) is None and list(other.list()) == []
        assert rig.until(lambda: other.find(order.launch_key) is not None, timedelta(seconds=16))

    def test_a_moved_deadline_holds_and_its_tag_says_so_or_the_move_is_refused(self, rig: Rig) -> None:
        order, instance = launched(rig)
        later = order.deadline + timedelta(minutes=10)
        rig.provider.extend(instance, later)
        found = rig.provider.find(order.launch_key)
        assert found is not None and found.limit == later
        assert found.tags["deadline"] == str(int(later.timestamp()))
