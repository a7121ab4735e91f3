"""The fake cloud keeps what every provider has to keep, with its layers on and with them off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from jobs.providers import LaunchOrder, Need, Provider
from tests.contract.suite import ProviderContract
from tests.simulation.cloud import Cloud, CloudProvider, TrueTime
from tests.simulation.layers import DEAD_BOT, Ground
from tests.simulation.weather import Menu, Spell, Weather, Window
from tests.support.builders import a_need, an_offer
from tests.support.clock import FakeClock

STEP = 1.0


class CloudRig:
    """A fake cloud of one kind, and a clock that moves when the suite waits."""

    home = "home-1"

    def __init__(self, ground: Ground) -> None:
        self.clock = FakeClock()
        prices = [an_offer(provider=ground.traits.name), an_offer(provider=ground.traits.name, name="gpu-8x", gpus=8)]
        menu = Menu(end_lag=(3.0, 20.0), forget_after=timedelta(hours=1))
        self.cloud = Cloud(TrueTime(self.clock), ground, Weather("contract", menu), prices)
        self.provider: Provider = CloudProvider(self.cloud, self.home)
        self.need: Need = a_need()

    def neighbour(self) -> Provider:
        """Return the same cloud for another home."""
        return CloudProvider(self.cloud, "home-2")

    def order(self, name: str, *, lasts: timedelta) -> LaunchOrder:
        """Return an order of this home."""
        deadline = self.clock.now() + lasts
        tags = {"home": self.home, "key": f"key-{name}", "deadline": str(int(deadline.timestamp()))}
        return LaunchOrder(
            launch_key=f"key-{name}",
            tags=tags,
            deadline=deadline,
            image=None,
            store="file:///nowhere",
            job="job1",
            attempt=1,
            rank=0,
            env={},
            gpus=1,
            disk_gb=10,
            shm_gb=1,
        )

    def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        """Let the clock run until the condition holds."""
        for _ in range(int(limit.total_seconds() / STEP) + 1):
            if condition():
                return True
            self.clock.advance(STEP)
        return condition()

    def alive(self) -> int:
        """Return how many machines are billed."""
        return len(self.cloud.alive())

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Let every call fail for a while."""
        now = self.clock.now()
        window = Window(spell=Spell.DOWN, begins=now, ends=now + timedelta(days=1))
        self.cloud.weather.windows.append(window)
        try:
            yield
        finally:
            self.cloud.weather.windows.remove(window)


@pytest.fixture(params=[one for one in DEAD_BOT if one.name != "alibaba"], ids=lambda ground: ground.name)
def rig(request: pytest.FixtureRequest) -> CloudRig:
    """Return each kind of cloud in turn; the one with a floor of half an hour has a test of its own."""
    return CloudRig(request.param)


class TestCloud(ProviderContract):
    """The suite over the fake cloud."""


def test_a_limit_has_whole_minutes_and_lies_half_an_hour_ahead_at_least_where_the_cloud_wants_it() -> None:
    rig = CloudRig(next(one for one in DEAD_BOT if one.name == "alibaba"))
    offer = rig.provider.offers(rig.need)[0]
    rig.provider.launch(offer, rig.order("short", lasts=timedelta(minutes=5, seconds=1)))
    rig.provider.launch(offer, rig.order("long", lasts=timedelta(minutes=45, seconds=1)))
    assert not rig.until(lambda: rig.alive() < 2, timedelta(minutes=29, seconds=58))
    assert rig.until(lambda: rig.alive() < 2, timedelta(seconds=3))
    assert not rig.until(lambda: rig.alive() == 0, timedelta(minutes=15))
    assert rig.until(lambda: rig.alive() == 0, timedelta(minutes=1))
