"""A job and one of its attempts, written down as what a provider and a machine are asked to do.

Pure: equal inputs give equal bytes, so that asking a provider again under the same launch key is the same
request. The order that lies in the store holds no secret; values of secrets and the store's credentials travel
only in `LaunchOrder.env`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.errors import BadSpec
from jobs.inputs import places, reads
from jobs.model import Job
from jobs.providers import Instance, LaunchOrder, Traits
from jobs.values import JobSpec, Source
from trainer import wire

APP = "hourglass"

# An object store bills and throttles by the request; a folder does not.
FLUSH_FOLDER = 1.0
FLUSH_BUCKET = 5.0


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Everything about one attempt that was decided before its intent was committed."""

    job: Job
    spec: JobSpec
    source: Source
    source_sha256: str
    number: int  # of the attempt, from 1
    deadline: datetime
    grace: timedelta
    resume_key: str | None  # prefix of a whole checkpoint
    traits: Traits
    store_uri: str
    home: str


def launch_key(home: str, job: str, number: int, rank: int = 0) -> str:
    """Return the name under which a machine is asked for and looked up: unique to one node of one attempt."""
    return f"{_prefix(home)}{job}-a{number}-r{rank}"


def is_of(home: str, key: str) -> bool:
    """Return whether a launch key is one of this home's."""
    return key.startswith(_prefix(home))


def _prefix(home: str) -> str:
    return f"hg-{home[:8]}-"


def tags(launch: Launch, rank: int = 0) -> dict[str, str]:
    """Return what the machine carries, enough to end it and to pay for it without any database."""
    return {
        "app": APP,
        "home": launch.home,
        "job": launch.job.id,
        "attempt": str(launch.number),
        "rank": str(rank),
        "team": launch.job.team_id,
        "deadline": str(int(launch.deadline.timestamp())),
        "hold": str(launch.job.hold),
        "key": launch_key(launch.home, launch.job.id, launch.number, rank),
    }


def agent_order(launch: Launch, rank: int = 0) -> wire.AgentOrder:
    """Return what the machine reads first; it holds no secret."""
    spec = launch.spec
    return wire.AgentOrder(
        job=launch.job.id,
        attempt=launch.number,
        rank=rank,
        nodes=spec.nodes,
        source_key=wire.source_key(launch.job.id),
        source_sha256=launch.source_sha256,
        commit=launch.source.sha,
        setup=tuple(spec.setup),
        commands=tuple(spec.commands),
        argv=tuple(spec.argv),
        env=dict(spec.env),
        gpu=wire.GpuNeed(
            name=spec.gpu,
            count=0 if spec.gpu == "cpu" else spec.gpus,
            memory_gb=spec.gpu_memory_gb,
            required=not launch.traits.stand_in,
        ),
        checkpoints=wire.CheckpointRule(
            path=spec.checkpoint_path,
            upload_every=spec.checkpoint_every,
            keep=spec.checkpoint_keep,
            encrypt=spec.checkpoint_encrypt,
        ),
        deadline=launch.deadline.timestamp(),
        grace=launch.grace.total_seconds(),
        resume_key=launch.resume_key,
        idle=_idle_rule(spec),
        again=wire.Again(commands=tuple(spec.resume_commands), argv=tuple(spec.resume_argv), known=spec.resume_known),
        hang_timeout=spec.hang_timeout,
        inputs=tuple(spec.inputs),
        progress=tuple(spec.progress),
        flush_every=FLUSH_FOLDER if launch.store_uri.startswith("file:") else FLUSH_BUCKET,
    )


def _idle_rule(spec: JobSpec) -> wire.IdleRule | None:
    if spec.min_gpu_utilization is None or spec.utilization_window is None:
        return None
    return wire.IdleRule(least=spec.min_gpu_utilization, window=spec.utilization_window)


def launch_order(
    launch: Launch,
    rank: int = 0,
    *,
    secrets: Mapping[str, str],
    credentials: Mapping[str, str],
) -> LaunchOrder:
    """Return the machine to be asked for; raises `BadSpec` when a secret that the job names is not there."""
    return LaunchOrder(
        launch_key=launch_key(launch.home, launch.job.id, launch.number, rank),
        tags=tags(launch, rank),
        deadline=launch.deadline,
        image=pinned_image(launch.spec.image, launch.job.image_digest) if launch.traits.runs_images else None,
        store=launch.store_uri,
        job=launch.job.id,
        attempt=launch.number,
        rank=rank,
        nodes=launch.spec.nodes,
        env=dict(sorted({**named_secrets(launch.spec, secrets), **credentials}.items())),
        gpus=0 if launch.spec.gpu == "cpu" else launch.spec.gpus,
        disk_gb=launch.spec.disk_gb,
        shm_gb=launch.spec.shm_gb,
        reads=reads(launch.spec.inputs),
        places=places(launch.spec.inputs),
    )


def named_secrets(spec: JobSpec, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the secrets that the job names; raises `BadSpec` naming the one that is missing."""
    for name in spec.secrets:
        if name not in secrets:
            raise BadSpec(
                f"The secret {name!r} is not known here. Whoever runs the bot sets HOURGLASS_SECRET_{name}, "
                "or take it out of `secrets:`."
            )
    return {name: secrets[name] for name in spec.secrets}


def pinned_image(image: str | None, digest: str | None) -> str | None:
    """Return the image by its digest: `torch:2` and `sha256:ab…` are `torch@sha256:ab…`.

    `digest` may be a bare digest, a whole reference, or None where a local image is pinned by its engine.
    """
    if image is None or digest is None:
        return image
    if not digest.startswith("sha256:"):
        return digest
    name = image.partition("@")[0]
    # A colon after the last slash is a tag; before it, a port.
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}@{digest}"


def control(
    *, seq: int, deadline: datetime, stop: wire.Reason | None = None, progress: Sequence[str] | None = None
) -> bytes:
    """Return the control file's bytes."""
    told = None if progress is None else tuple(progress)
    return wire.to_json(wire.Control(seq=seq, deadline=deadline.timestamp(), stop=stop, progress=told))


def tagged_deadline(instance: Instance) -> datetime | None:
    """Return the deadline that the machine's own tags carry; None where they carry none that can be read."""
    try:
        return datetime.fromtimestamp(int(instance.tags["deadline"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def tagged_number(instance: Instance, name: str) -> int | None:
    """Return the whole number that a tag carries (`attempt`, `rank`, `hold`); None where it carries none."""
    try:
        return int(instance.tags[name])
    except (KeyError, ValueError):
        return None
