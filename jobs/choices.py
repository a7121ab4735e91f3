"""Which offer a job takes next, and until when: never dearer than its ceiling, never more than its hold can pay.

Prices and providers may have changed since the hold was made. What an offer would cost to its deadline, beside
what earlier machines of the job cost, has to fit into the hold as it stands; `max_cost` and a tight hold move the
deadline nearer, and an offer that would leave no useful time is passed over.

A spot machine's price may rise while it runs, up to the bid: that, and not the price of the day, has to fit. A job
whose spot machine was taken back looks elsewhere first, and on demand once little time is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobs import policy
from jobs.endings import LEAST_LEFT, attempts_stood
from jobs.errors import BadRequest, NoCapacity, ProviderError, Scope
from jobs.lifecycle import AttemptState
from jobs.model import Attempt, Job
from jobs.patience import Refusal
from jobs.ports import Ports
from jobs.providers import Need, Offer, Traits
from jobs.records import parse
from jobs.values import JobSpec, Micros
from trainer.wire import Reason

# A machine whose bid is its price of the day is lost at the first rise: time is given up for this much room.
ROOM_FOR_A_RISE = (6, 5)
# A round that was refused this often is not going to end well; the next round asks for fresh offers.
OFFERS_A_ROUND = 12


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An offer to take, and the end that its rental would have."""

    offer: Offer
    deadline: datetime


class Choices:
    """One round of offers for a job: asked for once, struck out as they are refused."""

    def __init__(self, ports: Ports, job: Job, spec: JobSpec) -> None:
        self._ports = ports
        self._spec = spec
        self._ceiling = job.rate_ceiling or 0
        self._struck: list[tuple[Offer, Scope]] = []
        self.refusals: list[Refusal] = []  # why nothing came of it, so far
        self._offers = self._ask()

    def next(self, job: Job, rows: Sequence[Attempt], now: datetime) -> Choice | None:
        """Return the cheapest offer that is left and can be paid to a useful deadline; None when there is none.

        After None, `refusals` has at least one.
        """
        left = [offer for offer in self._offers if not any(rules_out(*struck, offer) for struck in self._struck)]
        while left and len(self._struck) < OFFERS_A_ROUND:
            try:
                offer = self._best(left, job, rows, now)
            except NoCapacity as error:
                self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text=str(error)))
                return None
            traits = self._ports.providers[offer.provider].traits
            choice = terms(job, self._spec, offer, rows, traits, now, ceiling=self._ceiling)
            if choice is not None:
                return choice
            text = f"What is held, {policy.dollars(job.hold)}, does not pay for useful time on {offer.name}."
            self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text=text))
            left.remove(offer)
        if not self.refusals:
            self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text="No provider offers such a machine now."))
        return None

    def _best(self, left: Sequence[Offer], job: Job, rows: Sequence[Attempt], now: datetime) -> Offer:
        """Return the offer to take, cheapest first; after an interruption, one that is not likely to end so again."""
        for some in preferred(left, job, self._spec, rows, now):
            try:
                return policy.choose(some, self._spec, self._ceiling)
            except NoCapacity:
                continue
        return policy.choose(left, self._spec, self._ceiling)

    def strike(self, offer: Offer, refusal: Refusal) -> None:
        """Leave out whatever the refusal of an offer rules out."""
        self._struck.append((offer, refusal.scope))
        self.refusals.append(refusal)

    def _ask(self) -> list[Offer]:
        offers: list[Offer] = []
        for need in needs(self._spec):
            try:
                survey = self._ports.market.survey(need, self._spec.providers)
            except BadRequest as error:
                self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text=str(error)))
                continue
            except ProviderError as error:
                self.refusals.append(Refusal(reason=Reason.LAUNCH_FAILED, text=str(error), passing=True))
                continue
            offers += [offer for offer in survey.offers if offer.provider in self._ports.providers]
            self.refusals += [
                Refusal(reason=Reason.LAUNCH_FAILED, text=str(error), passing=True) for error in survey.errors.values()
            ]
        return offers


def needs(spec: JobSpec) -> list[Need]:
    """Return what to ask the market for: with `auto`, both kinds."""
    return [
        Need(gpu=spec.gpu, memory_gb=spec.gpu_memory_gb, count=spec.gpus, spot=spot, disk_gb=spec.disk_gb)
        for spot in spec.spot.markets
    ]


def rules_out(refused: Offer, scope: Scope, other: Offer) -> bool:
    """Return whether the refusal of one offer says that another would be refused as well."""
    if other.provider != refused.provider:
        return False
    if scope is Scope.ACCOUNT:
        return True
    if scope is Scope.REGION:
        return (other.region, other.spot) == (refused.region, refused.spot)  # each market has its own quota
    return _pool(other) == _pool(refused)


def ran_out(job: Job, rows: Sequence[Attempt], now: datetime) -> bool:
    """Return whether an interrupted job has no time left for another machine."""
    return stood(rows) and job.deadline is not None and job.deadline - now < LEAST_LEFT


def stood(rows: Sequence[Attempt]) -> bool:
    """Return whether a machine of the job ever stood: from then on its deadline is fixed."""
    return any(row.state is AttemptState.GONE for row in rows)


def preferred(
    left: Sequence[Offer], job: Job, spec: JobSpec, rows: Sequence[Attempt], now: datetime
) -> Iterator[Sequence[Offer]]:
    """Yield what a job had better take whose spot machine was taken back, the best first; nothing for any other."""
    offers = [parse(Offer, row.offer) for row in rows if row.state is AttemptState.GONE]
    taken_back = {_pool(offer) for offer in offers if offer.spot}
    if not taken_back or job.deadline is None:
        return
    if policy.is_short(job.deadline - now, spec.minutes):
        yield [offer for offer in left if not offer.spot]
    yield [offer for offer in left if _pool(offer) not in taken_back]


def terms(
    job: Job, spec: JobSpec, offer: Offer, rows: Sequence[Attempt], traits: Traits, now: datetime, *, ceiling: Micros
) -> Choice | None:
    """Return until when the offer can be rented, and at which bid; None when the hold pays for no useful time there.

    The first machine has all the hours that were asked for; one that goes on keeps the deadline of the first.
    """
    minutes = spec.minutes
    if job.deadline is not None and stood(rows):
        minutes = (job.deadline - now - traits.startup) / timedelta(minutes=1)
    if minutes <= 0:
        return None
    pays = job.hold - sum(row.billed or 0 for row in rows)
    retries = max(0, policy.retries(spec) - attempts_stood(rows))
    price = offer.micros_per_hour
    more, than = ROOM_FOR_A_RISE
    affordable = policy.cut_to_cost(
        max_cost=pays,
        rate=max(price, min(ceiling, price * more // than)) if offer.spot else price,
        nodes=spec.nodes,
        minutes=minutes,
        traits=traits,
        retries=retries,
        disk_gb=spec.disk_gb,
    )
    if affordable < min(policy.USEFUL_MINUTES, minutes):
        return None
    if offer.spot:
        bid = policy.highest_bid(
            pays=pays,
            price=price,
            ceiling=ceiling,
            nodes=spec.nodes,
            minutes=affordable,
            traits=traits,
            retries=retries,
            disk_gb=spec.disk_gb,
        )
        offer = replace(offer, bid=bid)
    return Choice(offer=offer, deadline=now + timedelta(minutes=affordable) + traits.startup)


def _pool(offer: Offer) -> tuple[str, str, str, bool]:
    """Return what has room, or none, as one."""
    return (offer.name, offer.region, offer.zone, offer.spot)
