"""A cloud in memory with the manners of real ones: late, partial, forgetful, and never on the bot's clock.

`Cloud` is the ground: machines, prices, spells, its own time. `CloudProvider` is the door through which one home
reaches it, and answers as `jobs.providers` wants it. The ground's time goes by the monotonic clock, so that a wall
clock that jumps moves nothing here. Everything that was made, asked for and answered is kept for whoever judges it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from jobs.clock import Clock
from jobs.errors import ProviderError, Rejected, Unknown
from jobs.offers import matching
from jobs.providers import Guarantee, Instance, LaunchOrder, Need, Offer, Traits
from tests.simulation.layers import Ground
from tests.simulation.machine import Cause, Machine
from tests.simulation.weather import Spell, Weather

NOTICE = timedelta(minutes=2)  # between a spot machine's notice and its end


class TrueTime:
    """What time it really is: the wall clock of the beginning, and what passed since on a clock that never jumps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch, self._began = clock.now(), clock.monotonic()

    def now(self) -> datetime:
        """Return the true time, aware, UTC."""
        return self._epoch + timedelta(seconds=self._clock.monotonic() - self._began)


class Cloud:
    """The ground that all homes share. `launched` is called with each machine as it is made."""

    def __init__(self, time: TrueTime, ground: Ground, weather: Weather, prices: Sequence[Offer]) -> None:
        self.time = time
        self.ground = ground
        self.weather = weather
        self.prices = list(prices)
        self.machines: list[Machine] = []
        self.unseen: dict[str, datetime] = {}  # launch key -> when a whole answer first lacked a machine that had ended
        self.launched: Callable[[Machine], None] = lambda machine: None
        self.gone: dict[str, Instance] = {}  # machine -> what is said of it from its end on, for ever
        self._by_key: dict[str, list[Machine]] = {}
        self._standing: list[Machine] = []  # those that had not ended at the last look: nothing that ended stands again

    @property
    def traits(self) -> Traits:
        """What this kind of cloud declares."""
        return self.ground.traits

    def date(self) -> datetime | None:
        """Return the Date header of any answer, None while the cloud answers nobody."""
        now = self.time.now()
        return None if self.weather.during(Spell.DOWN, now) else now.replace(microsecond=0)

    def alive(self) -> list[Machine]:
        """Return the machines that are billed now."""
        now = self.time.now()
        self._standing = [machine for machine in self._standing if machine.end(now) is None]
        return list(self._standing)

    def of_key(self, key: str) -> list[Machine]:
        """Return every machine that was made under a key."""
        return self._by_key.get(key, [])

    def make(self, offer: Offer, order: LaunchOrder) -> Machine:
        """Make a machine, with all the moments that will end it without anybody's help."""
        now, menu, weather = self.time.now(), self.weather.menu, self.weather
        boot = self.ground.boot if self.ground.boot[1] else menu.boot
        stuck = weather.happens(menu.stuck)
        weather.befell["a machine that never boots"] += stuck
        machine = Machine(
            id=f"i-{self.traits.name}-{len(self.machines) + 1:05d}",
            key=order.launch_key,
            order=order,
            offer=offer,
            launched_at=now,
            runs_at=None if stuck else now + weather.between(boot),
            deadline=order.deadline,
            tags=dict(order.tags),
        )
        self._arm(machine)
        if offer.spot and menu.reclaim_every is not None:
            life = weather.chance.expovariate(1 / menu.reclaim_every.total_seconds())
            machine.ends[Cause.RECLAIM] = now + NOTICE + timedelta(seconds=round(life, 3))
        self.machines.append(machine)
        self._standing.append(machine)
        self._by_key.setdefault(machine.key, []).append(machine)
        self.launched(machine)
        return machine

    def _arm(self, machine: Machine) -> None:
        # A timer beside the machine stands only once a second call has set it.
        beside = self.traits.guarantee is Guarantee.EXTERNAL
        if self.ground.native is not None and (not beside or machine.limit is not None):
            machine.ends[Cause.NATIVE] = self.ground.native.ends(machine.launched_at, machine.deadline, self.weather)
        if self.ground.timer is not None and machine.runs_at is not None:
            machine.ends[Cause.TIMER] = self.ground.timer.ends(machine.runs_at, machine.deadline, self.weather)

    def end(self, machine: Machine) -> None:
        """Agree to end a machine, and do it after the lag of this cloud; a deaf one only agrees."""
        now, menu = self.time.now(), self.weather.menu
        first = machine.accepted_at is None
        machine.accepted_at = machine.accepted_at or now
        if Cause.ASKED in machine.ends:
            return
        if self.weather.during(Spell.DEAF, now):
            self.weather.befell["a terminate that does nothing"] += 1
            return
        lag = self.weather.between(menu.end_lag)
        if first and self.weather.happens(menu.slow_end):
            self.weather.befell["a terminate that takes its time"] += 1
            lag += menu.slow_end_for
        machine.ends[Cause.ASKED] = now + lag

    def power_off(self, machine: Machine, after: timedelta = timedelta(0)) -> None:
        """Let a machine end from within."""
        machine.ends.setdefault(Cause.ITSELF, self.time.now() + after)

    def move(self, machine: Machine, deadline: datetime) -> None:
        """Move a machine's limit, its timer and its tag."""
        machine.deadline = deadline
        machine.tags["deadline"] = str(int(deadline.timestamp()))
        if self.traits.guarantee is Guarantee.EXTERNAL:
            machine.limit = deadline
        self._arm(machine)

    def shows(self, machine: Machine, at: datetime) -> bool:
        """Return whether a replica as old as `at` lists the machine."""
        ended = machine.end(at)
        forget = self.weather.menu.forget_after
        return machine.launched_at <= at and (ended is None or forget is None or at < ended[0] + forget)


class CloudProvider:
    """One home's door to a cloud."""

    def __init__(self, cloud: Cloud, home: str) -> None:
        self.cloud = cloud
        self.home = home
        self.traits = cloud.traits

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return today's prices of what satisfies, cheapest first."""
        self._pass("offers")
        now = self.cloud.time.now()
        return matching([dataclasses.replace(offer, priced_at=now) for offer in self.cloud.prices], need)

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Make a machine, or return what the key made before; another order under a known key is refused."""
        cloud, now = self.cloud, self.cloud.time.now()
        self._pass("launch")
        known = cloud.of_key(order.launch_key) if self.traits.idempotent else []
        if known:
            machine = known[0]
            if (machine.order, _body(machine.offer)) != (order, _body(offer)):
                raise Rejected("IdempotentParameterMismatch: this key was used with other parameters.")
        else:
            if (refusal := cloud.weather.no_room(now)) is not None:
                raise refusal
            machine = cloud.make(offer, order)
        self._answer("launch")
        return self._instance(machine, now)

    def find(self, launch_key: str) -> Instance | None:
        """Return the machine of that key as some replica has it; of several, one that stands comes first."""
        self._pass("find")
        at = self.cloud.time.now() - self.cloud.weather.age()
        mine = [one for one in self.cloud.of_key(launch_key) if one.tags.get("home") == self.home]
        seen = [one for one in mine if self.cloud.shows(one, at)]
        self._answer("find")
        self._not_shown(mine, seen)
        standing = [one for one in seen if one.end(at) is None]
        return self._instance((standing or seen)[0], at) if seen else None

    def list(self) -> Sequence[Instance]:
        """Return this home's machines as some replica has them; half a listing is none."""
        self._pass("list")
        at = self.cloud.time.now() - self.cloud.weather.age()
        if self.cloud.weather.happens(self.cloud.weather.menu.partial):
            self.cloud.weather.befell["a listing that is not whole"] += 1
            raise Unknown("The second page of the listing did not come.")
        mine = [one for one in self._recent() if one.tags.get("home") == self.home]
        seen = [one for one in mine if self.cloud.shows(one, at)]
        self._answer("list")
        return [self._instance(one, at) for one in seen]

    def terminate(self, instance: Instance) -> None:
        """Agree to an end."""
        self._pass("terminate")
        for machine in self.cloud.machines:
            if machine.id == instance.id and machine.tags.get("home") == self.home:
                self.cloud.end(machine)
        self._answer("terminate")

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the limit, where this cloud can."""
        if not self.traits.extendable:
            raise Rejected(f"{self.traits.name} cannot move a deadline.")
        self._pass("extend")
        machine = next((one for one in self.cloud.machines if one.id == instance.id), None)
        if machine is None or not machine.alive(self.cloud.time.now()):
            raise Rejected(f"There is no running machine {instance.id}.")
        self.cloud.move(machine, deadline)
        self._answer("extend")

    # ------------------------------------------------------------ inside

    def _pass(self, verb: str) -> None:
        _raise(self.cloud.weather.before_effect(verb, self.cloud.time.now()))

    def _answer(self, verb: str) -> None:
        _raise(self.cloud.weather.after_effect(verb))

    def _recent(self) -> Sequence[Machine]:
        """Return what a listing is made of: what ended long ago is in no cloud's."""
        forget = self.cloud.weather.menu.forget_after
        if forget is None:
            return self.cloud.machines
        oldest = self.cloud.time.now() - forget - self.cloud.weather.menu.stale
        return [one for one in self.cloud.machines if (ended := one.end(oldest)) is None or ended[0] > oldest]

    def _not_shown(self, mine: Sequence[Machine], seen: Sequence[Machine]) -> None:
        now = self.cloud.time.now()
        for machine in mine:
            if machine not in seen and machine.end(now) is not None:
                self.cloud.unseen.setdefault(machine.key, now)

    def _instance(self, machine: Machine, at: datetime) -> Instance:
        machine.shown = True
        ended = machine.end(at)
        if ended is None:
            return self._as_of(machine, at, ended)
        if machine.id not in self.cloud.gone:
            self.cloud.gone[machine.id] = self._as_of(machine, at, ended)
        return self.cloud.gone[machine.id]

    def _as_of(self, machine: Machine, at: datetime, ended: tuple[datetime, Cause] | None) -> Instance:
        return Instance(
            provider=self.traits.name,
            id=machine.id,
            region=machine.offer.region,
            state=machine.state(at),
            tags=dict(machine.tags),
            launched_at=machine.launched_at,
            ended_at=None if ended is None else ended[0],
            note="" if ended is None else ended[1].value,
            limit=machine.limit,
        )


def _body(offer: Offer) -> tuple[str, str, bool]:
    # What is asked for is the type, not what it cost when somebody looked.
    return (offer.name, offer.region, offer.spot)


def _raise(error: ProviderError | None) -> None:
    if error is not None:
        raise error
