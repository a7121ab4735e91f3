"""The cheapest machine with more memory than the one that was too small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.gpus import MEMORY_GB, Gpu
from jobs.offers import Survey
from jobs.providers import Need, Offer
from jobs.shortage import Shortage
from jobs.values import JobSpec

_ROOM = 1.05  # what was needed when it failed is not yet the peak
_GB = 2**30  # sold as gigabytes


class Market(Protocol):
    """Who knows what there is, as `jobs.offers.Desk` does."""

    def survey(self, need: Need, allowed: Sequence[str]) -> Survey:
        """Return what every allowed provider offers."""


@dataclass(frozen=True, kw_only=True)
class Larger:
    """A machine on which it may fit: what to write behind `gpu=`, and what is offered."""

    gpu: Gpu
    offer: Offer


def larger(market: Market, spec: JobSpec, had_gb: int, shortage: Shortage) -> Larger | None:
    """Return the cheapest machine with as many GPUs, each larger than `had_gb` and with room; None where none is."""
    least = max(had_gb + 1, int((shortage.needed or 0) * _ROOM / _GB))
    found = []
    for name, sizes in MEMORY_GB.items():
        for size in sizes:
            if size < least:
                continue
            need = Need(gpu=name, memory_gb=size, count=spec.gpus, spot=False, disk_gb=spec.disk_gb)
            gpu = Gpu(name=name, memory_gb=size if len(sizes) > 1 else None, count=spec.gpus)
            found += [Larger(gpu=gpu, offer=offer) for offer in market.survey(need, spec.providers).offers]
    return min(found, key=lambda one: (one.offer.micros_per_hour, one.offer.memory_gb, str(one.gpu)), default=None)
