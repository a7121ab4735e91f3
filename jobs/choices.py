"""Which offer a job takes next, and until when: never dearer than its ceiling, never more than its hold can pay.

Prices and providers may have changed since the hold was made. What an offer would cost to its deadline, beside
what earlier machines of the job cost, has to fit into the hold as it stands; `max_cost` and a tight hold move the
deadline nearer, and an offer that would leave no useful time is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs import policy
from jobs.endings import LEAST_LEFT
from jobs.errors import BadRequest, NoCapacity, ProviderError, Scope
from jobs.lifecycle import AttemptState
from jobs.model import Attempt, Job
from jobs.patience import Refusal
from jobs.ports import Ports
from jobs.providers import Need, Offer, Traits
from jobs.values import JobSpec, SpotPolicy
from trainer.wire import Reason

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
                offer = policy.choose(left, self._spec, self._ceiling)
            except NoCapacity as error:
                self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text=str(error)))
                return None
            end = deadline(job, self._spec, offer, rows, self._ports.providers[offer.provider].traits, now)
            if end is not None:
                return Choice(offer=offer, deadline=end)
            text = f"What is held, {policy.dollars(job.hold)}, does not pay for useful time on {offer.name}."
            self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text=text))
            left.remove(offer)
        if not self.refusals:
            self.refusals.append(Refusal(reason=Reason.NO_CAPACITY, text="No provider offers such a machine now."))
        return None

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
    kinds = {SpotPolicy.SPOT: [True], SpotPolicy.ON_DEMAND: [False], SpotPolicy.AUTO: [False, True]}[spec.spot]
    return [
        Need(gpu=spec.gpu, memory_gb=spec.gpu_memory_gb, count=spec.gpus, spot=spot, disk_gb=spec.disk_gb)
        for spot in kinds
    ]


def rules_out(refused: Offer, scope: Scope, other: Offer) -> bool:
    """Return whether the refusal of one offer says that another would be refused as well."""
    if other.provider != refused.provider:
        return False
    if scope is Scope.ACCOUNT:
        return True
    if scope is Scope.REGION:
        return other.region == refused.region
    return (other.name, other.region, other.spot) == (refused.name, refused.region, refused.spot)


def ran_out(job: Job, rows: Sequence[Attempt], now: datetime) -> bool:
    """Return whether an interrupted job has no time left for another machine."""
    return stood(rows) and job.deadline is not None and job.deadline - now < LEAST_LEFT


def stood(rows: Sequence[Attempt]) -> bool:
    """Return whether a machine of the job ever stood: from then on its deadline is fixed."""
    return any(row.state is AttemptState.GONE for row in rows)


def deadline(
    job: Job, spec: JobSpec, offer: Offer, rows: Sequence[Attempt], traits: Traits, now: datetime
) -> datetime | None:
    """Return until when the offer can be rented; None when the hold pays for no useful time there.

    The first machine has all the hours that were asked for; one that goes on keeps the deadline of the first.
    """
    minutes = spec.minutes
    if job.deadline is not None and stood(rows):
        minutes = (job.deadline - now - traits.startup) / timedelta(minutes=1)
    if minutes <= 0:
        return None
    machines = sum(1 for row in rows if row.state is AttemptState.GONE and row.rank == 0)
    paid = sum(row.billed or 0 for row in rows)
    affordable = policy.cut_to_cost(
        max_cost=job.hold - paid,
        rate=offer.micros_per_hour,
        nodes=spec.nodes,
        minutes=minutes,
        traits=traits,
        retries=max(0, policy.retries(spec) - machines),
        disk_gb=spec.disk_gb,
    )
    if affordable < min(policy.USEFUL_MINUTES, minutes):
        return None
    return now + timedelta(minutes=affordable) + traits.startup
