"""What a machine's time came to: flat, over a moving market, never above the bid; and what is told beside it."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs import bills
from jobs.bills import Bill
from jobs.lifecycle import AttemptState
from jobs.model import Attempt
from jobs.providers import Metered, Rate
from jobs.records import dump
from jobs.values import DOLLAR
from tests.support.builders import an_offer, some_traits
from tests.support.clock import START

TRAITS = some_traits(disk_micros_per_gb_hour=110, egress_micros_per_gb=90_000)
HOUR = timedelta(hours=1)


def machine(**changes: Any) -> Attempt:
    """Return a spot machine that was launched at two dollars with a bid of three."""
    offer = an_offer(spot=True, micros_per_hour=2 * DOLLAR, bid=3 * DOLLAR)
    fields: dict[str, Any] = {
        "job_id": "job0001",
        "number": 1,
        "launch_key": "key",
        "state": AttemptState.UP,
        "provider": "cloud",
        "offer": dump(offer),
        "micros_per_hour": offer.micros_per_hour,
        "deadline": START + 4 * HOUR,
        "intent_at": START,
    }
    return Attempt(**(fields | changes))


def rates(*moves: tuple[float, float]) -> list[Rate]:
    """Return rates from (hours since the start, dollars an hour)."""
    return [Rate(since=START + hours * HOUR, micros_per_hour=round(dollars * DOLLAR)) for hours, dollars in moves]


def billed(hours: float, metered: Metered | None, **changes: Any) -> Bill:
    parts: dict[str, Any] = {"disk_gb": 0, "traits": TRAITS, "began": START, "until": START + hours * HOUR}
    return bills.bill(machine(), metered=metered, **(parts | changes))


def test_each_stretch_of_time_costs_what_the_market_asked_in_it() -> None:
    moving = Metered(rates=rates((-5, 1.0), (1, 2.0), (2.5, 0.5)))
    assert billed(3, moving).micros == 1 * DOLLAR + 3 * DOLLAR + DOLLAR // 4


def test_what_the_market_asks_later_or_asked_before_is_not_counted() -> None:
    assert billed(1, Metered(rates=rates((-2, 1.0), (1, 90.0), (7, 90.0)))).micros == DOLLAR


def test_the_first_price_that_is_known_counts_from_the_launch() -> None:
    assert billed(2, Metered(rates=rates((1.5, 1.0)))).micros == 2 * DOLLAR


def test_no_hour_is_booked_above_the_bid_and_without_one_above_the_price_at_the_launch() -> None:
    dear = Metered(rates=rates((0, 9.0)))
    assert billed(1, dear).micros == 3 * DOLLAR
    no_bid = machine(offer=dump(an_offer(spot=True, micros_per_hour=2 * DOLLAR)))
    assert bills.bill(no_bid, began=START, until=START + HOUR, disk_gb=0, traits=TRAITS, metered=dear).micros == (
        2 * DOLLAR
    )


def test_a_minute_is_paid_at_least_at_the_markets_price() -> None:
    assert billed(1 / 3600, Metered(rates=rates((0, 0.6)))).micros == DOLLAR // 100


def test_the_disk_is_billed_beside_the_machine_and_named() -> None:
    bill = billed(2, Metered(rates=rates((0, 1.0))), disk_gb=100)
    assert (bill.micros, bill.disk) == (2 * DOLLAR + 22_000, 22_000)
    flat = billed(2, None, disk_gb=100)
    assert (flat.micros, flat.disk) == (4 * DOLLAR + 22_000, 22_000)


def test_what_was_taken_back_too_soon_costs_its_disk_alone() -> None:
    bill = billed(0.5, Metered(rates=rates((0, 1.0)), free=True, on_demand=4 * DOLLAR), disk_gb=100)
    assert bill == Bill(micros=5_500, disk=5_500, on_demand=2 * DOLLAR + 5_500, free=True)


def test_a_market_that_does_not_answer_leaves_the_price_at_the_launch() -> None:
    assert billed(1, None, unmetered=True) == Bill(micros=2 * DOLLAR, unmetered=True)


PRICES = st.lists(st.integers(0, 9 * DOLLAR), min_size=1, max_size=8)


@given(PRICES, st.integers(0, 4 * 3600), st.integers(0, 200), st.integers(1, 1800))
def test_it_is_the_sum_over_the_seconds_and_never_more_than_the_bid_pays(
    prices: list[int], seconds: int, disk_gb: int, apart: int
) -> None:
    moving = [Rate(since=START + timedelta(seconds=n * apart), micros_per_hour=p) for n, p in enumerate(prices)]
    bill = billed(seconds / 3600, Metered(rates=moving), until=START + timedelta(seconds=seconds), disk_gb=disk_gb)
    paid = max(60, seconds)
    by_second = (min(3 * DOLLAR, prices[min(n // apart, len(prices) - 1)]) + 110 * disk_gb for n in range(paid))
    assert bill.micros == math.ceil(sum(by_second) / 3600)
    at_bid = machine(micros_per_hour=3 * DOLLAR)
    most = bills.bill(at_bid, began=START, until=START + timedelta(seconds=seconds), disk_gb=disk_gb, traits=TRAITS)
    assert bill.micros <= most.micros


def test_a_jobs_savings_are_those_of_its_spot_machines_and_its_egress_is_an_estimate() -> None:
    notes = [
        Bill(micros=DOLLAR, disk=5, on_demand=3 * DOLLAR).told(),
        Bill(micros=DOLLAR, disk=7, unmetered=True).told(),
        Bill(micros=9, disk=9, on_demand=DOLLAR, free=True).told(),
    ]
    summary = bills.summary(notes, kept_bytes=2_500_000_000, egress_micros_per_gb=90_000)
    assert dataclasses.asdict(summary) == {
        "saved": 3 * DOLLAR - 9,
        "disk": 21,
        "egress": 225_000,
        "egress_bytes": 2_500_000_000,
        "unmetered": 1,
        "free": 1,
    }


def test_a_market_that_was_dearer_than_on_demand_saved_nothing() -> None:
    notes = [Bill(micros=3 * DOLLAR, on_demand=DOLLAR).told()]
    assert bills.summary(notes, kept_bytes=0, egress_micros_per_gb=1).saved == 0


def test_notes_of_an_older_version_say_nothing_beside_the_charge() -> None:
    assert bills.summary([{"billed": 5}], kept_bytes=0, egress_micros_per_gb=0) == bills.Summary()
