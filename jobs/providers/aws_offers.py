"""Amazon's machines as offers: whole instances, one for each zone, with the newest price that anybody gave.

The operator's own price goes first, then Amazon's, then the dated catalogue's. Where Amazon does not say in which
zones a type is sold, it is offered without one, and EC2 chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from jobs.errors import ProviderError
from jobs.providers import Need, Offer
from jobs.providers.aws_prices import Prices
from jobs.providers.aws_types import TYPES, Type
from jobs.values import Micros

# In which zones of a region machines may stand; None: in all.
Zones = Callable[[str], frozenset[str] | None]
Priced = Callable[[str, str], Offer | None]  # type and zone to the offer there

_CPU = "cpu"
_log = structlog.get_logger(__name__)


class Offers:
    """What can be had in the operator's regions."""

    def __init__(
        self,
        *,
        regions: Sequence[str],
        catalogue: Sequence[Offer],
        own: Sequence[Offer] = (),
        live: Prices | None = None,
        zones: Zones = lambda region: None,
    ) -> None:
        """Take the catalogue's prices and the operator's own; without `live` nobody is asked for others."""
        self._regions = tuple(regions)
        self._own = {_machine(offer): offer for offer in own if offer.provider == "aws"}
        self._dated = {_machine(offer): offer for offer in catalogue if offer.provider == "aws"}
        self._live = live
        self._zones = zones

    def matching(self, need: Need) -> Sequence[Offer]:
        """Return what satisfies `need`, cheapest whole instance first, then in the order of the regions."""
        found: list[Offer] = []
        for region in self._regions:
            names = self._names(region, need)
            if names and self._live is not None:
                found += self._asked(self._live, region, names, spot=need.spot)
            else:
                found += self._known(region, names, spot=need.spot)
        return sorted(
            found, key=lambda offer: (offer.micros_per_hour, self._regions.index(offer.region), offer.name, offer.zone)
        )

    def own(self, region: str, name: str, *, spot: bool) -> Micros | None:
        """Return the operator's own price of a type; None where none was given."""
        offer = self._own.get((name, region, spot))
        return None if offer is None else offer.micros_per_hour

    def on_demand(self, region: str, name: str) -> Micros | None:
        """Return what an hour of a type costs on demand, by the same order of prices; None where nobody knows."""
        own = self.own(region, name, spot=False)
        listed = self._live.list_price(region, name) if own is None and self._live is not None else None
        if own is not None or (listed is not None and listed.answer is not None):
            return own if listed is None else listed.answer
        dated = self._dated.get((name, region, False))
        return None if dated is None else dated.micros_per_hour

    def _names(self, region: str, need: Need) -> Mapping[str, Type]:
        """Return the types that satisfy, also those that only a price list of the operator's knows."""
        priced = [*self._dated.values(), *self._own.values()]
        listed = {
            offer.name: Type(gpu=offer.gpu, memory_gb=offer.memory_gb, gpus=offer.gpus)
            for offer in priced
            if offer.region == region
        }
        known = {**listed, **(TYPES if self._live is not None else {})}
        return {name: kind for name, kind in known.items() if _satisfies(kind, need)}

    def _known(self, region: str, names: Mapping[str, Type], *, spot: bool) -> Iterator[Offer]:
        for name in names:
            offer = self._own.get((name, region, spot)) or self._dated.get((name, region, spot))
            if offer is not None:
                yield offer

    def _asked(self, live: Prices, region: str, names: Mapping[str, Type], *, spot: bool) -> Iterator[Offer]:
        sold, allowed = live.zones(region, [*names]), self._allowed(region)
        priced = self._on_spot(live, region, names) if spot else self._on_demand(live, region, names)
        for name in names:
            zones: Sequence[str] = ("",) if sold is None else sold.answer.get(name, ())
            for zone in zones:
                if zone and allowed is not None and zone not in allowed:
                    continue
                offer = self._own.get((name, region, spot)) or priced(name, zone)
                if offer is not None:
                    yield replace(offer, zone=zone)

    def _on_demand(self, live: Prices, region: str, names: Mapping[str, Type]) -> Priced:
        def priced(name: str, zone: str) -> Offer | None:
            listed = live.list_price(region, name)
            if listed is None:  # Amazon did not answer: what the catalogue says will do
                return self._dated.get((name, region, False))
            return _offer(region, name, names[name], listed.answer, listed.at, spot=False)

        return priced

    def _on_spot(self, live: Prices, region: str, names: Mapping[str, Type]) -> Priced:
        market = live.spot_prices(region, [*names])

        def priced(name: str, zone: str) -> Offer | None:
            if market is None:
                return self._dated.get((name, region, True))
            price = _of_zone(market.answer, name, zone)
            return _offer(region, name, names[name], price, market.at, spot=True)

        return priced

    def _allowed(self, region: str) -> frozenset[str] | None:
        try:
            return self._zones(region)
        except ProviderError as error:  # the launch will say so, in the words of the setting that is wrong
            _log.warning("aws.zones_unknown", region=region, error=str(error))
            return None


def _satisfies(kind: Type, need: Need) -> bool:
    if need.gpu == _CPU:
        return kind.gpu == _CPU
    return kind.gpu == need.gpu and kind.gpus >= need.count and kind.memory_gb >= (need.memory_gb or 0)


def _of_zone(prices: Mapping[tuple[str, str], Micros], name: str, zone: str) -> Micros | None:
    """Return the price there; where the zone is not known, the dearest that EC2 may choose."""
    if zone:
        return prices.get((name, zone))
    return max((price for (priced, _), price in prices.items() if priced == name), default=None)


def _offer(region: str, name: str, kind: Type, price: Micros | None, at: datetime, *, spot: bool) -> Offer | None:
    """Return the offer at Amazon's price; None for what Amazon has no price of, and so does not sell."""
    if price is None:
        return None
    return Offer(
        provider="aws",
        name=name,
        region=region,
        gpu=kind.gpu,
        memory_gb=kind.memory_gb,
        gpus=kind.gpus,
        micros_per_hour=price,
        spot=spot,
        priced_at=at,
    )


def _machine(offer: Offer) -> tuple[str, str, bool]:
    return offer.name, offer.region, offer.spot
