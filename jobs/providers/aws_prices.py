"""What Amazon says its machines cost and where they are sold, asked now and then and kept in between.

Three questions: the price list (one for the whole world, served in few regions), the spot market's price of the day
in each zone, and the zones in which a type exists at all. Whether one is free there is known only by asking for it.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Any, Generic, TypeVar

import structlog

from jobs.clock import Clock
from jobs.errors import ProviderError, Unknown
from jobs.providers import Offer, Rate
from jobs.providers.aws_errors import translated
from jobs.providers.aws_request import Clients
from jobs.values import DOLLAR, Micros

PLATFORM = "Linux/UNIX"
PRICE_LIST = "us-east-1"  # where the price list of all regions is served
LIST_PRICES_KEPT = timedelta(hours=6)  # they change a few times a year
SPOT_PRICES_KEPT = timedelta(minutes=5)
ZONES_KEPT = timedelta(hours=24)
FAILURE_KEPT = timedelta(minutes=1)  # an account that may not ask is not asked again with each glance

# A spot machine that Amazon takes back within its first hour is not charged for.
NOT_CHARGED = timedelta(hours=1)

_PRODUCT = (("operatingSystem", "Linux"), ("tenancy", "Shared"), ("preInstalledSw", "NA"), ("capacitystatus", "Used"))

Answer = TypeVar("Answer")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Known(Generic[Answer]):
    """What was answered, and when."""

    answer: Answer
    at: datetime


class Prices:
    """Amazon's answers. Nothing here raises: None stands for what was never answered."""

    def __init__(self, *, clients: Clients, clock: Clock) -> None:
        self._client = clients
        self._clock = clock
        self._known: dict[Hashable, Known[Any]] = {}
        self._failed: dict[Hashable, datetime] = {}
        self._lock = threading.Lock()  # two jobs that want the same prices ask once

    def list_price(self, region: str, name: str) -> Known[Micros | None] | None:
        """Return what an hour of a type costs on demand; an answer of None means that it is not sold there."""
        return self._asked(("list", region, name), LIST_PRICES_KEPT, lambda: self._list_price(region, name))

    def spot_prices(self, region: str, names: Sequence[str]) -> Known[Mapping[tuple[str, str], Micros]] | None:
        """Return what an hour on the spot market costs now, by type and zone."""
        key = ("spot", region, tuple(sorted(names)))
        return self._asked(key, SPOT_PRICES_KEPT, lambda: self._spot_prices(region, names))

    def zones(self, region: str, names: Sequence[str]) -> Known[Mapping[str, Sequence[str]]] | None:
        """Return in which zones each type is sold; one that is sold nowhere in the region is left out."""
        key = ("zones", region, tuple(sorted(names)))
        return self._asked(key, ZONES_KEPT, lambda: self._zones(region, names))

    def _asked(self, key: Hashable, kept: timedelta, ask: Callable[[], Answer]) -> Known[Answer] | None:
        """Return an answer no older than `kept`, or an older one where none can be had."""
        with self._lock:
            now = self._clock.now()
            known = self._known.get(key)
            if known is not None and now - known.at < kept:
                return known
            if key in self._failed and now - self._failed[key] < FAILURE_KEPT:
                return known
            try:
                self._known[key] = known = Known(answer=ask(), at=now)
                self._failed.pop(key, None)
            except ProviderError as error:
                _log.warning("aws.prices_unknown", asked=str(key), error=str(error))
                self._failed[key] = now
            return known

    def _list_price(self, region: str, name: str) -> Micros | None:
        wanted = (*_PRODUCT, ("regionCode", region), ("instanceType", name))
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted]
        found: list[Micros] = []
        with translated("the look-up of a price", PRICE_LIST):
            pages = self._client("pricing", PRICE_LIST).get_paginator("get_products")
            for page in pages.paginate(ServiceCode="AmazonEC2", Filters=filters):
                found += [price for product in page["PriceList"] for price in hourly(product)]
        # Were there two of one machine, the dearer is what nobody would be surprised by.
        return max(found, default=None)

    def _spot_prices(self, region: str, names: Sequence[str]) -> Mapping[tuple[str, str], Micros]:
        now = self._clock.now()
        newest: dict[tuple[str, str], tuple[datetime, Micros]] = {}
        with translated("the look-up of spot prices", region):
            pages = self._client("ec2", region).get_paginator("describe_spot_price_history")
            # A range that begins and ends now is answered with the price that holds now.
            asked = {"InstanceTypes": [*names], "ProductDescriptions": [PLATFORM], "StartTime": now, "EndTime": now}
            for page in pages.paginate(**asked):
                for row in page["SpotPriceHistory"]:
                    key = (str(row["InstanceType"]), str(row["AvailabilityZone"]))
                    price = _micros(row["SpotPrice"])
                    if price and (key not in newest or newest[key][0] < row["Timestamp"]):
                        newest[key] = (row["Timestamp"], price)
        return {key: price for key, (_, price) in newest.items()}

    def _zones(self, region: str, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        with translated("the look-up of zones", region):
            pages = self._client("ec2", region).get_paginator("describe_instance_type_offerings")
            wanted = [{"Name": "instance-type", "Values": [*names]}]
            for page in pages.paginate(LocationType="availability-zone", Filters=wanted):
                for row in page["InstanceTypeOfferings"]:
                    found.setdefault(str(row["InstanceType"]), []).append(str(row["Location"]))
        return {name: sorted(zones) for name, zones in found.items()}


def spot_rates(clients: Clients, offer: Offer, zone: str, since: datetime, until: datetime) -> list[Rate]:
    """Return what an hour of a type cost on the spot market of its zone in that time, oldest first.

    Raises `ProviderError`; `Unknown`, too, where the market has no word of that zone and time.
    """
    asked = {
        "InstanceTypes": [offer.name],
        "ProductDescriptions": [PLATFORM],
        "AvailabilityZone": zone,
        "StartTime": since,
        "EndTime": until,
    }
    found: dict[datetime, Micros] = {}
    with translated("the look-up of what a spot machine cost", offer.region):
        pages = clients("ec2", offer.region).get_paginator("describe_spot_price_history")
        for page in pages.paginate(**asked) if zone else ():
            for row in page["SpotPriceHistory"]:
                price = _micros(row["SpotPrice"])
                # Beside the changes in that time the last one before it is told, which was in force at its begin.
                if price and row["InstanceType"] == offer.name and row["AvailabilityZone"] == zone:
                    found[row["Timestamp"]] = price
    if not found:
        raise Unknown(f"The spot market has no price of {offer.name} in {zone or offer.region} for that time.")
    return [Rate(since=at, micros_per_hour=price) for at, price in sorted(found.items())]


def hourly(product: str) -> list[Micros]:
    """Return the prices of an hour on demand that a product of the price list has; nothing where it is no product."""
    try:
        terms = json.loads(product)["terms"].get("OnDemand", {}).values()
        dimensions = [each for term in terms for each in term["priceDimensions"].values()]
        said = [each["pricePerUnit"]["USD"] for each in dimensions if each["unit"] == "Hrs"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []
    return [price for price in map(_micros, said) if price]


def _micros(dollars: Any) -> Micros:
    """Return whole micro-dollars, rounded up; 0 for what is no price."""
    try:
        return math.ceil(Decimal(str(dollars)) * DOLLAR)
    except (DecimalException, ValueError, OverflowError):
        return 0
