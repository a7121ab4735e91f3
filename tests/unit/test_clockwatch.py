"""Whether the wall clock may be believed: compared with the monotonic one, and with a clock that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from jobs.clockwatch import ClockWatch
from tests.support.clock import START, FakeClock


def test_a_steady_clock_is_trusted() -> None:
    clock = FakeClock()
    watch = ClockWatch(clock)
    for _ in range(3):
        clock.advance(hours=1)
        assert watch.trusted()


@pytest.mark.parametrize("hours", [3, -3])
def test_another_clock_decides_about_a_jump(hours: int) -> None:
    clock, other = FakeClock(), FakeClock()
    watch = ClockWatch(clock, other.now)
    assert watch.trusted()
    clock.jump(timedelta(hours=hours))
    assert [watch.trusted(), watch.trusted()] == [False, False]
    clock.jump(timedelta(hours=-hours))
    assert watch.trusted()
    clock.jump(timedelta(hours=hours))
    other.jump(timedelta(hours=hours))
    assert watch.trusted()  # a suspended laptop: the other clock agrees


@pytest.mark.parametrize("first", [ClockWatch.steady, ClockWatch.trusted])
def test_a_clock_that_is_wrong_from_the_start_is_not_believed_where_another_can_be_asked(
    first: Callable[[ClockWatch], bool],
) -> None:
    clock, other = FakeClock(), FakeClock()
    clock.jump(timedelta(hours=2))
    watch = ClockWatch(clock, other.now)
    assert [first(watch), watch.steady(), watch.trusted(), watch.steady()] == [False] * 4
    clock.jump(timedelta(hours=-2))
    assert [watch.trusted(), watch.steady()] == [True, True]
    assert ClockWatch(clock).trusted()  # with nobody to ask it is what it is


def test_a_clock_that_nobody_has_confirmed_yet_is_asked_about_until_somebody_has() -> None:
    clock, told = FakeClock(), [None, FakeClock().now() + timedelta(hours=2)]
    watch = ClockWatch(clock, lambda: told.pop(0) if told else clock.now())
    assert [watch.trusted() for _ in range(4)] == [True, False, True, True]


def test_without_another_clock_a_jump_costs_one_pass() -> None:
    clock = FakeClock()
    watch = ClockWatch(clock)
    watch.trusted()
    clock.jump(timedelta(minutes=5))
    assert [watch.trusted() for _ in range(3)] == [False, True, True]


def test_a_clock_that_another_one_contradicted_is_not_believed_while_that_one_is_silent() -> None:
    clock = FakeClock()
    told: list[datetime | None] = [START]
    watch = ClockWatch(clock, lambda: told[0])
    assert watch.trusted()
    clock.jump(timedelta(hours=2))
    assert not watch.trusted()
    told[0] = None  # a provider that fails, say
    for _ in range(3):
        clock.advance(30)
        assert not watch.trusted()
    clock.jump(timedelta(hours=-2))
    assert watch.trusted()  # set right: as the other clock would show by now
    clock.jump(timedelta(hours=2))
    assert [watch.trusted(), watch.trusted()] == [False, True]  # and what it said then is over


@pytest.mark.parametrize(("seconds", "trusted"), [(60, True), (-60, True), (61, False), (-61, False)])
def test_clocks_may_part_by_a_minute(seconds: int, trusted: bool) -> None:
    clock, other = FakeClock(), FakeClock()
    watch = ClockWatch(clock)
    assert watch.trusted()
    clock.jump(timedelta(seconds=seconds))
    assert [watch.steady(), watch.trusted(), watch.steady()] == [trusted] * 3
    asking = ClockWatch(clock, other.now)
    assert [asking.steady(), asking.trusted()] == [trusted] * 2


def test_nobody_is_asked_about_a_clock_that_was_confirmed_and_goes_on() -> None:
    clock, asked = FakeClock(), list[datetime]()

    def other() -> datetime:
        asked.append(clock.now())
        return clock.now()

    watch = ClockWatch(clock, other)
    for _ in range(3):
        clock.advance(3600)
        assert watch.steady()
        assert watch.trusted()
    assert len(asked) == 1


def test_a_doubt_is_logged_with_both_times() -> None:
    clock, other = FakeClock(), FakeClock()
    watch = ClockWatch(clock, other.now)
    watch.trusted()
    clock.jump(timedelta(hours=1))
    with capture_logs() as wrong:
        watch.trusted()
    other.jump(timedelta(hours=3))
    clock.jump(timedelta(hours=2))
    with capture_logs() as doubted:  # it is known to be in doubt: how far it jumped is nobody's question
        watch.trusted()
    other.jump(timedelta(hours=-3))
    clock.jump(timedelta(hours=-3))
    with capture_logs() as jumped:
        watch.trusted()
    now, then = (START + timedelta(hours=1)).isoformat(), START.isoformat()
    assert wrong == [{"event": "clock.wrong", "log_level": "error", "now": now, "other": then}]
    assert doubted == []
    assert jumped == [{"event": "clock.jumped", "log_level": "warning", "by": 10800.0, "now": then}]
    alone = ClockWatch(clock)
    alone.trusted()
    clock.jump(timedelta(minutes=5))
    with capture_logs() as unasked:
        alone.trusted()
    later = (START + timedelta(minutes=5)).isoformat()
    assert unasked == [{"event": "clock.jumped", "log_level": "warning", "by": 300.0, "now": later}]
