"""Another machine for a job whose own was too small, or was not to be had: the cheapest of those that would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.gpus import MEMORY_GB, Gpu
from jobs.offers import Survey
from jobs.providers import Need, Offer
from jobs.shortage import Shortage
from jobs.values import JobSpec, SpotPolicy

_ROOM = 1.05  # what was needed when it failed is not yet the peak
_GB = 2**30  # sold as gigabytes


class Market(Protocol):
    """Who knows what there is, as `jobs.offers.Desk` does."""

    def survey(self, need: Need, allowed: Sequence[str]) -> Survey:
        """Return what every allowed provider offers."""


@dataclass(frozen=True, kw_only=True)
class Larger:
    """A machine on which it may fit: what to write behind `gpu=` and `spot=`, and what is offered."""

    gpu: Gpu
    offer: Offer

    @property
    def spot(self) -> SpotPolicy:
        """The market that it is offered on."""
        return SpotPolicy.SPOT if self.offer.spot else SpotPolicy.ON_DEMAND


def larger(market: Market, spec: JobSpec, had_gb: int, shortage: Shortage) -> Larger | None:
    """Return the cheapest machine with as many GPUs, each larger than `had_gb` and with room; None where none is."""
    least = max(had_gb + 1, int((shortage.needed or 0) * _ROOM / _GB))
    return _least(_offered(market, spec, least, tuple(MEMORY_GB), spec.spot.markets))


def elsewhere(market: Market, spec: JobSpec) -> Larger | None:
    """Return the cheapest machine with other GPUs of no less memory; None where none is, or none was asked for.

    On the markets that the job may rent on; the GPU itself counts on demand, where only spot machines were asked for.
    Whether one is free is known only by asking for it.
    """
    if spec.gpu not in MEMORY_GB:
        return None
    least = spec.gpu_memory_gb or MEMORY_GB[spec.gpu][0]
    others = tuple(name for name in MEMORY_GB if name != spec.gpu)
    found = _offered(market, spec, least, others, spec.spot.markets)
    if spec.spot is SpotPolicy.SPOT:
        found += _offered(market, spec, least, (spec.gpu,), (False,))
    return _least(found)


def _offered(market: Market, spec: JobSpec, least: int, names: Sequence[str], spots: Sequence[bool]) -> list[Larger]:
    found: list[Larger] = []
    for name in names:
        sizes = MEMORY_GB[name]
        for size in sizes:
            if size < least:
                continue
            gpu = Gpu(name=name, memory_gb=size if len(sizes) > 1 else None, count=spec.gpus)
            for spot in spots:
                need = Need(gpu=name, memory_gb=size, count=spec.gpus, spot=spot, disk_gb=spec.disk_gb)
                found += [Larger(gpu=gpu, offer=offer) for offer in market.survey(need, spec.providers).offers]
    return found


def _least(found: Sequence[Larger]) -> Larger | None:
    return min(found, key=lambda one: (one.offer.micros_per_hour, one.offer.memory_gb, str(one.gpu)), default=None)
