"""Each layer of the hard stop, alone, on a machine of a real account, rented for minutes: what ended it, and when.

One machine after the other, the cheapest with a GPU. Of each all layers but one are missing, and it is watched until
it ends. A last timer on each machine, later than what is watched for, ends it where this program dies as well; and
whatever happens here, all that was rented is ended by its tag. The machines are of a home of their own, so that no bot
and no reaper of the deployment touches them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobs import policy
from jobs.boot import Boot, script
from jobs.clock import Clock
from jobs.errors import NoCapacity, ProviderError, QuotaExceeded
from jobs.providers import Instance, InstanceState, LaunchOrder, Offer, Provider, Traits
from jobs.reaper import Reaper
from jobs.values import Micros

LIVES = timedelta(minutes=4)  # from the launch to the deadline: a GPU machine takes two to boot
WATCHED = timedelta(minutes=5)  # after the deadline; then the layer has failed
LAST = timedelta(minutes=12)  # from the boot: the timer of a machine whose own timers are not on trial
PAID = timedelta(minutes=15)  # the most that a machine can cost: the last timer, and its boot
LOOKS_APART = 5.0  # seconds
CLEANING = timedelta(minutes=5)  # how long the ends of what is left are waited for
DISK_GB = 100  # Amazon's image wants less
WORK = "\ncase ${1:-begin} in"


class Layer(StrEnum):
    """What ends a machine, in the order in which money is spent on them."""

    SCHEDULE = "schedule"  # EventBridge's, everything of ours being dead
    WARDEN = "warden"  # the timers on the machine, under its own systemd and cloud-init
    REAPER = "reaper"  # from tags alone
    BOT = "bot"  # the call that the bot makes at the deadline, by trigger or by pass


class Outcome(StrEnum):
    """What came of a layer."""

    PROVED = "proved"
    FAILED = "failed"
    LEFT_OUT = "left out"


@dataclass(kw_only=True)
class Trial:
    """One layer, and what was seen of it."""

    layer: Layer
    outcome: Outcome = Outcome.LEFT_OUT
    why: str = ""  # in words, where it was not proved
    instance: str = ""
    launched: datetime | None = None
    deadline: datetime | None = None
    ended: datetime | None = None  # when it was first seen to end
    late: float | None = None  # seconds past its deadline
    said: str = ""  # the provider's word about its end
    micros: Micros = 0  # what it cost, by the time it was seen to stand


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be tried, at which price."""

    offers: Sequence[Offer]  # the cheapest first; the next where there is no room
    layers: Sequence[Layer]  # none where not even one can be paid
    left_out: Mapping[Layer, str]  # and why
    worst: Micros  # the most that the trials can cost, whichever offer they come to; of one where none can be paid


def plan(offers: Sequence[Offer], traits: Traits, *, scheduled: bool, most: Micros) -> Plan:
    """Return which layers `most` is enough for, and where; raises `NoCapacity` where there is nothing to rent."""
    if not offers:
        raise NoCapacity("No machine with a GPU is offered in HOURGLASS_AWS_REGIONS.")
    priced = sorted(((worst_of(offer, traits), offer) for offer in offers), key=lambda pair: pair[0])
    cheapest = priced[0][0]
    left_out = {} if scheduled else {Layer.SCHEDULE: "HOURGLASS_AWS_SCHEDULER_ROLE is not set."}
    wanted = [layer for layer in Layer if layer not in left_out]
    paid = wanted[: most // cheapest]
    left_out |= {layer: "--max-cost does not pay for it." for layer in wanted if layer not in paid}
    if not paid:
        return Plan(offers=(), layers=(), left_out=left_out, worst=cheapest)
    able = [(each, offer) for each, offer in priced if each * len(paid) <= most]
    return Plan(offers=[offer for _, offer in able], layers=paid, left_out=left_out, worst=able[-1][0] * len(paid))


def worst_of(offer: Offer, traits: Traits) -> Micros:
    """Return the most that one machine can cost, also where nothing but its last timer ends it."""
    return max(1, policy.bill(micros_per_hour=offer.micros_per_hour, ran=PAID, traits=traits, disk_gb=DISK_GB))


class Smoke:
    """Tries the layers. `plain` sets no schedules, `timed` does; both are of `home`, which nobody else has."""

    def __init__(
        self,
        *,
        plain: Provider,
        timed: Provider | None,
        home: str,
        clock: Clock,
        wait: Callable[[float], None],
        tell: Callable[[str], None],
    ) -> None:
        self._plain, self._timed = plain, timed
        self._home = home
        self._clock = clock
        self._wait = wait
        self._tell = tell
        self._reaper = Reaper({plain.traits.name: plain}, clock, home)
        self._left = "nothing was looked for yet"
        self.trials: list[Trial] = []  # what was seen so far

    def run(self, planned: Plan) -> None:
        """Try each layer, and leave no machine behind, whatever is raised meanwhile."""
        self.trials = [Trial(layer=layer, why=planned.left_out.get(layer, "")) for layer in Layer]
        try:
            for trial in self.trials:
                if trial.layer in planned.layers:
                    self._try(trial, planned.offers)
        finally:
            self.clean()

    # ------------------------------------------------------------ one layer

    def _try(self, trial: Trial, offers: Sequence[Offer]) -> None:
        provider = self._timed if trial.layer is Layer.SCHEDULE and self._timed is not None else self._plain
        trial.outcome, trial.why = Outcome.FAILED, "It was cut off."
        trial.launched = now = self._clock.now()
        trial.deadline = deadline = (now + LIVES).replace(microsecond=0)
        try:
            offer, instance = self._rented(provider, trial.layer, deadline, offers)
            trial.instance = instance.id
            self._tell(
                f"{trial.layer}: {instance.id} ({offer.name}, {offer.zone or offer.region}) has to end by itself."
            )
            if trial.layer is Layer.SCHEDULE:
                provider.extend(instance, deadline)
            trial.why = self._watched(trial, provider, instance.tags["key"], deadline)
            stood = (trial.ended or self._clock.now()) - now
            trial.micros = policy.bill(
                micros_per_hour=offer.micros_per_hour, ran=stood, traits=provider.traits, disk_gb=DISK_GB
            )
        except ProviderError as error:
            trial.why = str(error)
        trial.outcome = Outcome.FAILED if trial.why else Outcome.PROVED
        self._tell(f"{trial.layer}: {trial.outcome}. {trial.why}")

    def _rented(
        self, provider: Provider, layer: Layer, deadline: datetime, offers: Sequence[Offer]
    ) -> tuple[Offer, Instance]:
        for number, offer in enumerate(offers, 1):
            order = self._order(layer, number, deadline)
            try:
                return offer, provider.launch(offer, order)
            except (NoCapacity, QuotaExceeded) as error:
                self._tell(f"{layer}: {error}")
        raise NoCapacity("None of the machines that --max-cost pays for is free; try again later, or pay for more.")

    def _order(self, layer: Layer, number: int, deadline: datetime) -> LaunchOrder:
        key = f"hg-smoke-{self._home[:8]}-{layer}-{number}"
        tags = {"app": "hourglass", "home": self._home, "team": "smoke", "hold": "0", "key": key}
        return LaunchOrder(
            launch_key=key,
            tags={**tags, "deadline": str(int(deadline.timestamp()))},
            deadline=deadline,
            image="none",
            store="",
            job="",
            attempt=number,
            rank=0,
            env={},
            gpus=0,
            disk_gb=DISK_GB,
            shm_gb=0,
            boot=self._boot(layer, key, deadline),
        )

    def _boot(self, layer: Layer, key: str, deadline: datetime) -> str:
        """Return the user data: the real warden with nothing to do, or the last timer alone."""
        if layer is not Layer.WARDEN:
            return f"#!/bin/bash\nshutdown -P +{LAST // timedelta(minutes=1)}\n"
        ends = int(deadline.timestamp())
        boot = Boot(
            name=key,
            deadline=ends,
            lifetime=int(LIVES.total_seconds()),
            image="none",
            gpus=0,
            shm_gb=0,
            notice="aws",
            trainer_sha256="",
            bundle_url="",
            bundle_sha256="",
        )
        head, found, tail = script(boot).partition(WORK)
        if not found:
            raise AssertionError("warden.sh has another end than this expects")
        return f"{head}\nwork() {{ exec sleep infinity; }}{found}{tail}"

    def _watched(self, trial: Trial, provider: Provider, key: str, deadline: datetime) -> str:
        """Look until the machine ends; return what was wrong with it."""
        seen = False
        while self._clock.now() < deadline + WATCHED:
            self._wait(LOOKS_APART)
            now = self._clock.now()
            found = provider.find(key)
            seen = seen or (found is not None and found.state is InstanceState.RUNNING)
            if found is not None and found.state in (InstanceState.ENDING, InstanceState.GONE):
                trial.ended, trial.late, trial.said = now, (now - deadline).total_seconds(), found.note
                if not seen:
                    return "It ended before it ever ran."
                return "" if trial.late >= -LOOKS_APART else "It ended before its deadline: something else ended it."
            if trial.layer is Layer.SCHEDULE and found is not None and now < deadline and found.limit is None:
                return "Its schedule does not stand."
            if now >= deadline:
                self._end(trial.layer, provider, found)
        return f"It stood {WATCHED // timedelta(minutes=1)} minutes after its deadline."

    def _end(self, layer: Layer, provider: Provider, found: Instance | None) -> None:
        """Do what the layer on trial does at the deadline, where that is ours to do."""
        if layer is Layer.REAPER:
            self._reaper.round()
        elif layer is Layer.BOT and found is not None:
            provider.terminate(found)

    # ------------------------------------------------------------ nothing is left behind

    def clean(self) -> None:
        """End every machine of this home and wait until all are gone; what is still seen then is told, with its id."""
        try:
            gone = self._ended_all()
        except KeyboardInterrupt:
            gone = False
        if gone:
            self._tell("Nothing is left behind.")
            return
        minutes = PAID // timedelta(minutes=1)
        self._tell(
            f"LOOK YOURSELF: not seen to be gone: {self._left}. Their own last timers end them within {minutes} "
            f"minutes; they carry the tag home={self._home}."
        )

    def _ended_all(self) -> bool:
        provider, until, quiet = self._timed or self._plain, self._clock.now() + CLEANING, 0
        while self._clock.now() < until:
            try:
                machines = provider.list()
                for machine in machines:
                    provider.terminate(machine)  # of one that is gone, its schedule
            except ProviderError as error:
                self._left, quiet = str(error), 0
            else:
                self._left = ", ".join(one.id for one in machines if one.state is not InstanceState.GONE)
                quiet = 0 if self._left else quiet + 1
            # Twice, because a listing may lag behind a launch whose answer was lost.
            if quiet == 2:
                return True
            self._wait(LOOKS_APART)
        return False
