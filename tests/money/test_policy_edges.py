"""Decisions at their edges: the micro, the minute and the default at which one answer turns into another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs import policy
from jobs.errors import NoCapacity, Scope
from jobs.policy import No, Why
from jobs.providers import Need
from jobs.values import DOLLAR, SpotPolicy
from tests.support.builders import a_spec, a_team, an_offer, some_traits

HOUR = timedelta(hours=1)
PER_DISK = some_traits(disk_micros_per_gb_hour=100, minimum=timedelta(0))


# ---------------------------------------------------------------- bills


def test_a_machine_without_a_disk_pays_for_none() -> None:
    assert policy.bill(micros_per_hour=DOLLAR, ran=HOUR, traits=PER_DISK) == DOLLAR


def test_a_bill_for_a_time_that_ran_backwards_is_nothing() -> None:
    """A provider's clock may be ahead of ours; nobody is paid for that."""
    backwards = some_traits(minimum=-HOUR)
    assert policy.bill(micros_per_hour=DOLLAR, ran=-HOUR, traits=backwards) == 0


def test_a_bill_beyond_what_a_float_holds_is_exact() -> None:
    price = 2**60 + 1
    assert policy.bill(micros_per_hour=price, ran=HOUR, traits=some_traits()) == price


def test_a_ceiling_is_a_whole_number_of_micros() -> None:
    ceiling = policy.rate_ceiling(an_offer(micros_per_hour=3), a_spec())
    assert (ceiling, type(ceiling)) == (4, int)


def test_a_worst_case_has_no_retries_and_no_disk_unless_they_are_named() -> None:
    held = policy.worst_case(ceiling=DOLLAR, nodes=1, minutes=60, traits=PER_DISK)
    assert held == DOLLAR


def test_a_hold_pays_for_the_retries_and_the_disk_of_its_job() -> None:
    traits = some_traits(disk_micros_per_gb_hour=100, minimum=HOUR)
    spec = a_spec(minutes=60, disk_gb=50, retry_on=("interruption",))
    hour = DOLLAR + 50 * 100
    assert policy.hold_of(spec, ceiling=DOLLAR, traits=[traits]) == hour + 3 * (hour + 1)


# ---------------------------------------------------------------- time for money


def test_what_fits_to_the_micro_is_not_cut() -> None:
    # Half a second of the last minute would be lost if an exact fit were searched for in whole seconds.
    minutes = 60 + 0.5 / 60
    cost = policy.worst_case(ceiling=DOLLAR, nodes=1, minutes=minutes, traits=some_traits())
    assert policy.cut_to_cost(max_cost=cost, rate=DOLLAR, nodes=1, minutes=minutes, traits=some_traits()) == minutes


def test_a_cut_counts_retries_and_disk_only_where_they_are_named() -> None:
    cut = policy.cut_to_cost(max_cost=DOLLAR, rate=DOLLAR, nodes=1, minutes=120, traits=PER_DISK)
    assert cut == 60
    less = policy.cut_to_cost(max_cost=DOLLAR, rate=DOLLAR, nodes=1, minutes=120, traits=PER_DISK, disk_gb=10_000)
    assert less == 30


@pytest.mark.parametrize("seconds", [1, 2, 61, 3599, 3600])
def test_all_but_the_last_second_can_be_had_for_a_second_less(seconds: int) -> None:
    """The search looks at every second up to the one that was asked for, and at none beyond it."""
    traits = some_traits(minimum=timedelta(0))
    price = policy.bill(micros_per_hour=3600, ran=timedelta(seconds=seconds), traits=traits)
    cut = policy.cut_to_cost(max_cost=price - 1, rate=3600, nodes=1, minutes=seconds / 60, traits=traits)
    assert cut == (seconds - 1) / 60


# ---------------------------------------------------------------- offers


@pytest.mark.parametrize(
    ("market", "spots"),
    [(SpotPolicy.ON_DEMAND, [False]), (SpotPolicy.SPOT, [True]), (SpotPolicy.AUTO, [False, True])],
)
def test_a_need_says_everything_that_the_task_file_says(market: SpotPolicy, spots: list[bool]) -> None:
    needs = policy.needs(a_spec(gpu="h100", gpu_memory_gb=80, gpus=4, disk_gb=200, spot=market))
    assert list(needs) == [Need(gpu="h100", memory_gb=80, count=4, spot=spot, disk_gb=200) for spot in spots]


def test_having_nothing_under_the_ceiling_is_a_matter_of_the_region() -> None:
    with pytest.raises(NoCapacity) as refused:
        policy.choose([], a_spec(), DOLLAR)
    assert refused.value.scope is Scope.REGION


# ---------------------------------------------------------------- spans


def test_an_hours_warning_comes_fifteen_minutes_before_its_end_and_a_longer_ones_too() -> None:
    assert [policy.warning(minutes) for minutes in (60, 60.5)] == [timedelta(minutes=15)] * 2


@pytest.mark.parametrize(
    ("minutes", "first"), [(301, 300.0), (360.5, 360.0), (366, 360.0), (540, 480.0), (605, 600.0), (1441, 1440.0)]
)
def test_the_longest_round_duration_under_a_long_one_is_its_last_whole_hour(minutes: float, first: float) -> None:
    assert policy.friendly(minutes)[0] == first


def test_nobody_is_offered_no_time_at_all() -> None:
    assert policy.friendly(20) == [15.0, 10.0, 5.0]


def test_each_loss_is_waited_for_ten_seconds_longer() -> None:
    waits = [policy.retry_after("lost", tries) for tries in (1, 2, 3)]
    assert waits == [timedelta(seconds=each) for each in (10, 20, 30)]


# ---------------------------------------------------------------- who is asked


def test_the_longest_job_itself_is_allowed() -> None:
    team = a_team(longest_minutes=240)
    assert [policy.refusals(team, minutes) for minutes in (240, 240.5)] == [None, No.TOO_LONG]


def test_one_micro_over_what_is_free_is_over_the_budget() -> None:
    team = a_team(auto_approve=10)
    assert policy.asks(team, hold=1, free=0, used=0) == (Why.BUDGET,)
    assert policy.asks(team, hold=1, free=1, used=0) == ()


def test_a_persons_share_may_be_used_up_and_not_a_micro_more() -> None:
    team = a_team(cap=1000, share_percent=50, auto_approve=DOLLAR)
    assert policy.asks(team, hold=100, free=1000, used=400) == ()
    assert policy.asks(team, hold=101, free=1000, used=400) == (Why.SHARE,)


def test_nobody_has_a_share_of_no_budget() -> None:
    team = a_team(cap=None, share_percent=100, auto_approve=DOLLAR)
    assert policy.asks(team, hold=1, free=1, used=0) == (Why.SHARE,)


# ---------------------------------------------------------------- the spot market


def bid(pays: int, **changes: Any) -> int:
    """Return the bid for two machines for two hours with a disk of 10 GB and one retry, priced at one dollar."""
    told: dict[str, Any] = {"price": DOLLAR, "ceiling": 3 * DOLLAR, "nodes": 2, "minutes": 120.0, "traits": PER_DISK}
    return policy.highest_bid(pays=pays, **{**told, "retries": 1, "disk_gb": 10, **changes})


def worst(rate: int) -> int:
    """Return what those machines may come to cost at that rate."""
    return policy.worst_case(ceiling=rate, nodes=2, minutes=120, traits=PER_DISK, retries=1, disk_gb=10)


@pytest.mark.parametrize("rate", [DOLLAR + 1, 2 * DOLLAR, 3 * DOLLAR - 1])
def test_a_bid_is_the_last_micro_that_is_paid_for(rate: int) -> None:
    found = bid(worst(rate))
    assert worst(found) <= worst(rate) < worst(found + 1)
    assert abs(found - rate) <= 1  # a micro an hour is not always one of the bill's
    assert bid(worst(rate) - 2) < rate


def test_a_bid_is_never_above_the_ceiling_nor_below_the_price() -> None:
    assert bid(worst(9 * DOLLAR)) == 3 * DOLLAR
    assert bid(worst(3 * DOLLAR)) == 3 * DOLLAR
    assert bid(0) == DOLLAR
    assert bid(worst(2 * DOLLAR), ceiling=DOLLAR) == DOLLAR
    assert bid(worst(9 * DOLLAR), ceiling=DOLLAR // 2) == DOLLAR  # the price was allowed before
    assert bid(worst(9 * DOLLAR), ceiling=DOLLAR + 1) == DOLLAR + 1


@pytest.mark.parametrize(
    ("left", "minutes", "short"),
    [
        (HOUR, 60.0, True),
        (HOUR + timedelta(seconds=1), 60.0, False),
        (timedelta(hours=2), 8 * 60.0, True),
        (timedelta(hours=2, seconds=1), 8 * 60.0, False),
        (HOUR, 8 * 60.0, True),
    ],
)
def test_an_hour_or_a_quarter_of_the_job_is_short(left: timedelta, minutes: float, short: bool) -> None:
    assert policy.is_short(left, minutes) is short


@pytest.mark.parametrize(
    ("minutes", "words"), [(90, "90m"), (119, "119m"), (121, "2h1m"), (120, "2h"), (119.5, "119.5m")]
)
def test_odd_minutes_are_told_in_hours_from_two_hours_on(minutes: float, words: str) -> None:
    assert policy.duration(minutes) == words
