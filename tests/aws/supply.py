"""What the stand-in for Amazon has, and what it asks for it: prices, room, quotas; and how late it tells.

moto sells everything everywhere, at no price, without end, and each state is there at once. Here a test says what a
region has. Delays are counted in looks, so that no test waits.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

EC2 = "http://ec2.amazonaws.com/doc/2016-11-15"
USER_DATA_LIMIT = 16 * 1024
ET.register_namespace("", EC2)


@dataclass(frozen=True)
class Fault:
    """An answer of Amazon's that is an error."""

    code: str
    message: str
    status: int = 400


@dataclass
class Supply:
    """What there is; everything that a test does not say is there without end, as in moto."""

    list_prices: dict[tuple[str, str], str] = field(default_factory=dict)  # region and type to dollars an hour
    spot_prices: dict[tuple[str, str], str] = field(default_factory=dict)  # zone and type
    spot_moves: dict[tuple[str, str], list[tuple[datetime, str]]] = field(
        default_factory=dict
    )  # from when, oldest first
    room: dict[tuple[str, str, bool], int] = field(default_factory=dict)  # zone, type, spot to machines left
    quotas: dict[tuple[str, bool], int] = field(default_factory=dict)  # region, spot to machines left
    throttled: Counter[str] = field(default_factory=Counter)  # actions to how many more calls are turned away
    # How many looks at a machine pass until it is seen, runs, and is gone after its end.
    unseen_for: int = 0
    pending_for: int = 0
    ending_for: int = 0
    _looks: MutableMapping[tuple[str, str], int] = field(default_factory=Counter)

    # ------------------------------------------------------------ launching

    def refusal(self, words: Mapping[str, str], region: str, zones: Mapping[str, str]) -> Fault | None:
        """Return why a RunInstances is refused; `zones` knows the subnets. None takes what was asked for away."""
        try:
            data = b64decode(words.get("UserData", ""), validate=True)
        except ValueError:
            return Fault("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data")
        if len(data) > USER_DATA_LIMIT:
            return Fault("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")
        kind, spot = words["InstanceType"], words.get("InstanceMarketOptions.MarketType") == "spot"
        zone = words.get("Placement.AvailabilityZone") or zones.get(words.get("SubnetId", ""), "")
        if zone and not _sold(kind, region, zone):
            return Fault("Unsupported", f"Your requested instance type ({kind}) is not supported in {zone}.")
        bid = Decimal(words.get("InstanceMarketOptions.SpotOptions.MaxPrice", "1000"))
        price = self.spot_prices.get((zone, kind))
        if spot and price is not None and bid < Decimal(price):
            return Fault("SpotMaxPriceTooLow", f"Your Spot request price of {bid} is lower than {price}.")
        if self.quotas.get((region, spot), 1) <= 0:
            return QUOTA_ON_SPOT if spot else QUOTA
        if self.room.get((zone, kind, spot), 1) <= 0:
            return Fault("InsufficientInstanceCapacity", f"There is no Spot capacity of {kind} in {zone}.", 500)
        for left, key in ((self.quotas, (region, spot)), (self.room, (zone, kind, spot))):
            if key in left:
                left[key] -= 1  # type: ignore[index]  # each with its own kind of key
        return None

    def turned_away(self, action: str) -> bool:
        """Return whether this call is one too many."""
        if self.throttled[action] <= 0:
            return False
        self.throttled[action] -= 1
        return True

    # ------------------------------------------------------------ looking

    def told(self, words: Mapping[str, str], text: str) -> str | Fault:
        """Return the answer to a DescribeInstances as it is told so early; `text` is what moto knows."""
        root = ET.fromstring(text)  # noqa: S314  moto's own words
        named = {value for key, value in words.items() if key.startswith("InstanceId.")}
        for reservation in root.findall(".//{*}reservationSet/{*}item"):
            machines = reservation.find("{*}instancesSet")
            assert machines is not None
            for machine in list(machines):
                name = machine.findtext("{*}instanceId", "")
                if self._look("unseen", name, self.unseen_for):
                    if name in named:
                        return Fault("InvalidInstanceID.NotFound", f"The instance ID '{name}' does not exist")
                    machines.remove(machine)
                    continue
                self._late(machine, name)
        return ET.tostring(root, encoding="unicode")

    def _late(self, machine: ET.Element, name: str) -> None:
        code = machine.find("{*}instanceState/{*}code")
        state = machine.find("{*}instanceState/{*}name")
        assert code is not None and state is not None
        if state.text == "running" and self._look("pending", name, self.pending_for):
            code.text, state.text = "0", "pending"
        elif state.text == "terminated" and self._look("ending", name, self.ending_for):
            code.text, state.text = "32", "shutting-down"

    def _look(self, what: str, name: str, most: int) -> bool:
        self._looks[what, name] += 1
        return self._looks[what, name] <= most

    # ------------------------------------------------------------ prices

    def products(self, body: bytes) -> dict[str, Any]:
        """Return the answer to a GetProducts: what the price list has for the filters."""
        asked = json.loads(body)
        assert asked["ServiceCode"] == "AmazonEC2"
        wanted = {each["Field"]: each["Value"] for each in asked["Filters"]}
        price = self.list_prices.get((wanted["regionCode"], wanted["instanceType"]))
        return {"FormatVersion": "aws_v1", "PriceList": [] if price is None else [_product(wanted, price)]}

    def spot_history(self, words: Mapping[str, str], region: str) -> str:
        """Return the answer to a DescribeSpotPriceHistory whose range ends now, an older price of each among it."""
        wanted = {value for key, value in words.items() if key.startswith("InstanceType.")}
        rows = [
            f"<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>"
            f"<spotPrice>{dollars}</spotPrice><timestamp>2026-11-{day}T00:00:00.000Z</timestamp>"
            f"<availabilityZone>{zone}</availabilityZone></item>"
            for (zone, kind), price in self.spot_prices.items()
            for day, dollars in (("02", price), ("01", "99.000000"))
            if zone.startswith(region) and kind in wanted
        ]
        rows += [row for kind in sorted(wanted) for row in self._moves(words, region, kind)]
        return (
            f'<DescribeSpotPriceHistoryResponse xmlns="{EC2}"><spotPriceHistorySet>{"".join(rows)}'
            "</spotPriceHistorySet><nextToken></nextToken></DescribeSpotPriceHistoryResponse>"
        )

    def _moves(self, words: Mapping[str, str], region: str, kind: str) -> list[str]:
        """Return the changes in the time that is asked for, the newest first, and the last one before it."""
        begin, end = (datetime.fromisoformat(words[name]) for name in ("StartTime", "EndTime"))
        told = []
        for (zone, sold), moves in self.spot_moves.items():
            if sold != kind or not zone.startswith(region) or words.get("AvailabilityZone", zone) != zone:
                continue
            before = [move for move in moves if move[0] <= begin][-1:]
            within = [move for move in moves if begin < move[0] <= end]
            told += [
                f"<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>"
                f"<spotPrice>{dollars}</spotPrice><timestamp>{at:%Y-%m-%dT%H:%M:%S}.000Z</timestamp>"
                f"<availabilityZone>{zone}</availabilityZone></item>"
                for at, dollars in reversed(before + within)
            ]
        return told


QUOTA = Fault("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 8 allows.")
QUOTA_ON_SPOT = Fault("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")


def region_of(authorization: str) -> str:
    """Return the region that a signed request is for: Credential=<key>/<date>/<region>/ec2/aws4_request."""
    found = re.search(r"Credential=[^/]+/[^/]+/([^/]+)/", authorization)
    return found[1] if found else ""


def _sold(kind: str, region: str, zone: str) -> bool:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS  # for the one worker that runs these tests

    offered = INSTANCE_TYPE_OFFERINGS.get("availability-zone", {}).get(region, [])
    return any(row["InstanceType"] == kind and row["Location"] == zone for row in offered)


def _product(wanted: Mapping[str, str], price: str) -> str:
    """Return a product as the price list has it: a string of JSON, its terms under names of no meaning."""
    return json.dumps(
        {
            "product": {"productFamily": "Compute Instance", "attributes": wanted, "sku": "2223B6PCG6QAUYY6"},
            "serviceCode": "AmazonEC2",
            "terms": {
                "OnDemand": {
                    "2223B6PCG6QAUYY6.JRTCKXETXF": {
                        "priceDimensions": {
                            "2223B6PCG6QAUYY6.JRTCKXETXF.6YS6EN2CT7": {
                                "unit": "Hrs",
                                "pricePerUnit": {"USD": price},
                                "description": f"${price} per On Demand Linux {wanted['instanceType']} Instance Hour",
                            }
                        },
                        "offerTermCode": "JRTCKXETXF",
                    }
                },
                "Reserved": {"2223B6PCG6QAUYY6.38NPMPTW36": {"priceDimensions": {}}},
            },
        }
    )
