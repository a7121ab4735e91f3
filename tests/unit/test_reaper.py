"""The reaper ends what is past its deadline by the tags alone, and nothing else, whoever fails beside it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from datetime import timedelta

import pytest

from jobs.errors import Unknown
from jobs.providers import Instance, InstanceState, LaunchOrder
from jobs.reaper import Reaper
from tests.support.builders import an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider

HOME = "6f1f7d5c-0000-4000-8000-000000000001"


def an_order(clock: FakeClock, name: str = "a", *, hours: float = 1.0, **tags: str) -> LaunchOrder:
    """Return an order of HOME whose deadline is that many hours away; `tags` replace its own."""
    deadline = clock.now() + timedelta(hours=hours)
    key = f"hg-6f1f7d5c-{name}-a1-r0"
    own = {"app": "hourglass", "home": HOME, "job": name, "deadline": str(int(deadline.timestamp())), "key": key}
    return LaunchOrder(
        launch_key=key,
        tags={**own, **tags},
        deadline=deadline,
        image=None,
        store="file:///store",
        job=name,
        attempt=1,
        rank=0,
        env={},
        gpus=1,
        disk_gb=1,
        shm_gb=1,
    )


class Lagging:
    """A provider whose listing shows what the test says."""

    def __init__(self, provider: FakeProvider, shown: list[Instance]) -> None:
        self._provider, self._shown = provider, shown

    def list(self) -> list[Instance]:
        """List what was there a while ago."""
        return list(self._shown)

    def terminate(self, instance: Instance) -> None:
        """End it."""
        self._provider.terminate(instance)


class Narrow:
    """A provider under a role that may list and terminate: everything else is refused."""

    def __init__(self, provider: FakeProvider) -> None:
        self._provider = provider

    def __getattr__(self, verb: str) -> object:
        if verb in ("list", "terminate"):
            return getattr(self._provider, verb)
        raise PermissionError(f"The role may not {verb}.")


def running(provider: FakeProvider) -> list[str]:
    """Return the jobs whose machines cost money now."""
    return sorted(machine.order.job for machine in provider.alive())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cloud(clock: FakeClock) -> FakeProvider:
    return FakeProvider(clock)


def test_what_is_past_its_deadline_ends_and_what_is_not_stays(clock: FakeClock, cloud: FakeProvider) -> None:
    cloud.launch(an_offer(), an_order(clock, "short", hours=1))
    cloud.launch(an_offer(), an_order(clock, "long", hours=2))
    reaper = Reaper({"cloud": cloud}, clock, HOME)
    assert reaper.round().ended == []
    clock.advance(hours=1, minutes=1)
    report = reaper.round()
    assert (len(report.ended), len(report.kept)) == (1, 1)
    assert running(cloud) == ["long"]


def test_the_deadline_is_the_tags_and_not_the_orders(clock: FakeClock, cloud: FakeProvider) -> None:
    soon = str(int((clock.now() + timedelta(minutes=1)).timestamp()))
    cloud.launch(an_offer(), an_order(clock, hours=9, deadline=soon))
    clock.advance(minutes=3)
    Reaper({"cloud": cloud}, clock, HOME).round()
    assert running(cloud) == []


def test_another_homes_machines_are_left_alone(clock: FakeClock, cloud: FakeProvider) -> None:
    cloud.launch(an_offer(), an_order(clock, home="another"))
    clock.advance(hours=5)
    report = Reaper({"cloud": cloud}, clock, HOME).round()
    assert running(cloud) == ["a"]
    assert (report.ended, report.kept, report.unread) == ([], [], [])


@pytest.mark.parametrize("tag", ["", "soon", "12:00", "1e400", "99999999999999999999"])
def test_without_a_deadline_that_can_be_read_it_acts_on_nothing_and_says_so(
    clock: FakeClock, cloud: FakeProvider, tag: str
) -> None:
    instance = cloud.launch(an_offer(), an_order(clock, deadline=tag))
    clock.advance(hours=50)
    report = Reaper({"cloud": cloud}, clock, HOME).round()
    assert running(cloud) == ["a"]
    assert report.unread == [f"{instance.provider}/{instance.id}"]
    assert instance.id in str(report)


def test_a_provider_that_fails_does_not_keep_the_next_from_ending(clock: FakeClock, cloud: FakeProvider) -> None:
    broken = FakeProvider(clock, traits=some_traits(name="broken"))
    defective = FakeProvider(clock, traits=some_traits(name="defective"))
    broken.down = Unknown("The cloud did not answer.")
    defective.fail("list", ZeroDivisionError())
    cloud.launch(an_offer(), an_order(clock))
    clock.advance(hours=2)
    report = Reaper({"broken": broken, "defective": defective, "cloud": cloud}, clock, HOME).round()
    assert running(cloud) == []
    assert report.failed == {"broken": "The cloud did not answer.", "defective": "ZeroDivisionError"}


def test_a_machine_that_would_not_end_does_not_keep_the_next_and_is_met_again(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    cloud.launch(an_offer(), an_order(clock, "a"))
    cloud.launch(an_offer(), an_order(clock, "b"))
    cloud.fail("terminate", Unknown("No answer."))
    clock.advance(hours=2)
    reaper = Reaper({"cloud": cloud}, clock, HOME)
    assert (len(reaper.round().failed), len(running(cloud))) == (1, 1)
    reaper.round()
    assert running(cloud) == []


def test_an_end_that_was_accepted_and_did_not_happen_is_asked_for_in_every_round(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    cloud.launch(an_offer(), an_order(clock))
    cloud.deaf = True
    clock.advance(hours=2)
    reaper = Reaper({"cloud": cloud}, clock, HOME)
    assert [len(reaper.round().ended) for _ in range(3)] == [1, 1, 1]
    cloud.deaf = False
    reaper.round()
    assert running(cloud) == []


def test_a_clock_that_jumped_ends_nothing_in_that_round_and_is_believed_in_the_next(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    cloud.launch(an_offer(), an_order(clock))
    reaper = Reaper({"cloud": cloud}, clock, HOME)
    reaper.round()
    clock.jump(timedelta(hours=3))
    report = reaper.round()
    assert (len(report.doubted), report.ended) == (1, [])
    assert "clock is in doubt" in str(report)
    assert running(cloud) == ["a"]
    clock.advance(minutes=1)
    assert len(reaper.round().ended) == 1


def test_a_clock_that_jumped_back_again_has_ended_nothing(clock: FakeClock, cloud: FakeProvider) -> None:
    cloud.launch(an_offer(), an_order(clock))
    reaper = Reaper({"cloud": cloud}, clock, HOME)
    reaper.round()
    clock.jump(timedelta(hours=3))
    reaper.round()
    clock.jump(timedelta(hours=-3))
    clock.advance(minutes=1)
    reaper.round()
    assert running(cloud) == ["a"]


def test_a_deadline_that_was_moved_in_its_last_second_counts_although_the_listing_lags(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    machine = cloud.launch(an_offer(), an_order(clock))
    clock.advance(hours=1)
    lagging = [machine]  # as it was before the deadline moved
    cloud.extend(machine, clock.now() + timedelta(hours=1))
    reaper = Reaper({"cloud": Lagging(cloud, lagging)}, clock, HOME)
    clock.advance(59)
    assert reaper.round().ended == []
    lagging[:] = cloud.list()
    clock.advance(minutes=10)
    assert reaper.round().ended == []
    clock.advance(hours=1)
    assert len(reaper.round().ended) == 1


def test_a_clock_that_is_wrong_from_the_start_ends_nothing_while_another_says_so(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    cloud.launch(an_offer(), an_order(clock))
    right = FakeClock()
    clock.jump(timedelta(days=400))
    reaper = Reaper({"cloud": cloud}, clock, HOME, reference=right.now)
    assert [len(reaper.round().doubted) for _ in range(3)] == [1, 1, 1]
    clock.jump(timedelta(days=-400))
    reaper.round()
    assert running(cloud) == ["a"]
    for each in (clock, right):
        each.advance(hours=2)
    assert len(reaper.round().ended) == 1


def test_it_needs_no_more_than_to_list_and_to_end(clock: FakeClock, cloud: FakeProvider) -> None:
    cloud.launch(an_offer(), an_order(clock))
    clock.advance(hours=2)
    report = Reaper({"cloud": Narrow(cloud)}, clock, HOME).round()
    assert (len(report.ended), report.failed) == (1, {})


def test_a_machine_that_is_gone_is_not_ended_again(clock: FakeClock, cloud: FakeProvider) -> None:
    instance = cloud.launch(an_offer(), an_order(clock))
    cloud.terminate(instance)
    assert dataclasses.replace(cloud.list()[0], state=InstanceState.GONE) == cloud.list()[0]
    clock.advance(hours=2)
    assert Reaper({"cloud": cloud}, clock, HOME).round().ended == []


def test_it_loads_nothing_that_could_open_the_database() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import json, sys, jobs.reaper; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(loaded.stdout))
    assert modules & {"jobs.db", "jobs.engine", "alembic"} == set()
