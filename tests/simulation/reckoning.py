"""What rentals cost and may cost, reckoned a second time: in fractions, from the price list's rules alone.

Written from what people are promised (whole granules, a minimum, the disk beside the machine, half above the cheapest
price at the most), not from the product's code, which is what it is held against. Nothing here imports a sum of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from itertools import combinations

from jobs.providers import Offer, Traits

HOUR = 3_600_000_000  # microseconds
RETRIES = 3  # machines after the first that a job may begin where it asked for that or rents on the spot market


def micros(span: timedelta) -> int:
    """Return a span in whole microseconds."""
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def price(rate: int, disk_gb: int, ran: timedelta, traits: Traits) -> int:
    """Return what a cloud bills for one machine, in micro-dollars: started granules are whole, started micros too."""
    granule = max(1, micros(traits.granule))
    billed = math.ceil(Fraction(max(micros(ran), micros(traits.minimum), 0), granule)) * granule
    return math.ceil(Fraction((rate + disk_gb * traits.disk_micros_per_gb_hour) * billed, HOUR))


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a job was priced at: the ceiling of its rate, and the clouds that may run it."""

    ceiling: int
    clouds: tuple[Traits, ...]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a person asked for, as far as money depends on it."""

    minutes: float
    gpu: str
    disk_gb: int
    spot: tuple[bool, ...]  # the markets that it may use
    max_price: int | None
    max_cost: int | None
    retry: bool
    nodes: int = 1  # machines that are rented together, each at that price


def worst(ask: Ask, terms: Terms, minutes: float, *, capped: bool = True) -> int:
    """Return the most that a job of so many minutes may cost under these terms."""
    most = 0
    for traits in terms.clouds:
        longest = timedelta(minutes=minutes) + traits.startup + traits.hard_lag
        again = price(terms.ceiling, ask.disk_gb, timedelta(microseconds=1), traits) + 1
        run = price(terms.ceiling, ask.disk_gb, longest, traits)
        most = max(most, ask.nodes * (run + (RETRIES * again if ask.retry else 0)))
    return min(most, ask.max_cost) if capped and ask.max_cost is not None else most


def possible_terms(ask: Ask, market: Sequence[tuple[Traits, Sequence[Offer]]]) -> list[Terms]:
    """Return all terms that a price round could have come to: any cloud may have kept silent about either market."""
    told = [
        (traits, [offer for offer in offers if offer.gpu == ask.gpu and offer.spot is spot])
        for traits, offers in market
        if ask.nodes == 1 or traits.joins
        for spot in ask.spot
    ]
    answers = [(traits, offers) for traits, offers in told if offers]
    rounds = (chosen for size in range(1, len(answers) + 1) for chosen in combinations(answers, size))
    found: dict[Terms, None] = {}
    for chosen in rounds:
        found |= dict.fromkeys(_terms(ask, chosen))
    return list(found)


def _terms(ask: Ask, told: Sequence[tuple[Traits, Sequence[Offer]]]) -> list[Terms]:
    cheapest = min((offer for _, offers in told for offer in offers), key=lambda offer: offer.micros_per_hour)
    half_above = cheapest.micros_per_hour if cheapest.fixed_price else cheapest.micros_per_hour * 3 // 2
    if ask.spot == (False, True):  # what is taken back on the one market goes on on the other: that has to be held, too
        steady = [offer.micros_per_hour for _, offers in told for offer in offers if not offer.spot]
        half_above = max([half_above, *([min(steady)] if steady else [])])
    ceiling = half_above if ask.max_price is None else min(half_above, ask.max_price)
    usable = {traits for traits, offers in told if any(one.micros_per_hour <= ceiling for one in offers)}
    clouds = tuple(sorted(usable, key=lambda traits: traits.name))
    return [Terms(ceiling=ceiling, clouds=clouds)] if clouds else []
