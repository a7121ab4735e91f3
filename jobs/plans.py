"""What a request would rent and what that may cost: what has to be asked of the world before it is decided.

The ports below are what a plan is made from; `jobs.intake` decides about it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs import policy, records
from jobs.errors import BadSource, BadSpec, HourglassError, NoCapacity, ProviderError, Refused
from jobs.model import Job
from jobs.providers import Need, Offer, Provider, Traits
from jobs.values import JobSpec, Micros, Request, Source, SpotPolicy


class Resolver(Protocol):
    """What turns a ref into a commit."""

    def resolve(self, repo: str, ref: str) -> Source:
        """Return the commit with its task file; raises `BadSource`."""


class PriceDesk(Protocol):
    """What asks providers for prices."""

    def quote(self, need: Need, allowed: Sequence[str]) -> Sequence[Offer]:
        """Return the offers, cheapest first, never none; raises `BadSpec` or `ProviderError`."""


class NoChannel(Refused):
    """The job's channel cannot be posted to, so nobody would see it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the network said about a request; nothing of it is written yet."""

    source: Source
    spec: JobSpec  # its providers are narrowed to those that the job may really use
    offer: Offer  # the cheapest
    ceiling: Micros  # an hour, one machine
    digest: str | None
    traits: Sequence[Traits]  # of those providers

    def hold_for(self, minutes: float) -> Micros:
        """Return what has to be held for that many minutes."""
        return policy.hold_of(dataclasses.replace(self.spec, minutes=minutes), ceiling=self.ceiling, traits=self.traits)


class Planner:
    """Makes plans of requests; asks a network, and is slow."""

    def __init__(
        self,
        *,
        source: Resolver,
        desk: PriceDesk,
        merge: Callable[[Request, str | None], JobSpec],
        pin: Callable[[JobSpec, Offer], str | None],
        providers: Mapping[str, Provider],
        can_post: Callable[[str], str | None],
        standing: Callable[[str], str | None],
    ) -> None:
        self._source = source
        self._desk = desk
        self._merge = merge
        self._pin = pin
        self._providers = providers
        self._can_post = can_post
        self._standing = standing

    def plan(self, job: Job) -> Plan:
        """Ask everybody who has a word in it; raises `BadRequest`, `Refused` or `ProviderError`, and writes nothing."""
        request = records.parse(Request, job.request)
        if trouble := self._standing(job.person):
            raise Refused(trouble)
        if trouble := self._can_post(job.channel):
            raise NoChannel(trouble)
        source = self._resolve(request)
        spec = self._merge(request, source.task_file)
        spec = self._able_to_join(spec, request.text)
        offers = self._quote(spec)
        cheapest = offers[0]
        ceiling = policy.rate_ceiling(cheapest, spec, _steady(offers, spec))
        if ceiling < cheapest.micros_per_hour:
            price = policy.dollars(cheapest.micros_per_hour)
            raise Refused(
                f"max_price={policy.dollars(ceiling)} is under the cheapest machine: {cheapest.name}, {price} an hour.",
                fix=corrected(request.text, "max_price", price.removeprefix("$")),
            )
        usable = {offer.provider for offer in offers if offer.micros_per_hour <= ceiling}
        names = tuple(name for name in spec.providers or tuple(self._providers) if name in usable)
        spec = dataclasses.replace(spec, providers=names)
        traits = [self._providers[name].traits for name in names]
        _must_be_worth(spec, ceiling, traits, request.text)
        digest = self._pin(spec, cheapest)
        return Plan(source=source, spec=spec, offer=cheapest, ceiling=ceiling, digest=digest, traits=traits)

    def _resolve(self, request: Request) -> Source:
        try:
            return self._source.resolve(request.repo, request.ref or "HEAD")
        except BadSource as error:
            if error.nearest and request.text:
                error.fix = f"/train {request.text.replace(f'@{request.ref}', f'@{error.nearest}', 1)}"
            raise

    def _able_to_join(self, spec: JobSpec, text: str) -> JobSpec:
        """Return the spec with the providers that can let several machines train together, where it asks for that."""
        if spec.nodes == 1:
            return spec
        allowed = spec.providers or tuple(self._providers)
        able = tuple(name for name in allowed if name in self._providers and self._providers[name].traits.joins)
        if not able:
            raise BadSpec(
                f"`nodes={spec.nodes}`: machines of {' and '.join(allowed)} cannot reach each other, so they cannot "
                f"train together. One machine can have several GPUs: `gpu={spec.gpu}:{spec.nodes}`.",
                fix=corrected(text, "nodes", "1"),
            )
        return dataclasses.replace(spec, providers=able)

    def _quote(self, spec: JobSpec) -> list[Offer]:
        """Return every offer that satisfies, cheapest first; raises what the desk said when no market has one."""
        allowed = spec.providers or tuple(self._providers)
        offers: list[Offer] = []
        refusal: HourglassError | None = None
        for need in policy.needs(spec):
            try:
                offers += self._desk.quote(need, allowed)
            except (BadSpec, ProviderError) as error:
                # One market without an answer does not spoil the other; a provider's silence outranks a "no".
                refusal = error if refusal is None or isinstance(error, ProviderError) else refusal
        if not offers:
            raise refusal or NoCapacity("No provider offers such a machine.")
        return sorted(offers, key=lambda offer: offer.micros_per_hour)


def _steady(offers: Sequence[Offer], spec: JobSpec) -> Offer | None:
    """Return the cheapest machine on demand, where the job may go there from the spot market."""
    if spec.spot is not SpotPolicy.AUTO:
        return None
    return next((offer for offer in offers if not offer.spot), None)


def _must_be_worth(spec: JobSpec, ceiling: Micros, traits: Sequence[Traits], text: str) -> None:
    """Refuse a `max_cost` that start-up and shut-down would use up."""
    if spec.max_cost is None:
        return
    useful = dataclasses.replace(spec, minutes=min(spec.minutes, policy.USEFUL_MINUTES), max_cost=None)
    least = policy.hold_of(useful, ceiling=ceiling, traits=traits)
    if spec.max_cost < least:
        raise Refused(
            f"max_cost={policy.dollars(spec.max_cost)} pays for no useful time on this machine; the least that works "
            f"is {policy.dollars(least)}.",
            fix=corrected(text, "max_cost", policy.dollars(least).removeprefix("$")),
        )


def corrected(text: str, key: str, value: str) -> str:
    """Return the typed line with `key=value` in it, in place of what stood there, before any ` -- `."""
    line, dashes, command = text.partition(" -- ")
    line, found = re.subn(rf"(?<!\S){key}=\S+", f"{key}={value}", line, count=1)
    if not found:
        line = f"{line.rstrip()} {key}={value}"
    return f"/train {line}{dashes}{command}"
