"""What a provider of machines is: the types it speaks and the verbs it has. `registry` finds the configured ones.

A provider is one file that wraps one SDK. It answers in our types, raises only `jobs.errors.ProviderError`,
and decides nothing: not whether to launch, not when to end. A listing that is not whole raises `Unknown`; it
never reads as "gone".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from trainer import wire


class Guarantee(StrEnum):
    """Who ends a machine at its deadline when everything of ours is dead."""

    NATIVE = "native"  # the provider itself, told in the create call
    EXTERNAL = "external"  # a timer of the provider's that we set and verify
    ON_BOX = "on_box"  # a timer on the machine
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a job asks of a machine."""

    gpu: str  # catalogue name, lower case: "a100"; "cpu" for a machine without one
    memory_gb: int | None  # of one GPU; None takes any
    count: int  # GPUs in one machine
    spot: bool
    disk_gb: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A machine that could be rented, at a whole-instance price."""

    provider: str
    name: str  # the provider's own name of the type
    region: str
    gpu: str
    memory_gb: int
    gpus: int  # in the whole instance; may exceed what was asked for
    micros_per_hour: int  # of the whole instance
    spot: bool
    priced_at: datetime  # when this price was read
    fixed_price: bool = False  # it cannot rise before launch, so nothing is held above it
    cuda: str | None = None  # the newest CUDA the driver there can run, where it is known
    zone: str = ""  # where in the region; empty where the provider chooses
    bid: int | None = None  # micros an hour: the most that a spot machine may come to cost; set when it is chosen


@dataclass(frozen=True, kw_only=True)
class LaunchOrder:
    """One machine to be asked for. Equal orders make equal requests, byte for byte."""

    launch_key: str  # ≤ 64 ASCII characters, committed before the call
    tags: Mapping[str, str]  # home, job, attempt, rank, team, deadline (unix seconds), hold (micros)
    deadline: datetime
    image: str | None  # pinned to a digest; None where the provider runs no image
    store: str  # store URI as the machine sees it
    job: str
    attempt: int
    rank: int
    env: Mapping[str, str] = field(repr=False)  # secrets' values and store credentials are in here
    gpus: int
    disk_gb: int
    shm_gb: int
    nodes: int = 1  # machines of the same attempt, which are to reach each other
    boot: str | None = None  # the boot script, where the provider starts a VM
    # Beside its job's files: prefixes of the store, and `s3://bucket/prefix` of other buckets.
    reads: Sequence[str] = ()
    # Where inputs are found outside of the source, and their names: the agent makes these where it has the right to.
    places: Mapping[str, str] = field(default_factory=dict)


def machine_env(order: LaunchOrder, *, instance: str, workdir: str, address: str = "") -> dict[str, str]:
    """Return the variables with which the machine's first process is started, secrets' values among them.

    `instance` is the provider's own name of the machine, `workdir` a folder there that whoever it runs as may write,
    `address` where the other machines of its attempt reach it; such names sort as ranks do.
    """
    # The store's credentials never reach the team's command, so its log needs no masking of them.
    masked = sorted(name for name in order.env if not name.startswith(wire.ENV_STORE_PREFIX))
    return {
        wire.ENV_SECRETS: ",".join(masked),
        **order.env,
        # Last, so that no variable of the team's can take their place.
        wire.ENV_STORE: order.store,
        wire.ENV_JOB: order.job,
        wire.ENV_ATTEMPT: str(order.attempt),
        wire.ENV_RANK: str(order.rank),
        **({wire.ENV_ADDRESS: address} if address else {}),
        wire.ENV_DEADLINE: str(order.deadline.timestamp()),
        wire.ENV_INSTANCE: instance,
        wire.ENV_WORKDIR: workdir,
    }


class InstanceState(StrEnum):
    """What the provider says of a machine."""

    PENDING = "pending"
    RUNNING = "running"
    ENDING = "ending"
    GONE = "gone"  # a positive terminal status, not mere absence


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A machine as the provider lists it."""

    provider: str
    id: str
    region: str
    state: InstanceState
    tags: Mapping[str, str]
    launched_at: datetime | None
    ended_at: datetime | None = None
    # When the provider's own timer ends it, as this look saw it stand; only with `Guarantee.EXTERNAL`. None: no timer.
    limit: datetime | None = None
    limit_seen: bool = True  # False: whether there is one could not be asked
    note: str = ""  # the provider's own word about its state: "fetching the image", "spot capacity"
    zone: str = ""  # where in the region it stands, where the provider says
    taken_back: bool = False  # it is ending or gone because its provider wanted it back


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a provider promises; fixed for its lifetime."""

    name: str
    guarantee: Guarantee
    hard_lag: timedelta  # how late its own layer may end a machine
    startup: timedelta  # allowance added to the hours
    granule: timedelta  # what a started piece of time is billed in
    minimum: timedelta  # billed even if it ends at once
    bills: bool  # False where no money moves
    extendable: bool
    idempotent: bool  # a repeated launch key gives the same machine
    runs_images: bool
    joins: bool = False  # machines of one attempt reach each other, so that `nodes=2` can train
    disk_micros_per_gb_hour: int = 0  # billed beside the instance, where the provider does
    egress_micros_per_gb: int = 0  # of what leaves the provider's network, as a download of a checkpoint does
    stand_in: str = ""  # the sentence the card must carry, where this is one; `{gpu}` is the GPU asked for


class Provider(Protocol):
    """The six verbs. Each may raise `jobs.errors.ProviderError`, and nothing else."""

    traits: Traits

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return what satisfies `need`, cheapest whole instance first; empty when nothing does."""

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Ask for the machine. `Unknown` means that it may stand: look it up by its key."""

    def find(self, launch_key: str) -> Instance | None:
        """Return the machine that carries this key, whatever its state; None when a whole look-up found none."""

    def list(self) -> Sequence[Instance]:
        """Return every machine of this `home` that is not long gone; raise `Unknown` if it may be incomplete."""

    def terminate(self, instance: Instance) -> None:
        """Ask for its end, and for the end of what it left behind; asking again, or for one gone, is no error."""

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the provider's own limit and the deadline tag; raises `Rejected` where `traits.extendable` is False.

        Any failure leaves the old deadline standing. With `Guarantee.EXTERNAL` it sets a limit that is not there yet,
        too, and returns only when that was seen to stand.
        """


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a machine costs an hour from a time on."""

    since: datetime
    micros_per_hour: int


@dataclass(frozen=True, kw_only=True)
class Metered:
    """What a machine's time cost on a market whose price moves."""

    rates: Sequence[Rate]  # oldest first, at least one; the first counts from the launch on
    on_demand: int | None = None  # micros an hour of the same machine where nobody takes it back; None: not known
    free: bool = False  # nothing is asked for its time: its provider took it back too soon


@runtime_checkable
class Meter(Protocol):
    """What a provider has beside its verbs, if its price moves while a machine runs. No other has to."""

    def metered(self, offer: Offer, instance: Instance | None, since: datetime, until: datetime) -> Metered | None:
        """Return what the machine's time cost between launch and end; None where the price did not move.

        Raises `ProviderError` where that cannot be had now. `instance` is None where its provider has forgotten it.
        """
