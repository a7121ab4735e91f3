"""What a machine's time came to: its hourly price, or what a market asked from hour to hour; beside it, estimates.

Pure. The hold was made for the bid of a spot machine, so no hour is ever booked above it. What it would have cost on
demand is told for comparison. The disk is billed beside the machine and is in the charge, as it is in the hold; what
leaves the provider's network is in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs import policy
from jobs.model import Attempt
from jobs.providers import Metered, Offer, Rate, Traits
from jobs.records import parse
from jobs.values import Micros

GB = 1_000_000_000
_MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1) // _MICROSECOND


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What one machine is charged with, in micro-dollars."""

    micros: Micros  # in all
    disk: Micros = 0  # of that, by list price: nobody meters a volume for us
    on_demand: Micros | None = None  # what the same time would have cost on demand; None where that is no question
    unmetered: bool = False  # the market's prices could not be had: the price at the launch stands in
    free: bool = False  # its provider took it back so soon that it asks nothing for its time

    def told(self) -> Mapping[str, Any]:
        """Return it as a note keeps it."""
        optional = {"on_demand": self.on_demand, "unmetered": self.unmetered, "free": self.free}
        return {"billed": self.micros, "disk": self.disk, **{name: value for name, value in optional.items() if value}}


def bill(
    attempt: Attempt,
    *,
    began: datetime,
    until: datetime,
    disk_gb: int,
    traits: Traits,
    metered: Metered | None = None,
    unmetered: bool = False,
) -> Bill:
    """Return what a machine costs that is billed from `began` until then: granules, minimum and disk included.

    `metered` is what a market asked, `unmetered` that it asked something and would not say what.
    """
    flat, ran, paid = attempt.micros_per_hour, until - began, policy.billed_time(until - began, traits)
    whole = policy.bill(micros_per_hour=flat, ran=ran, traits=traits, disk_gb=disk_gb)
    disk = policy.bill(micros_per_hour=0, ran=ran, traits=traits, disk_gb=disk_gb)
    if metered is None:
        return Bill(micros=whole, disk=min(whole, disk), unmetered=unmetered)
    most = parse(Offer, attempt.offer).bid or flat
    rates = () if metered.free else metered.rates
    time = _integrated(rates, began, began + paid, most)
    micros = -(-(time + disk_gb * traits.disk_micros_per_gb_hour * (paid // _MICROSECOND)) // _HOUR)
    steady = (
        None
        if metered.on_demand is None
        else policy.bill(micros_per_hour=metered.on_demand, ran=ran, traits=traits, disk_gb=disk_gb)
    )
    return Bill(micros=micros, disk=min(micros, disk), on_demand=steady, free=metered.free)


def _integrated(rates: Sequence[Rate], began: datetime, until: datetime, most: Micros) -> int:
    """Return the sum of every stretch of time at its own price, in micro-dollars an hour times microseconds."""
    total = 0
    for number, rate in enumerate(rates):
        since = began if number == 0 else max(began, rate.since)
        end = min(until, rates[number + 1].since) if number + 1 < len(rates) else until
        total += min(rate.micros_per_hour, most) * max(0, (end - since) // _MICROSECOND)
    return total


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a job's machines came to, beside the charge: for the end of its thread."""

    saved: Micros = 0  # against the same machines on demand; never negative
    disk: Micros = 0  # estimated, in the charge
    egress: Micros = 0  # estimated, not in the charge: its newest files, fetched once
    egress_bytes: int = 0
    unmetered: int = 0  # machines whose market would not say its prices
    free: int = 0  # machines that nothing was asked for


def summary(told: Iterable[Mapping[str, Any]], *, kept_bytes: int, egress_micros_per_gb: Micros) -> Summary:
    """Return what the bills of a job's machines, as notes keep them, and its files come to."""
    notes = list(told)
    saved = sum(note["on_demand"] - note["billed"] for note in notes if "on_demand" in note)
    return Summary(
        saved=max(0, saved),
        disk=sum(note.get("disk", 0) for note in notes),
        egress=-(-kept_bytes * egress_micros_per_gb // GB),
        egress_bytes=kept_bytes,
        unmetered=sum(bool(note.get("unmetered")) for note in notes),
        free=sum(bool(note.get("free")) for note in notes),
    )
