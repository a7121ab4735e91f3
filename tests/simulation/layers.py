"""The layers that end a machine when everything of ours is dead, cloud by cloud, as their own documents have them.

What a layer does is modelled from its mechanism (a minute that is rounded down, a scheduler that is a minute late, a
poll), never from the lag that is promised for it, so that a promise that is too tight is seen. Traits are the
product's own where it has that provider, and what such a provider would declare where it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from jobs.providers import Guarantee, Traits
from jobs.providers.aws import traits as aws_traits
from jobs.providers.docker import Docker
from jobs.providers.practice import Practice
from tests.simulation.weather import Weather

MINUTE = timedelta(minutes=1)
HALF_A_MINUTE = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Native:
    """A limit that the cloud keeps itself, told in the create call."""

    lag: tuple[float, float]  # seconds, least and most, from the limit to the end
    rounds_to: timedelta | None = None  # a limit in between is moved up to the next
    floor: timedelta = timedelta(0)  # no limit lies nearer to the launch than this

    def ends(self, launched: datetime, deadline: datetime, weather: Weather) -> datetime:
        """Return when the cloud will end the machine."""
        limit = max(deadline, launched + self.floor)
        if self.rounds_to is not None:
            over = (limit - datetime.min.replace(tzinfo=limit.tzinfo)) % self.rounds_to
            limit += self.rounds_to - over if over else timedelta(0)
        return limit + weather.between(self.lag)


@dataclass(frozen=True, kw_only=True)
class Timer:
    """A timer on the machine, set as it boots."""

    every: float  # seconds between its looks at the time
    takes: tuple[float, float]  # seconds to power off once it looked

    def ends(self, runs: datetime, deadline: datetime, weather: Weather) -> datetime:
        """Return when it will have powered the machine off; one that boots after its deadline does so at once."""
        looks = weather.between((0.0, self.every))  # where in its rhythm the deadline falls
        return max(deadline, runs) + looks + weather.between(self.takes)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A kind of cloud: what it declares, and which of its own layers are on."""

    name: str
    traits: Traits
    native: Native | None = None
    timer: Timer | None = None
    promised: timedelta | None = None  # how late its layer may be, None where there is none
    boot: tuple[float, float] = (0.0, 0.0)
    least_minutes: float = 5.0
    note: str = field(default="")


def cloud_traits(name: str, **changes: object) -> Traits:
    """Return a billing cloud by the second, without images; what differs is named."""
    plain = Traits(
        name=name,
        guarantee=Guarantee.NATIVE,
        hard_lag=timedelta(seconds=60),
        startup=timedelta(minutes=10),
        granule=timedelta(seconds=1),
        minimum=MINUTE,
        bills=True,
        extendable=False,
        idempotent=True,
        runs_images=False,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # names and types are `Traits`' own


def _without_images(traits: Traits) -> Traits:
    return replace(traits, runs_images=False)


_PRACTICE = _without_images(Practice.traits)
_DOCKER = _without_images(Docker.traits)
_AWS = _without_images(aws_traits(scheduled=False))
_ALIBABA_FLOOR = timedelta(minutes=30)

DEAD_BOT: Sequence[Ground] = (
    # Its timer is a process beside the machine that looks each second, asks, waits out the grace and kills.
    Ground(name="practice", traits=_PRACTICE, timer=Timer(every=1.0, takes=(0.0, 20.0)), promised=HALF_A_MINUTE),
    # PID 1 looks each second, asks, waits out the grace and kills.
    Ground(name="docker", traits=_DOCKER, timer=Timer(every=1.0, takes=(0.0, 20.0)), promised=HALF_A_MINUTE),
    # `shutdown -P +N` counts whole minutes from the boot: up to one is lost by rounding up, then systemd powers off.
    Ground(
        name="aws timer",
        traits=_AWS,
        timer=Timer(every=50.0, takes=(1.0, 9.0)),
        promised=MINUTE,
        boot=(15.0, 90.0),
    ),
    # EventBridge's schedules fire within their minute, `at()` has seconds; TerminateInstances takes seconds more.
    Ground(
        name="aws schedule",
        traits=_without_images(aws_traits(scheduled=True)),
        native=Native(lag=(0.0, 90.0)),
        promised=2 * MINUTE,
        boot=(15.0, 90.0),
    ),
    # maxRunDuration counts seconds and is acted on within half a minute.
    Ground(name="gcp", traits=cloud_traits("gcp"), native=Native(lag=(0.0, 30.0)), promised=MINUTE, boot=(15.0, 60.0)),
    # AutoReleaseTime has whole minutes and must lie half an hour ahead; it is acted on at once.
    Ground(
        name="alibaba",
        traits=cloud_traits("alibaba", extendable=True),
        native=Native(lag=(0.0, 0.0), rounds_to=MINUTE, floor=_ALIBABA_FLOOR),
        promised=MINUTE,
        boot=(20.0, 90.0),
        note="or the 30-minute floor",
    ),
    # A container that destroys its own instance with its own key: a poll, then two calls that may be throttled.
    Ground(
        name="vast",
        traits=cloud_traits("vast", guarantee=Guarantee.ON_BOX, hard_lag=2 * MINUTE, idempotent=False),
        timer=Timer(every=30.0, takes=(1.0, 60.0)),
        promised=2 * MINUTE,
        boot=(30.0, 300.0),
    ),
    # A guest that powers off is billed on, and nobody else ends it.
    Ground(
        name="lambda",
        traits=cloud_traits("lambda", guarantee=Guarantee.NONE, hard_lag=timedelta(0), idempotent=False),
        boot=(60.0, 300.0),
        note="nobody else ends it",
    ),
)
