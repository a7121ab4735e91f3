"""What a container of ours is asked to be; pure.

No privilege: no capability, no way to gain one, never the engine's socket, and a user that owns nothing but its own
folders. From a store in a folder it sees its job's files and control file, and may write its attempt's alone.

    /hourglass/trainer.pyz      the trainer's archive, the first process; read-only
    /hourglass/work             working directory, the container's own disk
    /hourglass/home             HOME
    /hourglass/store/…          the parts of a folder store that are its business
    /hourglass/inputs           what its team's jobs took along, a volume of the engine's that outlives the container
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from docker.types import DeviceRequest, EndpointConfig, LogConfig, Mount

from jobs.providers import LaunchOrder, machine_env
from trainer import wire

ROOT = "/hourglass"
ARCHIVE = f"{ROOT}/trainer.pyz"
WORK = f"{ROOT}/work"
HOME = f"{ROOT}/home"
STORE = f"{ROOT}/store"
INPUTS = f"{ROOT}/inputs"
BRIDGE = "bridge"  # the engine's own network
LABEL = "hourglass."  # before each tag's name: an image brings labels of its own
DEVICES_LABEL = "hourglass-devices"  # the indices of the GPUs that this container has

_GIB = 2**30
_PIDS = 8192  # data loaders want many; a fork bomb wants more
_LOG = LogConfig(type="json-file", config={"max-size": "10m", "max-file": "1"})  # ours lies in the store


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one container may use of the engine's machine."""

    cpus: float = 0  # 0: all
    memory_gb: float = 0  # 0: all
    user: tuple[int, int] = (65534, 65534)  # uid and gid; must be able to write the attempt's folder


def labels(order: LaunchOrder, devices: Sequence[int]) -> dict[str, str]:
    """Return the container's labels: every tag, and which GPUs it has."""
    named = {f"{LABEL}{name}": value for name, value in order.tags.items()}
    return {**named, DEVICES_LABEL: ",".join(map(str, devices))}


def tags(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that `labels` wrote."""
    return {name.removeprefix(LABEL): value for name, value in labels.items() if name.startswith(LABEL)}


def store_folder(order: LaunchOrder) -> PurePosixPath | None:
    """Return the folder that the order's store is, or None when it is no folder."""
    parts = urlsplit(order.store)
    return PurePosixPath(unquote(parts.path)) if parts.scheme == "file" else None


def mounts(order: LaunchOrder, folder: PurePosixPath) -> list[Mount]:
    """Return what the container sees of the folder store that lies at `folder` on the engine's machine."""
    own = wire.attempt_prefix(order.job, order.attempt, order.rank)
    parts = {f"jobs/{order.job}": True, own: False, f"control/{order.job}": True}
    parts |= {kept: True for kept in order.reads if "://" not in kept}
    return [
        Mount(target=f"{STORE}/{part}", source=str(folder / part), type="bind", read_only=read_only)
        for part, read_only in parts.items()
    ]


def network(order: LaunchOrder) -> str | None:
    """Return the name of the network that an attempt's machines share; None where there is one machine."""
    return order.launch_key.removesuffix(f"-r{order.rank}") if order.nodes > 1 else None


def address(order: LaunchOrder) -> str:
    """Return the name that this machine has on that network."""
    return f"node-{order.rank:02d}" if order.nodes > 1 else ""


def volume(order: LaunchOrder) -> str:
    """Return the name of the volume in which this engine keeps what the team's jobs took along."""
    return f"hourglass-inputs-{order.tags.get('home', '')[:8]}-{order.tags.get('team', 'none')}"


def environment(order: LaunchOrder, image_env: Sequence[str], spot_notice: str = "") -> dict[str, str]:
    """Return the first process's variables; `image_env` is the image's own, as `NAME=value`."""
    told = {wire.ENV_SPOT_NOTICE: spot_notice} if spot_notice else {}
    inside = replace(order, store=f"file://{STORE}") if store_folder(order) is not None else order
    path = dict(pair.partition("=")[::2] for pair in image_env).get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {
        "HOME": HOME,
        # Programs ask who they are by name, and the image's list of users need not know this one.
        "USER": "hourglass",
        "LOGNAME": "hourglass",
        # Where pip puts what it cannot install for everybody.
        "PATH": f"{path}:{HOME}/.local/bin",
        **machine_env(inside, instance=order.launch_key, workdir=WORK, address=address(order)),
        wire.ENV_CACHE: INPUTS,
        **told,
    }


def options(
    order: LaunchOrder,
    limits: Limits,
    *,
    image_env: Sequence[str],
    folder: PurePosixPath | None,  # the store's, on the engine's machine; None where it is no folder
    devices: Sequence[int],
    spot_notice: str = "",  # where the machine under it says that it is taken back
) -> dict[str, Any]:
    """Return the keyword arguments of the SDK's `containers.create`, without the image."""
    memory = int(limits.memory_gb * _GIB) or None
    return {
        "name": order.launch_key,
        # -I: nothing that lies about in the image or the team's variables takes a module's place. -B: no litter.
        "entrypoint": ["python3", "-IB", ARCHIVE],
        "command": [],
        "environment": environment(order, image_env, spot_notice),
        "labels": labels(order, devices),
        "user": f"{limits.user[0]}:{limits.user[1]}",
        "working_dir": WORK,
        "mounts": [
            *(mounts(order, folder) if folder is not None else []),
            *([Mount(target=INPUTS, source=volume(order), type="volume")] if order.reads else []),
        ],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": _PIDS,
        "mem_limit": memory,
        "memswap_limit": memory,  # equal: no swap on top
        "nano_cpus": int(limits.cpus * 10**9) or None,
        "shm_size": order.shm_gb * _GIB or None,
        "device_requests": [DeviceRequest(device_ids=list(map(str, devices)), capabilities=[["gpu"]])]
        if devices
        else [],
        "log_config": _LOG,
        "init": False,  # our archive is the first process
        **_joined(order),
    }


def _joined(order: LaunchOrder) -> dict[str, Any]:
    """Return on which network it is: the engine's own, or one that the attempt's machines have to themselves."""
    name = network(order)
    if name is None:
        return {"network_mode": BRIDGE}
    # The version is the one that brought aliases; the engine's is newer, and the SDK asks for this one only to check.
    return {"network": name, "networking_config": {name: EndpointConfig("1.22", aliases=[address(order)])}}


def payload(archive: bytes, user: tuple[int, int], places: Mapping[str, str] | None = None) -> bytes:
    """Return a tar to be unpacked at `/`: the archive, the folders that the user may write, and links to inputs.

    The links lead to where the agent will put them: at the root nobody but the engine has the right to make them.
    A folder that a volume is mounted on is the volume's root, which the engine makes for root alone.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        own = ((WORK, user, 0o700), (HOME, user, 0o700), (INPUTS, user, 0o700))
        for name, owner, mode in ((ROOT, (0, 0), 0o755), *own):
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.mode, (entry.uid, entry.gid) = tarfile.DIRTYPE, mode, owner
            packed.addfile(entry)
        for place, name in (places or {}).items():
            entry = tarfile.TarInfo(place.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, f"{WORK}/inputs/{name}"
            packed.addfile(entry)
        entry = tarfile.TarInfo(ARCHIVE.lstrip("/"))
        entry.size, entry.mode = len(archive), 0o444
        packed.addfile(entry, io.BytesIO(archive))
    return buffer.getvalue()
