"""The spot market: what may be bid, where a job goes whose machine was taken back, and when it has had enough of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import policy
from jobs.errors import NoCapacity, QuotaExceeded
from jobs.lifecycle import AttemptState
from jobs.providers import Offer
from jobs.values import DOLLAR, SpotPolicy
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World, closed_of

AUTO = a_spec(spot=SpotPolicy.AUTO, retry_on=("interruption",), minutes=240)
STEADY = an_offer(name="p4d", region="east", zone="east-1a", micros_per_hour=2 * DOLLAR)


def spot(zone: str, cents: int, **changes: Any) -> Offer:
    fields: dict[str, Any] = {"name": "p4d", "region": zone.partition("-")[0], "zone": zone, "spot": True} | changes
    return an_offer(micros_per_hour=cents * 10_000, **fields)


def world_of(tmp_path: Path, *offers: Offer) -> World:
    clock = FakeClock()
    return World(tmp_path, FakeProvider(clock, catalogue=offers), clock=clock)


def rented(world: World, job_id: str) -> list[tuple[str, bool]]:
    """Return zone and market of each machine that stood or stands."""
    offers = [row.offer for row in world.attempts(job_id) if row.state is not AttemptState.NEVER]
    return [(offer["zone"], offer["spot"]) for offer in offers]


# ---------------------------------------------------------------- where else


def test_a_zone_without_room_leads_to_the_next_zone_and_the_next_type(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), spot("east-1b", 90), spot("east-1a", 95, name="p4de"))
    world.cloud.fail("launch", NoCapacity("none in east-1a"), NoCapacity("none in east-1b"))
    job_id = world.launch(AUTO)
    assert [(row.offer["name"], row.offer["zone"]) for row in world.attempts(job_id)] == [
        ("p4d", "east-1a"),
        ("p4d", "east-1b"),
        ("p4de", "east-1a"),
    ]


def test_a_quota_of_the_spot_market_rules_out_its_region_and_not_the_machines_on_demand(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), spot("east-1b", 90), STEADY)
    world.cloud.fail("launch", QuotaExceeded("no spot instances left"))
    job_id = world.launch(AUTO)
    assert rented(world, job_id) == [("east-1a", False)]
    assert len(world.attempts(job_id)) == 2, "the second zone of a region whose quota is used up is not asked"


def test_a_quota_of_one_region_leads_to_the_next(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), spot("west-2a", 90))
    world.cloud.fail("launch", QuotaExceeded("no more in east"))
    assert rented(world, world.launch(AUTO)) == [("west-2a", True)]


def test_a_job_whose_machine_was_taken_back_goes_to_another_zone_though_its_own_is_cheaper(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), spot("east-1b", 90), STEADY)
    job_id, agent = world.running(AUTO)
    deadline, hold = world.job(job_id).deadline, world.job(job_id).hold
    world.clock.advance(minutes=30)
    agent.ends("preempted", None)
    world.pass_time(minutes=1)
    assert rented(world, job_id) == [("east-1a", True), ("east-1b", True)]
    assert (world.job(job_id).deadline, world.job(job_id).hold) == (deadline, hold)


def test_where_there_is_only_one_zone_it_is_tried_again(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80))
    job_id, agent = world.running(AUTO)
    agent.ends("preempted", None)
    world.pass_time(minutes=1)
    assert rented(world, job_id) == [("east-1a", True), ("east-1a", True)]


@pytest.mark.parametrize(("ran", "market"), [(30, True), (150, True), (185, False)])
def test_with_little_time_left_an_interrupted_job_goes_on_on_demand(tmp_path: Path, ran: int, market: bool) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), spot("east-1b", 90), STEADY)
    job_id, agent = world.running(AUTO)
    world.clock.advance(minutes=ran)
    agent.ends("preempted", None)
    world.pass_time(minutes=1)
    assert rented(world, job_id)[1][1] is market
    world.pass_time(minutes=240)
    assert closed_of(world.entries(job_id)).overrun == 0


def test_a_hold_that_does_not_pay_for_a_machine_on_demand_keeps_the_job_on_the_spot_market(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), spot("east-1b", 90), STEADY)
    job_id, agent = world.running(AUTO, ceiling=120 * 10_000)
    world.clock.advance(minutes=200)
    agent.ends("preempted", None)
    world.pass_time(minutes=1)
    assert rented(world, job_id) == [("east-1a", True), ("east-1b", True)]


def test_who_wants_spot_alone_is_never_given_a_machine_on_demand(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80), STEADY)
    job_id, agent = world.running(a_spec(spot=SpotPolicy.SPOT, retry_on=("interruption",)))
    world.clock.advance(minutes=200)
    agent.ends("preempted", None)
    world.pass_time(minutes=1)
    assert [market for _, market in rented(world, job_id)] == [True, True]


# ---------------------------------------------------------------- what is bid


def test_the_bid_is_the_held_rate_and_is_written_down_with_the_intent(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 80))
    job_id = world.launch(AUTO, ceiling=120 * 10_000)
    (machine,) = world.cloud.machines
    assert machine.offer.bid == world.attempts(job_id)[0].offer["bid"] == 120 * 10_000


def test_a_machine_on_demand_has_no_bid(tmp_path: Path) -> None:
    world = world_of(tmp_path, STEADY)
    world.launch()
    assert world.cloud.machines[0].offer.bid is None


def test_a_tight_hold_gives_up_time_so_that_the_price_may_rise_a_little(tmp_path: Path) -> None:
    world = world_of(tmp_path, spot("east-1a", 100))
    spec = a_spec(spot=SpotPolicy.SPOT, max_cost=2 * DOLLAR, minutes=240)
    job_id = world.launch(spec, ceiling=3 * DOLLAR, hold=2 * DOLLAR)
    (row,) = world.attempts(job_id)
    assert row.deadline - row.intent_at == timedelta(minutes=100)  # two dollars at $1.20 an hour
    assert 1_200_000 <= row.offer["bid"] <= 1_200_100


@given(
    price=st.integers(1, 50 * DOLLAR),
    room=st.integers(0, 50 * DOLLAR),
    pays=st.integers(0, 500 * DOLLAR),
    minutes=st.integers(1, 600),
    retries=st.integers(0, 3),
)
def test_a_bid_never_exceeds_the_ceiling_nor_what_the_hold_can_pay(
    price: int, room: int, pays: int, minutes: int, retries: int
) -> None:
    shape: dict[str, Any] = {"nodes": 1, "minutes": float(minutes), "traits": some_traits(), "retries": retries}
    bid = policy.highest_bid(pays=pays, price=price, ceiling=price + room, disk_gb=100, **shape)
    assert price <= bid <= price + room
    if bid > price:
        assert policy.worst_case(ceiling=bid, disk_gb=100, **shape) <= pays
    if bid < price + room:
        assert policy.worst_case(ceiling=bid + 1, disk_gb=100, **shape) > pays
