"""Small jobs laid ready in a store, as the control plane lays them: order, packed commit, control file."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from datetime import datetime

from jobs.providers import LaunchOrder
from tests.aws.cloud import Cloud
from tests.aws.harness import MACHINE_IMAGE
from trainer import wire
from trainer.storage import Store

# Prints as nanoGPT does, and writes a checkpoint in PyTorch's container format (a zip) without PyTorch.
TRAIN = """
import os, sys, time, zipfile
steps = int(sys.argv[1])
for step in range(1, steps + 1):
    print(f"step {step}/{steps}: loss {4 / step:.4f}, 12.0 ms", flush=True)
    time.sleep(0.05)
os.makedirs("out", exist_ok=True)
with zipfile.ZipFile("out/.ckpt", "w") as file:
    file.writestr("ckpt/data.pkl", b"weights " + os.environ.get("FLAVOUR", "plain").encode())
    file.writestr("ckpt/version", b"3\\n")
os.rename("out/.ckpt", "out/ckpt.pt")
print("token", os.environ.get("TOKEN", "none"), flush=True)
"""


def lay(store: Store, job: str, commands: Sequence[str], deadline: datetime, *, attempt: int = 1) -> None:
    """Put what attempt 1 of `job` reads: `commands` run in a folder with `train.py`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("train.py")
        entry.size = len(TRAIN.encode())
        archive.addfile(entry, io.BytesIO(TRAIN.encode()))
    order = wire.AgentOrder(
        job=job,
        attempt=attempt,
        rank=0,
        nodes=1,
        source_key=wire.source_key(job),
        source_sha256=hashlib.sha256(packed.getvalue()).hexdigest(),
        commit="3f9c2ab15d0e4c6b8a7f1e2d3c4b5a6978879695",
        setup=(),
        commands=tuple(commands),
        argv=(),
        env={"FLAVOUR": "vanilla"},
        gpu=wire.GpuNeed(name="cpu", count=0, memory_gb=None, required=True),
        checkpoints=wire.CheckpointRule(path="out", upload_every=1.0, keep=2),
        deadline=deadline.timestamp(),
        grace=2.0,
        resume_key=None,
        flush_every=0.5,
    )
    store.put(wire.source_key(job), packed.getvalue())
    store.put(wire.order_key(job, attempt), wire.to_json(order))
    control = wire.Control(seq=1, deadline=deadline.timestamp(), stop=None)
    store.put(wire.control_key(job, attempt), wire.to_json(control))


def launch_order(
    cloud: Cloud,
    uri: str,
    *,
    home: str,
    job: str,
    deadline: datetime,
    image: str | None = MACHINE_IMAGE,
    secrets: Mapping[str, str] | None = None,
) -> LaunchOrder:
    """Return the order for attempt 1 of `job`, with the store's credentials in its environment."""
    key = f"hg-{home[:8]}-{job}-a1-r0"
    tags = {"app": "hourglass", "home": home, "job": job, "attempt": "1", "rank": "0", "team": "vision", "hold": "1"}
    return LaunchOrder(
        launch_key=key,
        tags={**tags, "key": key, "deadline": str(int(deadline.timestamp()))},
        deadline=deadline,
        image=image,
        store=uri,
        job=job,
        attempt=1,
        rank=0,
        env={**cloud.store_environment(), **(secrets or {})},
        gpus=0,
        disk_gb=100,
        shm_gb=1,
    )


def events(store: Store, job: str) -> list[wire.Event]:
    """Return what the machine told so far, in order."""
    told: list[wire.Event] = []
    number = 1
    while (chunk := store.get(wire.event_key(job, 1, number))) is not None:
        told += [wire.from_json(wire.Event, line) for line in chunk.splitlines()]
        number += 1
    return told


def outcome(store: Store, job: str) -> Mapping[str, object] | None:
    """Return the outcome's data, or None while there is none."""
    ends = [event.data for event in events(store, job) if event.kind is wire.EventKind.OUTCOME]
    return ends[-1] if ends else None


def boot_log(store: Store, job: str) -> str:
    """Return the warden's log, out of its chunks."""
    return "".join((store.get(key) or b"").decode() for key in store.keys(f"jobs/{job}/a1/boot"))
