"""A cloud in memory whose faults are scripted: lost answers, lagging ends, partial listings, no capacity.

It stands in for a provider in the tests of the control plane. Time is the clock's: a machine boots, lingers
and disappears only as that moves. Every machine that was ever made is kept in `machines`, so a test can say
what was launched twice, what it would have cost and what outlived its deadline.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobs.clock import Clock
from jobs.errors import NoCapacity, ProviderError, Rejected, Unknown
from jobs.providers import Guarantee, Instance, InstanceState, LaunchOrder, Need, Offer, Traits
from tests.support.builders import an_offer, some_traits


@dataclass(kw_only=True)
class Machine:
    """One machine of the fake cloud, and the times at which its state changes."""

    id: str
    region: str
    order: LaunchOrder
    offer: Offer
    launched_at: datetime
    runs_at: datetime
    ends_at: datetime | None = None  # when it stops to exist and to be billed
    note: str = ""
    limit: datetime | None = None  # of a timer beside it
    tags: dict[str, str] = field(default_factory=dict)

    def state(self, now: datetime) -> InstanceState:
        """Return what the cloud says of it at `now`."""
        if self.ends_at is not None:
            return InstanceState.GONE if now >= self.ends_at else InstanceState.ENDING
        return InstanceState.RUNNING if now >= self.runs_at else InstanceState.PENDING

    def alive(self, now: datetime) -> bool:
        """Return whether it still costs money."""
        return self.state(now) is not InstanceState.GONE


class FakeProvider:
    """A provider without a cloud. Scripts are per verb and used up in order; an empty script means no fault."""

    def __init__(
        self,
        clock: Clock,
        *,
        traits: Traits | None = None,
        catalogue: Sequence[Offer] | None = None,
        boot_delay: timedelta = timedelta(0),
        end_lag: timedelta = timedelta(0),
        forget_after: timedelta | None = None,
        native_end: bool = False,
    ) -> None:
        self.clock = clock
        self.traits = traits or some_traits()
        self.catalogue = list(catalogue if catalogue is not None else [an_offer(provider=self.traits.name)])
        self.boot_delay = boot_delay
        self.end_lag = end_lag
        self.forget_after = forget_after  # how long a gone machine is still listed; None: for ever
        self.native_end = native_end  # whether the cloud itself ends machines at their deadline
        self.full: set[tuple[str, str]] = set()  # (type, region) without capacity
        self.down: ProviderError | None = None  # raised by every verb while set
        self.limits_seen = True  # whether a listing shows what timers stand
        self.deaf = False  # terminate says yes and does nothing
        self.machines: list[Machine] = []
        self.calls: list[tuple[str, str]] = []  # (verb, key or id), in order
        self._faults: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self._lost_answers = 0
        self._hooks: defaultdict[str, deque[Callable[[], None]]] = defaultdict(deque)
        self._lock = threading.Lock()

    # ------------------------------------------------------------ scripting

    def fail(self, verb: str, *errors: Exception) -> None:
        """Raise these, one a call, from the next calls of `verb`; nothing else happens in those calls."""
        self._faults[verb].extend(errors)

    def lose_answers(self, count: int = 1) -> None:
        """Let the next launches happen and answer nobody."""
        self._lost_answers += count

    def before(self, verb: str, hook: Callable[[], None]) -> None:
        """Run `hook` once, at the start of the next call of `verb`."""
        self._hooks[verb].append(hook)

    def reclaim(self, key: str, note: str = "spot capacity") -> None:
        """Take the machine back, as a spot market does."""
        for machine in self.machines:
            if machine.order.launch_key == key and machine.ends_at is None:
                machine.ends_at = self.clock.now()
                machine.note = note

    def alive(self) -> list[Machine]:
        """Return the machines that cost money now."""
        now = self._settle()
        return [machine for machine in self.machines if machine.alive(now)]

    # ------------------------------------------------------------ the six verbs

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return the catalogue's rows that satisfy `need`, cheapest first."""
        self._enter("offers", need.gpu)
        fits = [o for o in self.catalogue if o.gpu == need.gpu and o.gpus >= need.count and o.spot == need.spot]
        return sorted(fits, key=lambda offer: offer.micros_per_hour)

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Make a machine, or return the one that the key made before where the cloud is idempotent."""
        self._enter("launch", order.launch_key)
        if (offer.name, offer.region) in self.full:
            raise NoCapacity(f"{self.traits.name} has no {offer.name} in {offer.region} now.")
        with self._lock:
            machine = self._by_key(order.launch_key) if self.traits.idempotent else None
            if machine is None:
                now = self.clock.now()
                machine = Machine(
                    id=f"i-{len(self.machines) + 1:04d}",
                    region=offer.region,
                    order=order,
                    offer=offer,
                    launched_at=now,
                    runs_at=now + self.boot_delay,
                    tags=dict(order.tags),
                )
                self.machines.append(machine)
            if self._lost_answers:
                self._lost_answers -= 1
                raise Unknown(f"{self.traits.name} did not answer in time.")
        return self._show(machine)

    def find(self, launch_key: str) -> Instance | None:
        """Return the machine with that key, whatever its state."""
        self._enter("find", launch_key)
        machine = self._by_key(launch_key)
        return self._show(machine) if machine and self._listed(machine) else None

    def list(self) -> Sequence[Instance]:
        """Return every machine that is not long gone."""
        self._enter("list", "")
        return [self._show(machine) for machine in self.machines if self._listed(machine)]

    def terminate(self, instance: Instance) -> None:
        """Ask for the end, which takes `end_lag`."""
        self._enter("terminate", instance.id)
        if self.deaf:
            return
        for machine in self.machines:
            if machine.id == instance.id and machine.ends_at is None:
                machine.ends_at = self.clock.now() + self.end_lag

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the deadline tag."""
        self._enter("extend", instance.id)
        if not self.traits.extendable:
            raise Rejected(f"{self.traits.name} cannot move a deadline.")
        for machine in self.machines:
            if machine.id == instance.id:
                machine.tags["deadline"] = str(int(deadline.timestamp()))
                machine.order = dataclasses.replace(machine.order, deadline=deadline)
                if self.traits.guarantee is Guarantee.EXTERNAL:
                    machine.limit = deadline

    # ------------------------------------------------------------ inside

    def _enter(self, verb: str, what: str) -> None:
        self.calls.append((verb, what))
        if self._hooks[verb]:
            self._hooks[verb].popleft()()
        if self.down is not None:
            raise self.down
        if self._faults[verb]:
            raise self._faults[verb].popleft()
        self._settle()

    def _settle(self) -> datetime:
        """Apply what the cloud does by itself as time passes; return the time."""
        now = self.clock.now()
        for machine in self.machines:
            if machine.limit is not None and machine.ends_at is None and now >= machine.limit:
                machine.ends_at = machine.limit
        if self.native_end:
            for machine in self.machines:
                if machine.ends_at is None and now >= machine.order.deadline + self.traits.hard_lag:
                    machine.ends_at = machine.order.deadline + self.traits.hard_lag
        return now

    def _by_key(self, launch_key: str) -> Machine | None:
        found = [machine for machine in self.machines if machine.order.launch_key == launch_key]
        return found[0] if found else None

    def _listed(self, machine: Machine) -> bool:
        now = self.clock.now()
        if machine.alive(now) or self.forget_after is None:
            return True
        return machine.ends_at is not None and now < machine.ends_at + self.forget_after

    def _show(self, machine: Machine) -> Instance:
        now = self.clock.now()
        return Instance(
            provider=self.traits.name,
            id=machine.id,
            region=machine.region,
            state=machine.state(now),
            tags=dict(machine.tags),
            launched_at=machine.launched_at,
            ended_at=None if machine.alive(now) else machine.ends_at,
            note=machine.note,
            limit=machine.limit,
            limit_seen=self.limits_seen,
        )
