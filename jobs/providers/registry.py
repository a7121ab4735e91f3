"""The configured providers, built once at start.

A provider that is named and cannot be built stops the start: a fleet that silently lost one of its clouds would place
jobs elsewhere at other prices. Another package adds its own as an entry point of the group `hourglass.providers`: a
callable that takes `Parts` and returns a `Provider`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jobs.clock import Clock
from jobs.errors import HourglassError, Misconfigured, Rejected
from jobs.providers import LaunchOrder, Need, Offer, Provider
from jobs.settings import Settings

if TYPE_CHECKING:  # its SDK is loaded only where AWS is named
    from jobs.providers.aws import BootScripts

GROUP = "hourglass.providers"
_ENGINE_PATIENCE = 60  # seconds without a word from the container engine; making a container on a busy disk takes some


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a provider may be built from."""

    settings: Settings
    home: str  # uuid of this deployment: a provider lists and ends no other home's machines
    clock: Clock
    archive: Path  # the trainer's archive
    practice_price: Callable[[Need], Offer | None]  # what the practice machine stands in for costs
    catalogue: Callable[[str], Sequence[Offer]]  # the dated prices of a provider, by its name
    own_prices: Callable[[str], Sequence[Offer]] = lambda name: ()  # the operator's, among those
    # Built to list and to terminate alone: without the store, and without credentials that only a launch needs.
    ends_only: bool = False


Factory = Callable[[Parts], Provider]


def connect(parts: Parts) -> dict[str, Provider]:
    """Return the providers that `HOURGLASS_PROVIDERS` names, in that order; raises `Misconfigured`."""
    factories = _factories()
    names = parts.settings.providers
    if not names:
        raise Misconfigured(
            f"HOURGLASS_PROVIDERS names no provider. Set it to one or more of {', '.join(sorted(factories))}."
        )
    providers: dict[str, Provider] = {}
    for name in names:
        if name not in factories:
            near = difflib.get_close_matches(name, factories, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(factories))}."
            raise Misconfigured(f"HOURGLASS_PROVIDERS names {name!r}, which is no provider: {hint}")
        if name not in providers:
            providers[name] = _built(name, factories[name], parts)
    return providers


def _factories() -> Mapping[str, Factory]:
    found: dict[str, Factory] = {"practice": _practice, "docker": _docker, "aws": _aws}
    for entry in entry_points(group=GROUP):
        if entry.name in found:
            raise Misconfigured(
                f"The package entry point {entry.value!r} calls itself {entry.name!r}, as another provider does."
            )
        found[entry.name] = _loaded(entry)
    return found


def _loaded(entry: EntryPoint) -> Factory:
    # Loaded only when it is named: a broken package that nobody configured must not stop the start.
    def build(parts: Parts) -> Provider:
        factory: Factory = entry.load()
        return factory(parts)

    return build


def _built(name: str, factory: Factory, parts: Parts) -> Provider:
    try:
        provider = factory(parts)
    except Misconfigured:
        raise
    except HourglassError as error:
        raise Misconfigured(f"HOURGLASS_PROVIDERS names {name!r}, which cannot be used: {error}") from error
    # Whatever a foreign package raises while it is built is the operator's to mend, and must not read as "absent".
    except Exception as error:
        raise Misconfigured(
            f"HOURGLASS_PROVIDERS names {name!r}, which cannot be built: {type(error).__name__}: {error}"
        ) from error
    if provider.traits.name != name:
        raise Misconfigured(f"The provider {name!r} calls itself {provider.traits.name!r}; the names must agree.")
    return provider


# Each imports its own file: an SDK that is not installed matters only where its provider is named.


def _practice(parts: Parts) -> Provider:
    from jobs.providers.practice import Practice

    return Practice(
        folder=parts.settings.state / "practice",
        home=parts.home,
        clock=parts.clock,
        price=parts.practice_price,
        archive=parts.archive,
        python=parts.settings.trainer_python,
        inputs=parts.settings.state / "inputs",
        machines=parts.settings.practice_machines,
    )


def _docker(parts: Parts) -> Provider:
    import docker

    from jobs.gpus import parse_gpu
    from jobs.providers.docker import Docker, Gpus, unprivileged
    from jobs.providers.docker_shape import Limits
    from jobs.quantities import parse_dollars

    settings = parts.settings
    declared = [parse_gpu(text) for text in settings.docker_gpus]

    def connect() -> docker.DockerClient:
        if settings.docker_host:
            return docker.DockerClient(base_url=settings.docker_host, version="auto", timeout=_ENGINE_PATIENCE)
        return docker.from_env(version="auto", timeout=_ENGINE_PATIENCE)

    return Docker(
        home=parts.home,
        clock=parts.clock,
        archive=parts.archive,
        connect=connect,
        gpus=[Gpus(name=gpu.name, memory_gb=gpu.memory_gb, count=gpu.count) for gpu in declared],
        cuda=settings.docker_cuda or None,
        micros_per_hour=parse_dollars(settings.docker_rate),
        limits=Limits(cpus=settings.docker_cpus, memory_gb=settings.docker_memory_gb, user=unprivileged()),
        store_folder=PurePosixPath(settings.docker_store) if settings.docker_store else None,
        spot_notice=settings.spot_notice,
    )


def _aws(parts: Parts) -> Provider:
    from jobs.providers.aws import Aws, sdk_clients
    from jobs.providers.aws_prices import Prices
    from jobs.providers.aws_schedule import Schedules

    settings, clients = parts.settings, sdk_clients()
    role = None if parts.ends_only else settings.aws_scheduler_role
    return Aws(
        home=parts.home,
        regions=settings.aws_regions,
        prices=() if parts.ends_only else parts.catalogue("aws"),
        boot=NoScripts() if parts.ends_only else _boot_scripts(parts),
        image=settings.aws_image,
        cuda=settings.aws_cuda or None,
        subnets=settings.aws_subnets,
        security_group=settings.aws_security_group,
        clients=clients,
        own_prices=parts.own_prices("aws"),
        live=None if parts.ends_only else Prices(clients=clients, clock=parts.clock),
        schedules=Schedules(role=role, group=settings.aws_schedule_group, clients=clients) if role else None,
    )


def _boot_scripts(parts: Parts) -> BootScripts:
    from jobs.bootstrap import Bootstrap
    from jobs.credentials import JobCredentials
    from trainer.storage import S3Store, open_store

    settings, uri = parts.settings, parts.settings.store_uri()
    credentials = JobCredentials(
        role=settings.aws_job_role, store_uri=uri, clock=parts.clock, kms_key=settings.aws_kms_key or ""
    )
    store = open_store(uri)
    if not isinstance(store, S3Store):
        raise Misconfigured("A rented machine needs a bucket. Set HOURGLASS_STORE to s3://bucket/prefix.")
    notice = settings.spot_notice or "aws"
    return Bootstrap(
        store=store,
        clock=parts.clock,
        archive=parts.archive,
        credentials=credentials,
        notice=notice,
        mirrors=settings.mirrors,
    )


class NoScripts:
    """Stands where boot scripts are made, for who launches no jobs."""

    def script(self, order: LaunchOrder) -> str:
        """Refuse."""
        raise Rejected(f"{order.launch_key} cannot be launched from here: this process makes no boot scripts.")

    def forget(self, job: str, attempt: int, rank: int) -> None:
        """Leave what was kept to the bot, which removes it when it sees that the machine is gone."""
