"""What a machine of Amazon's cost: by its own times, on the spot market by the prices of its zone over its life."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.counted import CountedProvider
from jobs import metering
from jobs.errors import Throttled, Unknown
from jobs.model import Attempt
from jobs.providers import Instance, InstanceState, Meter, Metered, Rate
from jobs.providers.aws import TAKEN_BACK, Aws
from jobs.providers.aws_prices import Prices
from jobs.records import dump
from jobs.values import DOLLAR
from tests.aws.books import SMALL, Scripts, order, provider
from tests.aws.cloud import REGION, Cloud
from tests.support.builders import an_offer
from tests.support.clock import FakeClock

ZONE = "us-east-1b"
BEGAN = datetime(2026, 11, 12, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPOT = dataclasses.replace(SMALL, spot=True, zone=ZONE)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        cloud.front.supply.spot_moves = {
            (ZONE, SMALL.name): [
                (BEGAN - 3 * HOUR, "0.900000"),
                (BEGAN - HOUR, "0.031000"),
                (BEGAN + HOUR / 2, "0.052000"),
                (BEGAN + 2 * HOUR, "0.800000"),
            ],
            ("us-east-1a", SMALL.name): [(BEGAN - HOUR, "0.010000")],
            (ZONE, "c7i.xlarge"): [(BEGAN - HOUR, "0.020000")],
        }
        yield cloud


def stood(**changes: Any) -> Instance:
    fields: dict[str, Any] = {"provider": "aws", "id": "i-1", "region": REGION, "state": InstanceState.GONE}
    return Instance(**(fields | {"tags": {}, "launched_at": BEGAN, "zone": ZONE} | changes))


def metered(aws: Aws, offer: Any = SPOT, instance: Instance | None = None, hours: float = 1) -> Metered | None:
    return aws.metered(offer, instance or stood(), BEGAN, BEGAN + hours * HOUR)


def test_aws_is_a_meter_and_a_machine_on_demand_needs_none(cloud: Cloud) -> None:
    aws: Meter = provider(cloud, Scripts())
    assert metered(aws, SMALL) is None
    assert "DescribeSpotPriceHistory" not in cloud.front.calls


def test_a_bill_is_read_through_whatever_the_provider_stands_behind(cloud: Cloud) -> None:
    counted = CountedProvider(provider(cloud, Scripts()), lambda *what: None)
    row = Attempt(job_id="job0001", number=1, launch_key="hg-1", provider="aws", offer=dump(SPOT))
    found = metering.read(counted, row, stood(), since=BEGAN, until=BEGAN + HOUR)
    assert found.metered is not None and len(found.metered.rates) == 2


def test_spot_costs_what_its_zone_asked_from_the_price_at_its_launch_on(cloud: Cloud) -> None:
    said = metered(provider(cloud, Scripts()))
    assert said is not None and said.rates == [
        Rate(since=BEGAN - HOUR, micros_per_hour=31_000),
        Rate(since=BEGAN + HOUR / 2, micros_per_hour=52_000),
    ]
    assert said.on_demand == SMALL.micros_per_hour, "by the dated catalogue, where nobody is asked"


def test_the_machines_own_zone_goes_before_the_offers_and_one_that_is_forgotten_has_its_offers(cloud: Cloud) -> None:
    aws = provider(cloud, Scripts())
    elsewhere = aws.metered(SPOT, stood(zone="us-east-1a"), BEGAN, BEGAN + HOUR)
    assert elsewhere is not None and [rate.micros_per_hour for rate in elsewhere.rates] == [10_000]
    forgotten = aws.metered(SPOT, None, BEGAN, BEGAN + HOUR)
    assert forgotten is not None and [rate.micros_per_hour for rate in forgotten.rates] == [31_000, 52_000]


@pytest.mark.parametrize("zone", ["", "us-east-1f"])
def test_a_zone_that_is_not_known_or_has_no_prices_is_no_free_machine(cloud: Cloud, zone: str) -> None:
    with pytest.raises(Unknown, match="spot market has no price"):
        provider(cloud, Scripts()).metered(dataclasses.replace(SPOT, zone=""), stood(zone=zone), BEGAN, BEGAN + HOUR)


def test_a_market_that_turns_us_away_is_our_error(cloud: Cloud) -> None:
    cloud.front.supply.throttled["DescribeSpotPriceHistory"] = 1
    with pytest.raises(Throttled, match="what a spot machine cost"):
        metered(provider(cloud, Scripts()))


def test_on_demand_is_the_operators_price_then_amazons_then_the_catalogues(cloud: Cloud) -> None:
    cloud.front.supply.list_prices = {(REGION, SMALL.name): "0.0900000000"}
    live = Prices(clients=cloud.client, clock=FakeClock())
    own = an_offer(provider="aws", name=SMALL.name, region=REGION, micros_per_hour=77_000)
    asked = metered(provider(cloud, Scripts(), live=live))
    told = metered(provider(cloud, Scripts(), live=live, own_prices=[own]))
    assert asked is not None and told is not None
    assert (asked.on_demand, told.on_demand) == (90_000, 77_000)


def test_a_spot_price_of_the_operators_own_is_no_question_for_the_market(cloud: Cloud) -> None:
    own = an_offer(provider="aws", name=SMALL.name, region=REGION, micros_per_hour=DOLLAR, spot=True)
    assert metered(provider(cloud, Scripts(), own_prices=[own])) is None


@pytest.mark.parametrize(("taken_back", "hours", "free"), [(True, 0.9, True), (True, 1, False), (False, 0.9, False)])
def test_what_amazon_takes_back_within_its_first_hour_is_not_charged(
    cloud: Cloud, taken_back: bool, hours: float, free: bool
) -> None:
    said = metered(provider(cloud, Scripts()), instance=stood(taken_back=taken_back), hours=hours)
    assert said is not None and said.free is free


def test_a_machine_tells_its_zone_its_end_and_who_wanted_it(cloud: Cloud) -> None:
    aws = provider(cloud, Scripts())
    machine = aws.launch(dataclasses.replace(SMALL, zone=ZONE), order())
    assert machine.zone == ZONE
    aws.terminate(machine)
    found = aws.find(order().launch_key)
    assert found is not None and found.ended_at is not None and not found.taken_back
    said = {"InstanceId": "i-1", "State": {"Name": "terminated"}, "StateReason": {"Code": TAKEN_BACK, "Message": "m"}}
    assert aws._instance(said, REGION).taken_back
    assert not aws._instance({**said, "State": {"Name": "running"}}, REGION).taken_back
