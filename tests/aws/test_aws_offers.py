"""Offers: Amazon's own prices where it answers, the operator's before them, the dated catalogue's where nobody does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from bot.pinner import Pinner
from jobs.errors import BadImage
from jobs.gpus import MEMORY_GB
from jobs.images import PinnedImage
from jobs.offers import Desk
from jobs.providers.aws import Aws
from jobs.providers.aws_prices import FAILURE_KEPT, LIST_PRICES_KEPT, SPOT_PRICES_KEPT, Prices, hourly
from jobs.providers.aws_types import TYPES
from tests.aws.books import Scripts, provider
from tests.aws.cloud import REGION, Cloud
from tests.aws.harness import prices
from tests.support.builders import a_need, a_spec, an_offer
from tests.support.clock import FakeClock

WEST = "us-west-2"
T4 = a_need(gpu="t4", count=1)
T4_SPOT = a_need(gpu="t4", count=1, spot=True)
SINGLE = ("g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge", "g4dn.8xlarge", "g4dn.16xlarge")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        supply = cloud.front.supply
        supply.list_prices = {(REGION, "g4dn.xlarge"): "0.5260000000", (WEST, "g4dn.xlarge"): "0.5500000000"}
        supply.spot_prices = {
            ("us-east-1a", "g4dn.xlarge"): "0.210000",
            ("us-east-1b", "g4dn.xlarge"): "0.1950001",
            ("us-east-1b", "g4dn.12xlarge"): "1.300000",
        }
        yield cloud


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def selling(cloud: Cloud, clock: FakeClock, **changes: Any) -> Aws:
    live = Prices(clients=changes.get("clients", cloud.client), clock=clock)
    return provider(cloud, Scripts(), live=live, **changes)


def found(offers: Any) -> list[tuple[str, str, int]]:
    return [(offer.name, offer.zone or offer.region, offer.micros_per_hour) for offer in offers]


# ---------------------------------------------------------------- Amazon's prices


def test_a_machine_on_demand_is_offered_in_each_zone_that_sells_it_at_the_price_list(
    cloud: Cloud, clock: FakeClock
) -> None:
    offers = selling(cloud, clock, regions=(WEST, REGION)).offers(T4)
    east = [("g4dn.xlarge", f"us-east-1{zone}", 526_000) for zone in "abcdf"]
    west = [("g4dn.xlarge", f"us-west-2{zone}", 550_000) for zone in "abc"]
    assert found(offers) == [*east, *west], "cheapest first, and not in the zone e that sells none"
    assert {(offer.gpu, offer.memory_gb, offer.gpus, offer.spot) for offer in offers} == {("t4", 16, 1, False)}
    assert {offer.priced_at for offer in offers} == {clock.now()}


def test_a_spot_machine_costs_what_its_zone_asks_now_rounded_up_to_the_micro_dollar(
    cloud: Cloud, clock: FakeClock
) -> None:
    aws = selling(cloud, clock)
    assert found(aws.offers(T4_SPOT)) == [
        ("g4dn.xlarge", "us-east-1b", 195_001),
        ("g4dn.xlarge", "us-east-1a", 210_000),
        ("g4dn.12xlarge", "us-east-1b", 1_300_000),
    ]
    assert found(aws.offers(a_need(gpu="t4", count=4, spot=True))) == [("g4dn.12xlarge", "us-east-1b", 1_300_000)]


def test_prices_are_asked_for_again_when_they_are_old(cloud: Cloud, clock: FakeClock) -> None:
    aws, asked = selling(cloud, clock), cloud.front.calls.count
    for _ in range(2):
        aws.offers(T4), aws.offers(T4_SPOT)
    assert (asked("GetProducts"), asked("DescribeSpotPriceHistory")) == (7, 1), (
        "each type once, all of a market at once"
    )
    cloud.front.supply.spot_prices["us-east-1b", "g4dn.xlarge"] = "0.400000"
    clock.advance(SPOT_PRICES_KEPT)
    assert found(aws.offers(T4_SPOT))[0] == ("g4dn.xlarge", "us-east-1a", 210_000)
    aws.offers(T4)
    assert asked("GetProducts") == 7
    clock.advance(LIST_PRICES_KEPT)
    aws.offers(T4)
    assert asked("GetProducts") == 14


def test_only_zones_in_which_a_subnet_lies_are_offered(cloud: Cloud, clock: FakeClock) -> None:
    subnets = cloud.client("ec2", REGION).describe_subnets()["Subnets"]
    ours = tuple(one["SubnetId"] for one in subnets if one["AvailabilityZone"] in ("us-east-1b", "us-east-1e"))
    assert found(selling(cloud, clock, subnets=ours).offers(T4)) == [("g4dn.xlarge", "us-east-1b", 526_000)]


def test_what_the_price_list_does_not_have_is_not_sold(cloud: Cloud, clock: FakeClock) -> None:
    cloud.front.supply.list_prices.clear()
    assert selling(cloud, clock).offers(T4) == []


# ---------------------------------------------------------------- others' prices


def test_the_operators_own_price_goes_before_the_price_list(cloud: Cloud, clock: FakeClock) -> None:
    own = an_offer(provider="aws", name="g4dn.xlarge", region=REGION, gpu="t4", memory_gb=16, micros_per_hour=400_000)
    offers = selling(cloud, clock, own_prices=[own], prices=[own]).offers(T4)
    assert {offer.micros_per_hour for offer in offers} == {400_000}
    assert [offer.zone for offer in offers] == [f"us-east-1{zone}" for zone in "abcdf"]


def test_a_machine_that_only_the_operator_prices_is_offered_where_it_is_sold(cloud: Cloud, clock: FakeClock) -> None:
    own = [offer for offer in prices() if offer.name == "c7i.large" and offer.region == REGION]
    offers = selling(cloud, clock, own_prices=own, prices=own).offers(a_need(gpu="cpu", count=0))
    assert {offer.name for offer in offers} == {"c7i.large"}
    assert len(offers) > 1


def _broke(service: str, region: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url="http://127.0.0.1:9",  # the discard port: nothing listens
        aws_access_key_id="x",
        aws_secret_access_key="y",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_without_an_answer_the_dated_catalogue_is_offered_with_its_date(cloud: Cloud, clock: FakeClock) -> None:
    (offer,) = selling(cloud, clock, clients=_broke).offers(T4)
    assert (offer.name, offer.zone, offer.priced_at) == ("g4dn.xlarge", "", datetime(2026, 9, 1, tzinfo=UTC))
    assert list(selling(cloud, clock, clients=_broke).offers(T4_SPOT)) == [], "it has no spot price"


def test_a_right_that_is_missing_costs_one_question_a_minute_and_the_last_price_is_kept(
    cloud: Cloud, clock: FakeClock
) -> None:
    aws, read = selling(cloud, clock), clock.now()
    aws.offers(T4)
    clock.advance(LIST_PRICES_KEPT)
    with cloud.front.refusing("GetProducts", "AccessDeniedException"):
        before = cloud.front.calls.count("GetProducts")
        for _ in range(3):
            offers = aws.offers(T4)
        assert cloud.front.calls.count("GetProducts") - before == 7
        assert {(offer.micros_per_hour, offer.priced_at) for offer in offers} == {(526_000, read)}
    clock.advance(FAILURE_KEPT)
    assert {offer.priced_at for offer in aws.offers(T4)} == {clock.now()}


# ---------------------------------------------------------------- compared


def test_a_comparison_shows_one_line_a_type_and_region_with_what_spot_saves(cloud: Cloud, clock: FakeClock) -> None:
    rows = Desk({"aws": selling(cloud, clock)}).compare("t4")
    ours = {(row.offer.name, row.offer.spot): row for row in rows if row.offer.provider == "aws"}
    assert len([row for row in rows if row.offer.provider == "aws"]) == len(ours) == 3
    assert ours["g4dn.xlarge", True].offer.micros_per_hour == 195_001
    assert ours["g4dn.xlarge", True].saves == 62
    assert ours["g4dn.xlarge", False].saves is None
    assert ours["g4dn.12xlarge", True].saves is None, "nobody told what it costs on demand"
    assert ours["g4dn.12xlarge", True].micros_per_gpu == 325_000
    only = Desk({"aws": selling(cloud, clock)}).compare("t4", spot=True)
    assert {row.saves for row in only if row.offer.name == "g4dn.xlarge"} == {62}


# ---------------------------------------------------------------- what is in a machine


def test_the_table_of_types_says_what_amazon_says() -> None:
    import moto.ec2  # for the one worker that runs these tests

    file = Path(moto.ec2.__file__).parent / "resources" / "instance_types.json.gz"  # as Amazon answered it
    told = json.loads(gzip.decompress(file.read_bytes()))
    for name, kind in TYPES.items():
        (gpu,) = told[name]["GpuInfo"]["Gpus"]
        assert (gpu["Name"].lower(), gpu["Count"]) == (kind.gpu, kind.gpus), name
        # A board is sold by more than its driver hands out.
        assert 0.93 < gpu["MemoryInfo"]["SizeInMiB"] / 1024 / kind.memory_gb <= 1, name
        assert kind.memory_gb in MEMORY_GB[kind.gpu]
    assert {name.partition(".")[0] for name in TYPES} == {"g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5en"}
    families = {
        name for name in told if name.partition(".")[0] in ("g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5en")
    }
    assert families == set(TYPES), "a size is missing"


@pytest.mark.parametrize(
    "product",
    ["", "[]", "{}", '{"terms": {}}', '{"terms": {"OnDemand": {"x": {}}}}', '{"terms": {"OnDemand": []}}'],
)
def test_what_is_no_product_has_no_price(product: str) -> None:
    assert hourly(product) == []


@pytest.mark.parametrize(
    ("price", "expected"), [("0.0000000000", []), ("NaN", []), ("x", []), ("21.957642", [21_957_642])]
)
def test_a_price_of_nothing_is_none(price: str, expected: list[int]) -> None:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": price}}
    assert hourly(json.dumps({"terms": {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}})) == expected


# ---------------------------------------------------------------- the driver's CUDA


@pytest.mark.parametrize(
    ("changes", "cuda"),
    [
        ({"image": None}, "13.2"),  # Amazon's own, by its release notes
        ({"image": "ami-1"}, None),  # nobody says
        ({"image": "ami-1", "cuda": "12.8"}, "12.8"),
        ({"image": None, "cuda": "12.8"}, "12.8"),
    ],
)
def test_an_offer_says_which_cuda_its_driver_runs(
    cloud: Cloud, clock: FakeClock, changes: dict[str, Any], cuda: str | None
) -> None:
    aws = selling(cloud, clock, **changes)
    assert {offer.cuda for offer in aws.offers(T4)} == {cuda}
    assert {offer.cuda for offer in aws.offers(a_need(gpu="cpu", count=0))} <= {None}


def test_an_image_that_needs_a_newer_driver_is_refused_before_anything_is_held(cloud: Cloud, clock: FakeClock) -> None:
    class Registry:
        """Knows one image, which needs CUDA 13.0."""

        def pin(self, image: str, *, auth: str | None = None) -> PinnedImage:
            return PinnedImage(image=f"{image}@sha256:{'ab' * 32}", digest="sha256:" + "ab" * 32, cuda="13.0")

    aws = selling(cloud, clock, image="ami-1", cuda="12.8")
    pin = Pinner(providers={"aws": aws}, images=Registry(), secrets={})  # type: ignore[arg-type]  # one verb is asked
    spec = a_spec(image="acme/vit:1")
    with pytest.raises(
        BadImage, match=r"needs CUDA 13\.0, and the driver of g4dn\.xlarge at aws runs CUDA 12\.8 at most"
    ):
        pin(spec, aws.offers(T4)[0])
    newer = selling(cloud, clock, image=None)
    assert pin(spec, newer.offers(T4)[0]) == f"acme/vit:1@sha256:{'ab' * 32}"
