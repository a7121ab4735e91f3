"""What machines cost: a dated catalogue, live offers, and both compared by the price of the whole instance.

Nobody rents an eighth of an eight-GPU machine, so the price that counts is the whole one; the price of one GPU is
shown beside it and decides nothing. Catalogue prices are as old as their date says: providers that know better
answer for themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import structlog

from jobs.errors import BadSpec, ProviderError, Scope
from jobs.gpus import CPU, GPU_NAMES, MEMORY_GB, Gpu
from jobs.providers import Need, Offer, Provider
from jobs.values import DOLLAR

PRACTICE: Final = "practice"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class CatalogueRow:
    """A price that was read somewhere, and where."""

    offer: Offer
    source: str


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the providers answered."""

    offers: Sequence[Offer]  # that satisfy, cheapest whole instance first
    errors: Mapping[str, ProviderError]  # by provider


@dataclass(frozen=True, kw_only=True)
class PriceRow:
    """One line of a price comparison."""

    offer: Offer
    micros_per_gpu: int  # an hour of one GPU, rounded up; the whole machine where it has none
    configured: bool  # can be rented here
    source: str  # where the price was read; empty where the provider said it just now
    saves: int | None = None  # percent of what the same machine costs on demand there; None where that is not known


@cache
def catalogue() -> tuple[CatalogueRow, ...]:
    """Return every price in the catalogue, in the order of the file."""
    rows = json.loads(files("jobs").joinpath("catalogue.json").read_text(encoding="utf-8"))["offers"]
    return tuple(catalogue_row(row) for row in rows)


def catalogue_offers(provider: str) -> tuple[Offer, ...]:
    """Return the catalogue's offers of one provider."""
    return tuple(row.offer for row in catalogue() if row.offer.provider == provider)


def satisfies(offer: Offer, need: Need) -> bool:
    """Say whether `offer` is at least what `need` asks for: more memory or more GPUs will do."""
    if need.gpu == CPU:
        return offer.gpu == CPU
    return (
        offer.gpu == need.gpu
        and offer.gpus >= need.count
        and offer.memory_gb >= (need.memory_gb or 0)
        and offer.spot == need.spot
    )


def matching(offers: Iterable[Offer], need: Need) -> list[Offer]:
    """Return the offers that satisfy, cheapest whole instance first, the smaller machine first among equals."""
    return sorted((offer for offer in offers if satisfies(offer, need)), key=_price)


def practice_offer(need: Need, at: datetime) -> Offer | None:
    """Return what a stand-in for `need` is priced at: the catalogue's cheapest single-GPU machine, times the count.

    A machine without a GPU costs nothing. None where no single-GPU machine of that kind has a price; `at` dates
    the offer. The price cannot rise, so nothing is held above it.
    """
    if need.gpu == CPU:
        return _practice(CPU, memory_gb=0, gpus=0, micros=0, at=at)
    single = replace(need, count=1, spot=False)
    found = [offer for offer in matching((row.offer for row in catalogue()), single) if offer.gpus == 1]
    if not found:
        return None
    cheapest = found[0]
    micros = cheapest.micros_per_hour * need.count
    return _practice(cheapest.gpu, memory_gb=cheapest.memory_gb, gpus=need.count, micros=micros, at=at)


class Desk:
    """Asks the configured providers what they have."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers

    def quote(self, need: Need, allowed: Sequence[str]) -> list[Offer]:
        """Return the offers that satisfy, cheapest whole instance first; `allowed` empty means every provider.

        Never returns an empty list: raises `BadSpec` that says what there is instead, or the `ProviderError` of
        one that did not answer, because then nobody knows what there is.
        """
        survey = self.survey(need, allowed)
        if survey.offers:
            return list(survey.offers)
        if survey.errors:
            raise min(survey.errors.values(), key=lambda error: error.scope is Scope.PERMANENT)
        raise BadSpec(self._nothing(need, allowed))

    def survey(self, need: Need, allowed: Sequence[str]) -> Survey:
        """Return what every allowed provider offers, and the errors of those that could not say."""
        offers: list[Offer] = []
        errors: dict[str, ProviderError] = {}
        for name in self._names(allowed):
            try:
                offers += self._providers[name].offers(need)
            except ProviderError as error:
                _log.warning("provider did not quote", provider=name, error=str(error))
                errors[name] = error
        return Survey(offers=matching(offers, need), errors=MappingProxyType(errors))

    def compare(self, gpu: str | None = None, spot: bool | None = None) -> list[PriceRow]:
        """Return prices, cheapest first: configured providers' own where they answer, else the catalogue's.

        `gpu` is as `jobs.gpus` writes it, `a100` or `a100-80gb`; None compares every one. Asks providers, so it is
        not for the time before an acknowledgement.
        """
        wanted = _wanted(gpu)
        rows: list[PriceRow] = []
        for name in self._providers:
            rows += [_price_row(offer, configured=True, source="") for offer in self._own(name, wanted)]
        answered = {row.offer.provider for row in rows}
        for row in catalogue():
            offer = row.offer
            if offer.provider not in answered and any(_is_wanted(offer, need) for need in wanted):
                rows.append(_price_row(offer, configured=offer.provider in self._providers, source=row.source))
        rows = _with_savings(rows)
        fitting = [row for row in rows if spot is None or row.offer.spot == spot]
        return sorted(fitting, key=lambda row: _price(row.offer))

    def _own(self, name: str, wanted: Sequence[Need]) -> list[Offer]:
        found: dict[tuple[str, str, bool, str], Offer] = {}
        for need in wanted:
            for market in (False, True):
                try:
                    offers = self._providers[name].offers(replace(need, spot=market))
                except ProviderError as error:
                    _log.warning("provider did not quote", provider=name, error=str(error))
                    return []
                for offer in offers:  # of several zones, the cheapest: offers come so
                    found.setdefault((offer.name, offer.region, offer.spot, offer.gpu), offer)
        return list(found.values())

    def _names(self, allowed: Sequence[str]) -> Sequence[str]:
        for name in allowed:
            if name not in self._providers:
                near = get_close_matches(name, list(self._providers), n=1)
                hint = f"Did you mean `{near[0]}`? " if near else ""
                there = ", ".join(f"`{known}`" for known in self._providers) or "none"
                raise BadSpec(f"`{name}` is not a provider here. {hint}Configured: {there}.")
        return allowed or list(self._providers)

    def _nothing(self, need: Need, allowed: Sequence[str]) -> str:
        """Return the sentence for a need that nobody meets: what there is instead, nearest first."""
        asked = _described(need)
        who = f"None of {', '.join(allowed)}" if allowed else "No provider here"
        for nearer in _nearer(need):
            found = self.survey(nearer, allowed).offers
            if found:
                words = f"`gpu={_written(found[0], nearer)}`{_market(need, nearer)}"
                return f"{who} has {asked}; nearest: {_offered(found[0])}. Write {words}."
        there = {_offered(offer) for offer in self._inventory(allowed)}
        if not there:
            return f"{who} has {asked}, nor any other machine that has a price. Ask the operator, or name a provider."
        return f"{who} has {asked}; there is {', '.join(sorted(there))}."

    def _inventory(self, allowed: Sequence[str]) -> list[Offer]:
        offers: list[Offer] = []
        for gpu in (*GPU_NAMES, CPU):
            count = 0 if gpu == CPU else 1
            need = Need(gpu=gpu, memory_gb=None, count=count, spot=False, disk_gb=1)
            offers += self.survey(need, allowed).offers[:1]
        return offers


def catalogue_row(row: Mapping[str, object]) -> CatalogueRow:
    """Read one row of a price list; raises `KeyError`, `ValueError` or `ArithmeticError` where it is none."""
    offer = Offer(
        provider=str(row["provider"]),
        name=str(row["name"]),
        region=str(row["region"]),
        gpu=str(row["gpu"]),
        memory_gb=int(str(row["memory_gb"])),
        gpus=int(str(row["gpus"])),
        micros_per_hour=int(Decimal(str(row["dollars"])) * DOLLAR),
        spot=row["spot"] is True,
        priced_at=datetime.fromisoformat(str(row["date"])).replace(tzinfo=UTC),
    )
    return CatalogueRow(offer=offer, source=str(row["source"]))


def _practice(gpu: str, *, memory_gb: int, gpus: int, micros: int, at: datetime) -> Offer:
    return Offer(
        provider=PRACTICE,
        name="this computer",
        region="here",
        gpu=gpu,
        memory_gb=memory_gb,
        gpus=gpus,
        micros_per_hour=micros,
        spot=False,
        priced_at=at,
        fixed_price=True,
    )


def _price(offer: Offer) -> tuple[int, int, str, str]:
    return (offer.micros_per_hour, offer.gpus, offer.provider, offer.name)


def _price_row(offer: Offer, *, configured: bool, source: str) -> PriceRow:
    per_gpu = -(-offer.micros_per_hour // max(offer.gpus, 1))
    return PriceRow(offer=offer, micros_per_gpu=per_gpu, configured=configured, source=source)


def _with_savings(rows: Sequence[PriceRow]) -> list[PriceRow]:
    """Return the rows, those of the spot market with what they save against the same machine on demand."""
    steady = {_machine(row.offer): row.offer.micros_per_hour for row in rows if not row.offer.spot}

    def saves(offer: Offer) -> int | None:
        before = steady.get(_machine(offer)) if offer.spot else None
        return 100 - -(-100 * offer.micros_per_hour // before) if before else None

    return [replace(row, saves=saves(row.offer)) for row in rows]


def _machine(offer: Offer) -> tuple[str, str, str]:
    return (offer.provider, offer.name, offer.region)


def _wanted(gpu: str | None) -> list[Need]:
    if gpu is None:
        return [Need(gpu=name, memory_gb=None, count=1, spot=False, disk_gb=1) for name in GPU_NAMES]
    name, _, memory = gpu.partition("-")
    size = int(memory.removesuffix("gb")) if memory else None
    return [Need(gpu=name, memory_gb=size, count=0 if name == CPU else 1, spot=False, disk_gb=1)]


def _is_wanted(offer: Offer, need: Need) -> bool:
    return satisfies(offer, replace(need, spot=offer.spot))


def _nearer(need: Need) -> list[Need]:
    """Return needs that give up something of `need`, the least first: the market, the memory, the count, the kind."""
    steps = [replace(need, spot=False)] if need.spot else []
    if need.gpu == CPU:
        return steps
    steps += [replace(need, spot=False, memory_gb=None)] if need.memory_gb else []
    fewer = [count for count in (8, 4, 2, 1) if count < need.count]
    steps += [replace(need, spot=False, memory_gb=None, count=count) for count in fewer]
    size, place = need.memory_gb or MEMORY_GB[need.gpu][0], GPU_NAMES.index(need.gpu)
    others = sorted(
        (name for name in GPU_NAMES if name != need.gpu),
        key=lambda name: (abs(MEMORY_GB[name][-1] - size), abs(GPU_NAMES.index(name) - place)),
    )
    return steps + [replace(need, spot=False, gpu=name, memory_gb=None) for name in others]


def _described(need: Need) -> str:
    if need.gpu == CPU:
        return "a machine without a GPU"
    memory = f"-{need.memory_gb}gb" if need.memory_gb else ""
    return f"{need.count} × {need.gpu}{memory}" + (" on spot" if need.spot else "")


def _offered(offer: Offer) -> str:
    return CPU if offer.gpu == CPU else f"{offer.gpus} × {offer.gpu} ({offer.memory_gb} GB) at {offer.provider}"


def _written(offer: Offer, need: Need) -> str:
    return str(Gpu(name=offer.gpu, memory_gb=need.memory_gb, count=need.count))


def _market(need: Need, nearer: Need) -> str:
    return " and `spot=no`" if need.spot and not nearer.spot else ""
