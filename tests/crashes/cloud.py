"""A cloud that outlives the bot: it stands in the process that watches, the bot reaches it over a line.

It is the tests' fake provider with what a crash history is about: a limit of its own and a timer on the machine that
can be left out, a terminate that is deaf for a while. `Driver` is the bot's half, as a provider's file is: it turns
an order into a request, and may die around each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from jobs.clock import Clock
from jobs.errors import NoCapacity, ProviderError
from jobs.providers import Instance, LaunchOrder, Metered, Need, Offer, Rate, Traits, machine_env
from tests.crashes.fate import Fate
from tests.crashes.points import Position
from tests.support.clock import START
from tests.support.fake_provider import FakeProvider, Machine
from trainer import wire


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the driver asks for: the machine, the cloud's own limit, and the end that its first process is told."""

    offer: Offer
    order: LaunchOrder
    limit: datetime | None
    timer: datetime | None


MARKET_MOVES = 60  # seconds from one price of the spot market to the next


def market_price(offer: Offer, second: int) -> int:
    """Return what an hour of a spot machine costs so many seconds after the start: a quarter less every other time."""
    return offer.micros_per_hour * (3 if second // MARKET_MOVES % 2 else 4) // 4


class Cloud(FakeProvider):
    """The machines and their ends. `limits`, `timers`: whether the cloud has a limit, the machine a timer."""

    def __init__(self, clock: Clock, *, limits: bool = False, timers: bool = False, **options: Any) -> None:
        super().__init__(clock, **options)
        self.limits, self.timers = limits, timers
        self.busy_until: datetime | None = None  # nothing is free before
        self.refuses: ProviderError | None = None  # what every launch is answered with
        self.lists_after = timedelta(0)  # how long a new machine is not in a listing yet
        self.deaf_for = timedelta(0)  # how long a terminate does nothing, from the first one on
        self.asked_to_end: datetime | None = None
        self.waives = timedelta(0)  # how long a machine may have stood that is taken back and costs nothing
        self._limit: dict[str, datetime] = {}
        self._timer: dict[str, datetime] = {}

    def serve(self, verb: str, *arguments: Any) -> Any:
        """Answer one request of the driver's; raises `ProviderError`."""
        if verb == "launch":
            return self._launch(*arguments)
        return getattr(self, verb)(*arguments)

    def list(self) -> Sequence[Instance]:
        """Return the machines that have stood for long enough to be listed; a look-up by key finds the others."""
        shown = {machine.id for machine in self.machines if self.clock.now() >= machine.launched_at + self.lists_after}
        return [instance for instance in super().list() if instance.id in shown]

    def terminate(self, instance: Instance) -> None:
        """Ask for the end."""
        self.asked_to_end = self.asked_to_end or self.clock.now()
        self.deaf = self.clock.now() < self.asked_to_end + self.deaf_for
        super().terminate(instance)

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the limit with the tag."""
        super().extend(instance, deadline)
        if instance.id in self._limit:
            self._limit[instance.id] = deadline

    def metered(self, offer: Offer, instance: Instance | None, since: datetime, until: datetime) -> Metered | None:
        """Say what the spot market asked in that time."""
        self._enter("metered", instance.id if instance else "")
        if not offer.spot:
            return None
        first = int((since - START).total_seconds() // MARKET_MOVES)
        last = int((until - START).total_seconds() // MARKET_MOVES)
        return Metered(
            rates=[
                Rate(
                    since=START + timedelta(seconds=number * MARKET_MOVES),
                    micros_per_hour=market_price(offer, number * MARKET_MOVES),
                )
                for number in range(first, last + 1)
            ]
        )

    def tell(self, machine: Machine, deadline: datetime) -> None:
        """Let the machine's own timer know the deadline that its control file says."""
        if machine.id in self._timer:
            self._timer[machine.id] = deadline

    def _launch(self, asked: Asked) -> Instance:
        before = len(self.machines)
        if self.refuses is not None:
            raise self.refuses
        if self.busy_until is not None and self.clock.now() < self.busy_until:
            raise NoCapacity("The cloud has nothing free now.")
        try:
            return super().launch(asked.offer, asked.order)
        finally:
            for machine in self.machines[before:]:
                if self.limits and asked.limit is not None:
                    self._limit[machine.id] = asked.limit
                if self.timers and asked.timer is not None:
                    self._timer[machine.id] = asked.timer

    def _settle(self) -> datetime:
        now = super()._settle()
        for machine in self.machines:
            ends = [end for end in (self._limit.get(machine.id), self._timer.get(machine.id)) if end is not None]
            if ends and machine.ends_at is None and now >= min(ends):
                machine.ends_at = min(ends)
        return now


class Line(Protocol):
    """Between the bot and whoever watches it; whole objects go over it."""

    def send(self, message: Any) -> None:
        """Say something."""

    def recv(self) -> Any:
        """Return what is said next."""


class Driver:
    """The bot's half of the cloud: a provider that may die before a call, before its answer is read, or after."""

    def __init__(self, line: Line, fate: Fate, traits: Traits) -> None:
        self._line, self._fate, self.traits = line, fate, traits

    def offers(self, need: Need) -> Sequence[Offer]:
        """Ask for offers."""
        return self._call("offers", need)

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Ask for a machine."""
        told = machine_env(order, instance="", workdir="/work")[wire.ENV_DEADLINE]
        return self._call("launch", self.asked(offer, order, datetime.fromtimestamp(float(told), UTC)))

    def asked(self, offer: Offer, order: LaunchOrder, timer: datetime) -> Asked:
        """Return the request that an order becomes."""
        return Asked(offer=offer, order=order, limit=order.deadline, timer=timer)

    def find(self, launch_key: str) -> Instance | None:
        """Look a machine up."""
        return self._call("find", launch_key)

    def list(self) -> Sequence[Instance]:
        """List machines."""
        return self._call("list")

    def terminate(self, instance: Instance) -> None:
        """Ask for the end."""
        self._call("terminate", instance)

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the deadline."""
        self._call("extend", instance, deadline)

    def metered(self, offer: Offer, instance: Instance | None, since: datetime, until: datetime) -> Metered | None:
        """Ask what its time cost."""
        return self._call("metered", offer, instance, since, until)

    def _call(self, verb: str, *arguments: Any) -> Any:
        self._fate.point(f"call {verb}", Position.BEFORE)
        self._line.send(("call", verb, arguments))
        self._fate.point(f"call {verb}", Position.BETWEEN)
        answer = self._line.recv()
        self._fate.point(f"call {verb}", Position.AFTER)
        if isinstance(answer, ProviderError):
            raise answer
        return answer
