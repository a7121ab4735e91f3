"""What the reaper tells its operator: a line a round, and a log line for each machine that it touched or could not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.errors import Unknown
from jobs.providers import LaunchOrder
from jobs.reaper import Reaper, Report
from tests.support.builders import an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider

HOME = "6f1f7d5c-0000-4000-8000-000000000001"


class Nameless(Exception):
    """A fault without a word of its own."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cloud(clock: FakeClock) -> FakeProvider:
    return FakeProvider(clock)


def rented(clock: FakeClock, cloud: FakeProvider, job: str = "a", **tags: str) -> str:
    """Return a machine of one hour, as reports name it."""
    deadline = clock.now() + timedelta(hours=1)
    own = {"home": HOME, "job": job, "deadline": str(int(deadline.timestamp())), "key": job}
    order = LaunchOrder(
        launch_key=job,
        tags={**own, **tags},
        deadline=deadline,
        image=None,
        store="file:///store",
        job=job,
        attempt=1,
        rank=0,
        env={},
        gpus=1,
        disk_gb=1,
        shm_gb=1,
    )
    return f"cloud/{cloud.launch(an_offer(), order).id}"


def told(reaper: Reaper) -> tuple[Report, list[dict[str, Any]]]:
    """Return the report of one round and what was logged in it."""
    with capture_logs() as lines:
        report = reaper.round()
    return report, [dict(line) for line in lines]


def test_an_end_is_logged_with_its_machine_its_job_and_how_late_it_was(clock: FakeClock, cloud: FakeProvider) -> None:
    machine = rented(clock, cloud)
    clock.advance(timedelta(hours=2, seconds=0.4))
    report, lines = told(Reaper({"cloud": cloud}, clock, HOME))
    assert (report.ended, report.kept, report.failed) == ([machine], [], {})
    assert lines == [
        {"event": "reap.ended", "log_level": "warning", "machine": machine, "job": "a", "seconds_late": 3600}
    ]
    assert str(report) == "1 ended; 0 in their time"


def test_a_deadline_that_cannot_be_read_is_logged_with_its_tag(clock: FakeClock, cloud: FakeProvider) -> None:
    first, second = rented(clock, cloud, "a", deadline="soon"), rented(clock, cloud, "b", deadline="later")
    report, lines = told(Reaper({"cloud": cloud}, clock, HOME))
    assert lines == [
        {"event": "reap.no_deadline", "log_level": "error", "machine": first, "tag": "soon"},
        {"event": "reap.no_deadline", "log_level": "error", "machine": second, "tag": "later"},
    ]
    assert str(report) == (
        f"0 ended; 0 in their time; no readable deadline on {first}, {second}: look at them yourself"
    )


def test_each_failure_is_logged_with_what_was_answered(clock: FakeClock, cloud: FakeProvider) -> None:
    away = FakeProvider(clock, traits=some_traits(name="away"))
    away.down = Unknown("No answer.")
    machine = rented(clock, cloud)
    cloud.fail("terminate", Nameless())
    clock.advance(hours=2)
    report, lines = told(Reaper({"away": away, "cloud": cloud}, clock, HOME))
    assert report.failed == {"away": "No answer.", machine: "Nameless"}
    assert lines == [
        {"event": "reap.failed", "log_level": "error", "who": "away", "error": "No answer.", "kind": "Unknown"},
        {"event": "reap.failed", "log_level": "error", "who": machine, "error": "Nameless", "kind": "Nameless"},
    ]
    assert str(report) == f"0 ended; 0 in their time; away failed: No answer.; {machine} failed: Nameless"


def test_one_machine_that_is_not_ours_does_not_end_the_round(clock: FakeClock, cloud: FakeProvider) -> None:
    rented(clock, cloud, "theirs", home="another")
    mine = rented(clock, cloud, "mine")
    clock.advance(hours=2)
    report, _ = told(Reaper({"cloud": cloud}, clock, HOME))
    assert report.ended == [mine]


def test_a_machine_with_no_tags_at_all_is_not_ours(clock: FakeClock, cloud: FakeProvider) -> None:
    rented(clock, cloud)
    cloud.machines[0].tags.clear()
    clock.advance(hours=2)
    report, lines = told(Reaper({"cloud": cloud}, clock, HOME))
    assert (report, lines) == (Report(), [])


def test_a_report_says_only_what_there_is() -> None:
    assert str(Report()) == "0 ended; 0 in their time"
    whole = str(Report(ended=["c/1"], kept=["c/2", "c/3"], doubted=["c/4"]))
    assert whole.startswith("1 ended; 2 in their time; 1 left for the next round because the clock ")


# ---------------------------------------------------------------- the other clock


def test_a_clock_that_another_contradicts_ends_nothing_and_both_times_are_logged(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    machine = rented(clock, cloud)
    clock.advance(hours=2)
    other = clock.now() - timedelta(minutes=1, seconds=1)
    report, lines = told(Reaper({"cloud": cloud}, clock, HOME, reference=lambda: other))
    assert (report.doubted, report.ended) == ([machine], [])
    assert lines == [
        {
            "event": "clock.wrong",
            "log_level": "error",
            "now": clock.now().isoformat(),
            "other": other.isoformat(),
        }
    ]


def test_a_minute_apart_is_no_contradiction_and_who_agreed_once_is_not_asked_again(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    machine = rented(clock, cloud)
    asked: list[str] = []

    def other() -> datetime:
        asked.append("what time is it?")
        return clock.now() + timedelta(minutes=1)

    reaper = Reaper({"cloud": cloud}, clock, HOME, reference=other)
    report, lines = told(reaper)
    assert (report.kept, lines) == ([machine], [])
    clock.advance(hours=2)
    report, _ = told(reaper)
    assert (report.ended, len(asked)) == ([machine], 1)


def test_a_clock_that_jumped_is_believed_at_once_where_another_one_confirms_it(
    clock: FakeClock, cloud: FakeProvider
) -> None:
    machine = rented(clock, cloud)
    reaper = Reaper({"cloud": cloud}, clock, HOME, reference=clock.now)
    reaper.round()
    clock.jump(timedelta(hours=3))
    report, _ = told(reaper)
    assert report.ended == [machine]


def test_a_machine_in_its_last_minute_is_named_as_kept(clock: FakeClock, cloud: FakeProvider) -> None:
    machine = rented(clock, cloud)
    report, lines = told(Reaper({"cloud": cloud}, clock, HOME))
    assert (report.kept, report.doubted, lines) == ([machine], [], [])
