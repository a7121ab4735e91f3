"""Orders for machines of the practice cloud, and a script for them to run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from jobs.providers import LaunchOrder
from tests.support import engine, logs
from trainer.storage import Store

# Prints as nanoGPT does, and writes a checkpoint in PyTorch's container format (a zip) without PyTorch.
TRAIN = """
import hashlib, os, sys, time, zipfile
steps = int(sys.argv[1])
for step in range(1, steps + 1):
    print(f"step {step}/{steps}: loss {4 / step:.4f}, 12.0 ms", flush=True)
    time.sleep(0.05)
os.makedirs("out", exist_ok=True)
with zipfile.ZipFile("out/.ckpt", "w") as file:
    file.writestr("ckpt/data.pkl", b"weights")
    file.writestr("ckpt/version", b"3\\n")
os.rename("out/.ckpt", "out/ckpt.pt")
print("digest", hashlib.sha256(os.environ.get("TOKEN", "").encode()).hexdigest(), flush=True)
"""


def launch_order(
    uri: str,
    *,
    home: str,
    job: str,
    deadline: datetime,
    image: str | None = engine.PYTHON,
    secrets: Mapping[str, str] | None = None,
) -> LaunchOrder:
    """Return the order for attempt 1 of `job`."""
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
        env=dict(secrets or {}),
        gpus=0,
        disk_gb=100,
        shm_gb=1,
    )


def boot_log(store: Store, job: str) -> str:
    """Return the warden's log, out of its chunks."""
    return "".join((store.get(key) or b"").decode() for key in store.keys(f"jobs/{job}/a1/boot"))


def command_log(store: Store, job: str) -> str:
    """Return what the command printed, out of the agent's chunks."""
    return logs.whole(store, f"jobs/{job}/a1/log/")
