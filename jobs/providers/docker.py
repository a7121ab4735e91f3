"""The docker provider: this machine's container engine, or a team server's.

A machine is a container whose first process is the trainer's archive with a deadline of its own. Its name is the launch
key, so the engine itself refuses a second one. A container that was made and never started is no machine: the same
launch starts it.

Several machines of one attempt share a network of their own, on which each has a name. It is made with the first of
them and goes with the last; what a crash leaves of it goes with a listing after the deadline.

An ended container tells when it ended, until its record is removed: by `terminate`, which leaves nothing, or an hour
later by a listing. What was removed here is remembered while this process lives, and its key is not launched again;
a new process finds nothing, which callers believe only when it is said twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from docker import DockerClient
from docker.models.containers import Container
from docker.models.images import Image

from jobs.clock import Clock
from jobs.errors import NoCapacity, Rejected
from jobs.providers import Guarantee, Instance, InstanceState, LaunchOrder, Need, Offer, Traits
from jobs.providers.docker_engine import Engine
from jobs.providers.docker_errors import translated
from jobs.providers.docker_shape import (
    BRIDGE,
    DEVICES_LABEL,
    LABEL,
    Limits,
    labels,
    network,
    options,
    payload,
    store_folder,
    tags,
)
from trainer import wire

NAME = "docker"
REGION = "engine"

_KEPT = timedelta(hours=1)  # how long the record of a container that ended by itself is kept
_STATES = {
    "created": InstanceState.PENDING,
    "running": InstanceState.RUNNING,
    "paused": InstanceState.RUNNING,
    "restarting": InstanceState.RUNNING,
    "removing": InstanceState.ENDING,
    "exited": InstanceState.GONE,
    "dead": InstanceState.GONE,
}


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """GPUs of one kind that the engine's machine has, as the operator declares them."""

    name: str  # catalogue name, lower case
    memory_gb: int | None  # of one; None: not declared, and fits any
    count: int


class Docker:
    """Machines that are containers of one engine."""

    traits = Traits(
        name=NAME,
        guarantee=Guarantee.ON_BOX,
        hard_lag=timedelta(seconds=30),
        startup=timedelta(minutes=1),
        granule=timedelta(seconds=1),
        minimum=timedelta(0),
        bills=False,
        extendable=False,
        idempotent=True,
        runs_images=True,
        joins=True,
    )

    def __init__(
        self,
        *,
        home: str,
        clock: Clock,
        archive: Path,  # the trainer's archive
        connect: Callable[[], DockerClient],  # called when the engine is first needed, and again until it answers
        gpus: Sequence[Gpus] = (),  # in the order in which the engine numbers them
        cuda: str | None = None,  # the newest that the engine's driver runs, where the operator says
        micros_per_hour: int = 0,  # of one GPU, or of a machine without
        limits: Limits | None = None,
        store_folder: PurePosixPath | None = None,  # a folder store as the engine's machine sees it; None: as we do
        spot_notice: str = "",  # where the engine's machine, itself a spot one, says that it is taken back
    ) -> None:
        self._home = home
        self._clock = clock
        self._archive = archive
        self._engine = Engine(connect)
        self._gpus = tuple(gpus)
        self._cuda = cuda
        self._rate = micros_per_hour
        self._limits = limits or Limits(user=unprivileged())
        self._store_folder = store_folder
        self._spot_notice = spot_notice
        self._placing = threading.Lock()  # from counting the free GPUs to having them
        self._removed: dict[str, Instance] = {}  # by launch key

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return this engine with as many GPUs as are needed, at the team's own rate; it has no spot market."""
        if need.spot:
            return []
        if need.gpu == "cpu":
            return [self._offer(need, memory_gb=0, gpus=0)]
        fitting = (kind for kind in self._gpus if _fits(kind, need) and kind.count >= need.count)
        return [self._offer(need, memory_gb=kind.memory_gb or 0, gpus=need.count) for kind in fitting]

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Fetch the image where it is missing and start the container, or return the one that has this key."""
        with translated(f"starting {order.launch_key}"):
            if (removed := self._removed.get(order.launch_key)) is not None:
                return removed
            container = self._ours(order.launch_key)
            if container is None:
                image = self._image(order)
                self._check_deadline(order)  # fetching an image takes its time
                container = self._placed(image, offer, order)
            if container.status == "created":
                self._check_deadline(order)
                self._engine.start(container, payload(self._archive.read_bytes(), self._limits.user, order.places))
            return _instance(container)

    def find(self, launch_key: str) -> Instance | None:
        """Return the container with this name; None when there is none, or it was never started."""
        with translated(f"looking for {launch_key}"):
            container = self._ours(launch_key)
            if container is None:
                return self._removed.get(launch_key)
            return _instance(container) if container.status != "created" else None

    def list(self) -> Sequence[Instance]:
        """Return this home's containers; remove records of those that ended an hour ago, and networks left behind."""
        with translated("listing the containers"):
            machines = []
            for container in self._engine.containers(f"{LABEL}home={self._home}"):
                machine = _instance(container)
                if machine.ended_at is not None and self._clock.now() - machine.ended_at > _KEPT:
                    self._remove(container)
                else:
                    machines.append(machine)
            self._engine.sweep_networks(self._home, before=self._clock.now())
            return machines

    def terminate(self, instance: Instance) -> None:
        """Kill the container and remove its record; one that ended by itself is removed too."""
        with translated(f"ending {instance.id[:12]}"):
            container = self._engine.container(instance.id)
            if container is None:
                return
            if tags(container.labels).get("home") != self._home:
                raise Rejected(f"The container {instance.id[:12]} is not of this deployment; it was left alone.")
            self._remove(container)

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Refuse: a container's labels and environment are fixed when it is made."""
        raise Rejected("A container's deadline is fixed when it is made. Continue from the last checkpoint instead.")

    def has(self, image: str) -> bool:
        """Say whether the engine has the image already, so that nothing would be fetched."""
        with translated(f"looking for the image {image!r}"):
            return self._engine.has(image)

    def pin(self, image: str) -> str:
        """Return `image` so that it names the same bytes for ever: by digest, or by id where only this engine has it.

        Raises `Rejected` when neither the engine nor its registry knows the image.
        """
        with translated(f"looking for the image {image!r}"):
            return self._engine.pin(image)

    # ------------------------------------------------------------ starting one

    def _image(self, order: LaunchOrder) -> Image:
        if order.image is None:
            raise Rejected("A container needs an image: set `image:` in the task file, or HOURGLASS_DOCKER_IMAGE.")
        return self._engine.image(order.image, still=lambda: self._check_deadline(order))

    def _placed(self, image: Image, offer: Offer, order: LaunchOrder) -> Container:
        folder = self._prepared_folder(order)
        if (name := network(order)) is not None:
            self._engine.add_network(name, labels(order, ()))
        with self._placing:
            asked = options(
                order,
                self._limits,
                image_env=(image.attrs.get("Config") or {}).get("Env") or (),
                folder=folder,
                devices=self._free_devices(offer, order),
                spot_notice=self._spot_notice,
            )
            made = self._engine.create(image, asked) or self._ours(order.launch_key)
        if made is None:
            raise Rejected(f"Another container on this engine is called {order.launch_key!r}; remove or rename it.")
        return made

    def _prepared_folder(self, order: LaunchOrder) -> PurePosixPath | None:
        """Make sure that what is mounted is there and the container's user can write its part of it."""
        seen = store_folder(order)
        if seen is None:
            return None
        own = Path(seen, wire.attempt_prefix(order.job, order.attempt, order.rank))
        try:
            own.mkdir(parents=True, exist_ok=True)
            Path(seen, "control", order.job).mkdir(parents=True, exist_ok=True)
            if os.getuid() == 0:  # anybody else owns it already, and is the user that the container runs as
                for path in (own, *own.rglob("*")):
                    os.chown(path, *self._limits.user)
        except OSError as error:
            raise Rejected(f"The store's folder {own} could not be prepared for the container: {error}.") from error
        return self._store_folder or seen

    def _free_devices(self, offer: Offer, order: LaunchOrder) -> Sequence[int]:
        if order.gpus == 0:
            return []
        taken: set[int] = set()
        for container in self._engine.containers(DEVICES_LABEL):  # of every home: they share the machine
            if _STATES.get(container.status) is not InstanceState.GONE:
                taken |= {int(index) for index in container.labels[DEVICES_LABEL].split(",") if index}
        each = [kind for kind in self._gpus for _ in range(kind.count)]
        free = [index for index, kind in enumerate(each) if _fits(kind, offer) and index not in taken]
        if len(free) < order.gpus:
            raise NoCapacity(
                f"{len(free)} of the engine's {offer.gpu} GPUs are free and {order.gpus} are needed. "
                "Wait for a job there to end."
            )
        return free[: order.gpus]

    def _check_deadline(self, order: LaunchOrder) -> None:
        if order.deadline <= self._clock.now():
            raise Rejected(f"The deadline {order.deadline:%Y-%m-%d %H:%M:%S} UTC has passed; nothing was started.")

    def _offer(self, need: Need, *, memory_gb: int, gpus: int) -> Offer:
        return Offer(
            provider=NAME,
            name=f"{gpus}x-{need.gpu}" if gpus else "cpu",
            region=REGION,
            gpu=need.gpu,
            memory_gb=memory_gb,
            gpus=gpus,
            micros_per_hour=self._rate * max(1, gpus),
            spot=False,
            priced_at=self._clock.now(),
            fixed_price=True,
            cuda=self._cuda if gpus else None,
        )

    def _ours(self, key: str) -> Container | None:
        container = self._engine.container(key)
        return container if container is not None and tags(container.labels).get("home") == self._home else None

    def _remove(self, container: Container) -> None:
        self._engine.remove(container)
        if (network := container.attrs["HostConfig"]["NetworkMode"]) != BRIDGE:
            self._engine.remove_network(network)  # the last machine on it takes it along
        seen = _instance(container)
        ended = seen.ended_at or self._clock.now()
        self._removed[str(container.name)] = replace(seen, state=InstanceState.GONE, ended_at=ended)


def _instance(container: Container) -> Instance:
    state: Mapping[str, Any] = container.attrs["State"]
    made = datetime.fromisoformat(container.attrs["Created"]).astimezone(UTC)
    status = _STATES[container.status]
    gone = status is InstanceState.GONE
    return Instance(
        provider=NAME,
        id=str(container.id),
        region=REGION,
        state=status,
        tags=tags(container.labels),
        launched_at=_time(state["StartedAt"]) or made,
        ended_at=(_time(state["FinishedAt"]) or made) if gone else None,
        note=_note(state) if gone else str(container.status),
    )


def unprivileged() -> tuple[int, int]:
    """Return whom containers run as: the bot's own user, who owns a folder store, or nobody where that is root."""
    return (os.getuid(), os.getgid()) if os.getuid() != 0 else (65534, 65534)


def _fits(kind: Gpus, wanted: Need | Offer) -> bool:
    enough = not wanted.memory_gb or not kind.memory_gb or kind.memory_gb >= wanted.memory_gb
    return kind.name == wanted.gpu and enough


def _time(text: str) -> datetime | None:
    at = datetime.fromisoformat(text).astimezone(UTC)
    return at if at.year > 1 else None  # the engine's word for never is the year 1


def _note(state: Mapping[str, Any]) -> str:
    if state.get("OOMKilled"):
        return "killed for memory"
    return f"exit code {state.get('ExitCode')}"
