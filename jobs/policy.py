"""What may be rented, for how much, and who has to be asked: decisions over values, nothing else.

The worst case is built of the very bill that a machine will get: whole granules, the provider's minimum, the time
that it may take to end. What is held for a job therefore covers every run that ends by its deadline at a price
under the ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from jobs.errors import NoCapacity, Scope
from jobs.model import Job, Period, Team
from jobs.providers import Guarantee, Need, Offer, Traits
from jobs.values import JobSpec, Micros, SpotPolicy
from trainer.wire import Reason

RETRIES = 3  # machines beyond the first that a job may begin: the hold has a minimum billing for each
USEFUL_MINUTES = 5.0  # less than this is start-up and shut-down, not training

_MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1) // _MICROSECOND
_WEAK = (Guarantee.ON_BOX, Guarantee.NONE)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who pressed or typed, as the workspace knew him at that moment."""

    id: str
    lead: bool
    guest: bool = False
    only_lead: bool = False  # nobody else leads this team


class Why(StrEnum):
    """Why a lead is asked."""

    COST = "cost"  # not under the auto-approve limit
    BUDGET = "budget"  # more than the month has free: a one-off grant
    SHARE = "share"  # more than one person's part of the month
    WEAK = "weak"  # nobody but us ends that machine


class No(StrEnum):
    """Why a request is refused outright."""

    NO_CAP = "no_cap"
    FROZEN = "frozen"
    TOO_LONG = "too_long"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of a priced request."""

    kind: Literal["hold", "ask", "refuse"]
    why: Sequence[Why | No] = ()
    instead_minutes: float | None = None  # what would start at once, where something would


# ---------------------------------------------------------------- prices


def bill(*, micros_per_hour: Micros, ran: timedelta, traits: Traits, disk_gb: int = 0) -> Micros:
    """Return what one machine costs that ran so long: whole granules, at least the minimum, its disk, rounded up."""
    rate = micros_per_hour + disk_gb * traits.disk_micros_per_gb_hour
    return -(-rate * (billed_time(ran, traits) // _MICROSECOND) // _HOUR)


def billed_time(ran: timedelta, traits: Traits) -> timedelta:
    """Return how long a machine is billed that ran so long: whole granules, at least the minimum."""
    granule = max(traits.granule, _MICROSECOND)
    return granule * -(-max(ran, traits.minimum, timedelta(0)) // granule)


def rate_ceiling(cheapest: Offer, spec: JobSpec, steady: Offer | None = None) -> Micros:
    """Return the most that one machine may cost an hour: half above the cheapest offer, never over `max_price`.

    A price that cannot rise is its own ceiling. `steady` is the cheapest offer that nobody takes back, where the job
    may use both markets: held for less than it costs, the job could never go on there.
    """
    ceiling = cheapest.micros_per_hour if cheapest.fixed_price else cheapest.micros_per_hour * 3 // 2
    if steady is not None:
        ceiling = max(ceiling, steady.micros_per_hour)
    return ceiling if spec.max_price is None else min(ceiling, spec.max_price)


def retries(spec: JobSpec) -> int:
    """Return how many machines beyond the first the hold has to pay a minimum for."""
    return RETRIES if spec.retry_on else 0


def worst_case(
    *, ceiling: Micros, nodes: int, minutes: float, traits: Traits, retries: int = 0, disk_gb: int = 0
) -> Micros:
    """Return the most that a rental can cost until its provider has surely ended it."""
    longest = timedelta(minutes=minutes) + traits.startup + traits.hard_lag
    run = bill(micros_per_hour=ceiling, ran=longest, traits=traits, disk_gb=disk_gb)
    # A machine that ends early has its last granule rounded up, or is billed the minimum; and its bill is rounded.
    stub = bill(micros_per_hour=ceiling, ran=_MICROSECOND, traits=traits, disk_gb=disk_gb) + 1
    return nodes * (run + retries * stub)


def hold_of(spec: JobSpec, *, ceiling: Micros, traits: Iterable[Traits]) -> Micros:
    """Return what to hold for a job that any of these providers may run: the dearest worst case, or `max_cost`."""
    worst = max(
        worst_case(
            ceiling=ceiling,
            nodes=spec.nodes,
            minutes=spec.minutes,
            traits=each,
            retries=retries(spec),
            disk_gb=spec.disk_gb,
        )
        for each in traits
    )
    return worst if spec.max_cost is None else min(worst, spec.max_cost)


def cut_to_cost(
    *,
    max_cost: Micros,
    rate: Micros,
    nodes: int,
    minutes: float,
    traits: Traits,
    retries: int = 0,
    disk_gb: int = 0,
) -> float:
    """Return how many of `minutes` can be had for `max_cost` at `rate` an hour, in whole seconds; 0.0 for none."""

    def cost(candidate: float) -> Micros:
        return worst_case(ceiling=rate, nodes=nodes, minutes=candidate, traits=traits, retries=retries, disk_gb=disk_gb)

    if cost(minutes) <= max_cost:
        return minutes
    fits, over = 0, int(minutes * 60) + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if cost(middle / 60) <= max_cost else (fits, middle)
    return fits / 60


def highest_bid(
    *,
    pays: Micros,
    price: Micros,
    ceiling: Micros,
    nodes: int,
    minutes: float,
    traits: Traits,
    retries: int,
    disk_gb: int,
) -> Micros:
    """Return the most that a spot machine may come to cost an hour: `pays` covers it for all of `minutes`.

    Never above `ceiling`; `price` itself where no more can be paid.
    """

    def paid_for(rate: Micros) -> bool:
        worst = worst_case(ceiling=rate, nodes=nodes, minutes=minutes, traits=traits, retries=retries, disk_gb=disk_gb)
        return worst <= pays

    fits, over = price, max(price, ceiling) + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if paid_for(middle) else (fits, middle)
    return fits


def is_short(left: timedelta, minutes: float) -> bool:
    """Say whether an interrupted job of `minutes` has so little left that it should not be interrupted again."""
    return left <= max(timedelta(hours=1), timedelta(minutes=minutes) / 4)


def needs(spec: JobSpec) -> tuple[Need, ...]:
    """Return what to ask providers for, one need for each market that the job may use."""
    markets = {SpotPolicy.ON_DEMAND: (False,), SpotPolicy.SPOT: (True,), SpotPolicy.AUTO: (False, True)}
    count = 0 if spec.gpu == "cpu" else spec.gpus
    return tuple(
        Need(gpu=spec.gpu, memory_gb=spec.gpu_memory_gb, count=count, spot=spot, disk_gb=spec.disk_gb)
        for spot in markets[spec.spot]
    )


def choose(offers: Iterable[Offer], spec: JobSpec, ceiling: Micros) -> Offer:
    """Return the cheapest offer that the job may take; raises `NoCapacity` when none is under its ceiling.

    Equal prices go to the provider that the task file names first, then to the offer that came first.
    """
    allowed = [offer for offer in offers if offer.micros_per_hour <= ceiling and _acceptable(offer, spec)]
    if not allowed:
        raise NoCapacity(
            f"Nothing is free at {per_hour(ceiling)} or less. Try again later, or say `max_price=` with more.",
            scope=Scope.REGION,
        )
    order = {name: place for place, name in enumerate(spec.providers)}
    return min(allowed, key=lambda offer: (offer.micros_per_hour, order.get(offer.provider, len(order))))


def _acceptable(offer: Offer, spec: JobSpec) -> bool:
    if spec.providers and offer.provider not in spec.providers:
        return False
    return spec.spot is SpotPolicy.AUTO or offer.spot == (spec.spot is SpotPolicy.SPOT)


def dollars(micros: Micros) -> str:
    """Return `$11.97`; a fraction of a cent counts as a whole one, so that the word never promises too little."""
    cents = -(-micros // 10_000)
    sign, cents = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}${cents // 100}.{cents % 100:02d}"


def per_hour(micros: Micros) -> str:
    """Return `$2.50/h`."""
    return f"{dollars(micros)}/h"


def duration(minutes: float) -> str:
    """Return minutes as `hours=` takes them: `4h`, `90m`, `3h15m`."""
    hours, rest = divmod(minutes, 60)
    if rest == 0:
        return f"{hours:g}h"
    return f"{minutes:g}m" if minutes < 120 else f"{hours:g}h{rest:g}m"


# ---------------------------------------------------------------- spans


def grace(minutes: float) -> timedelta:
    """Return how long before its deadline a command is asked to save and stop."""
    return min(timedelta(minutes=2), timedelta(minutes=minutes) / 10)


def warning(minutes: float) -> timedelta:
    """Return how long before its deadline people are warned."""
    return timedelta(minutes=15) if minutes >= 60 else timedelta(minutes=minutes) / 4


def friendly(minutes: float) -> list[float]:
    """Return the round durations under `minutes`, the longest first: hours, quarters under four, fives under one."""
    hours = [hour * 60.0 for hour in range(5, int(minutes // 60) + 1)]
    quarters = [quarter * 15.0 for quarter in range(4, 17)]
    fives = [five * 5.0 for five in range(1, 12)]
    return [step for step in reversed(fives + quarters + hours) if step < minutes]


def retry_after(reason: str, tries: int) -> timedelta | None:
    """Return how long to wait before machine `tries` + 1, None when another one would fare no better."""
    if reason == Reason.NO_CAPACITY:
        return min(timedelta(seconds=30) * (1 << min(tries - 1, 10)), timedelta(minutes=10))
    if reason in (Reason.PREEMPTED, Reason.LOST, Reason.LAUNCH_FAILED):
        return timedelta(seconds=10) * tries if tries <= RETRIES else None
    return None


# ---------------------------------------------------------------- people


def is_weak(traits: Traits) -> bool:
    """Say whether money would flow on when everything of ours is dead."""
    return traits.bills and traits.guarantee in _WEAK


def decide(
    *,
    team: Team,
    period: Period,
    used: Micros,
    minutes: float,
    weak: bool,
    hold_for: Callable[[float], Micros],
) -> Decision:
    """Decide what becomes of a request of `minutes`, of which `hold_for` says what has to be held.

    `used` is what the person holds and has spent this month. Refusals come first, then everything that a lead has
    to agree to; a request that needs him only for its size is told what would start at once.
    """
    if refusal := refusals(team, minutes):
        return Decision(kind="refuse", why=(refusal,))
    free = period.cap + period.granted - period.held - period.spent
    why = asks(team, hold=hold_for(minutes), free=free, used=used)
    if weak:
        return Decision(kind="ask", why=(*why, Why.WEAK))
    if not why:
        return Decision(kind="hold")
    instead = (step for step in friendly(minutes) if not asks(team, hold=hold_for(step), free=free, used=used))
    return Decision(kind="ask", why=why, instead_minutes=next(instead, None))


def refusals(team: Team, minutes: float) -> No | None:
    """Return why nobody may start that, if so."""
    if team.frozen:
        return No.FROZEN
    if team.cap is None:
        return No.NO_CAP
    return No.TOO_LONG if minutes > team.longest_minutes else None


def asks(team: Team, *, hold: Micros, free: Micros, used: Micros) -> tuple[Why, ...]:
    """Return why a lead has to agree to a hold of that size; `used` is the person's part of the month so far."""
    why: list[Why] = []
    if hold >= team.auto_approve:
        why.append(Why.COST)
    if hold > max(free, 0):
        why.append(Why.BUDGET)
    if hold and (used + hold) * 100 > (team.cap or 0) * team.share_percent:
        why.append(Why.SHARE)
    return tuple(why)


def may_approve(person: Person, job: Job) -> str | None:
    """Return why this person may not approve the job: `guest`, `not_lead` or `own_job`; None where he may."""
    if person.guest:
        return "guest"
    if not person.lead:
        return "not_lead"
    return "own_job" if person.id == job.person and not person.only_lead else None
