"""How a machine ends, in figures: what a SIGTERM costs until the checkpoint is safe, and what kill -9 leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from tests.bench.figures import Figure, percentile
from tests.trainer.rented import JOB, Rented, until
from trainer import archive, wire
from trainer.storage import Store
from trainer.wire import CheckpointRule, Manifest

SAVED = 10 * 2**20  # bytes
SLACK = 1.0  # seconds from the end of the save to the manifest
LIMIT = 120.0
# Saves when asked, in a format that has no end to look for: rest alone would tell that it is whole.
SAVES = """
import json, os, signal, sys, time
data = os.urandom(%d)
def save(*_):
    began = time.time()
    os.makedirs("out", exist_ok=True)
    with open("out/last.bin", "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    with open("took.json", "w") as out:
        json.dump([began, time.time()], out)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("step 1: loss 2.0", flush=True)
while True:
    time.sleep(0.01)
"""
# Writes one checkpoint after another and names each, so that uploads and removals never rest: one rewritten in place,
# as nanoGPT does, one renamed to its name.
REWRITES = """
import hourglass, os, time, zipfile
os.makedirs("out", exist_ok=True)
step = 0
while True:
    step += 1
    print(f"step {step}: loss {1 / step}", flush=True)
    for name, final in (("out/ckpt.pt", "out/ckpt.pt"), ("out/new.tmp", f"out/step_{step}.pt")):
        with zipfile.ZipFile(name, "w") as out:
            out.writestr("data", os.urandom(300_000))
        os.replace(name, final)
        hourglass.save(final)
    if os.path.exists(f"out/step_{step - 3}.pt"):
        os.remove(f"out/step_{step - 3}.pt")
    time.sleep(0.02)
"""


def asked(*, count: int) -> list[Figure]:
    """Send SIGTERM to a machine whose script saves 10 MB on it; time the manifest, less what the save itself took."""
    lags = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = archive.build(Path(folder) / "trainer.pyz", with_s3=False)
        lags = [_lag(Path(folder) / str(n), trainer) for n in range(count)]
    done = [lag for lag in lags if lag is not None]
    met = sum(lag <= SLACK for lag in done)
    note = f"median {statistics.median(done):.2f} s, p99 {percentile(done, 99):.2f} s" if done else "none arrived"
    worst = max(done, default=float("inf"))
    return [
        Figure(
            name=f"SIGTERM to the manifest within its save + {SLACK:g} s",
            value=met,
            unit=f"of {count}",
            goal=count,
            at_least=True,
            note=f"{note}, worst {worst:.2f} s beyond the save of {SAVED >> 20} MB; a folder as store",
        )
    ]


def _lag(folder: Path, trainer: Path) -> float | None:
    """Return the seconds from SIGTERM to the manifest without those of the save; None when none came."""
    machine = Rented(folder, trainer)
    with closing(machine):
        rule = CheckpointRule(path="out", upload_every=600.0, keep=2)
        machine.order(
            {"train.py": SAVES % SAVED}, argv=["python", "train.py"], checkpoints=rule, grace=30.0, seconds=300
        )
        machine.start()
        until(lambda: machine.series("loss"), LIMIT)
        assert machine.process is not None
        sent = time.time()
        machine.process.terminate()
        machine.wait(LIMIT)
    began, ended = json.loads((machine.scratch / "source" / "took.json").read_text())
    keys = [key for key in machine.store.keys(f"jobs/{JOB}/a1/ckpt") if key.endswith("/manifest.json")]
    if len(keys) != 1:
        return None
    return (folder / "store" / keys[0]).stat().st_mtime - sent - float(ended - began)


def killed(*, count: int, seed: int = 1) -> list[Figure]:
    """Kill everything of a machine at a random moment while it uploads; then read what its manifests promise.

    Readers trust manifests alone: each must name files that are there, of its size and sha256, and the newest one is
    what a next attempt goes on from.
    """
    chance = random.Random(seed)
    broken: list[str] = []
    seen = halves = 0
    with tempfile.TemporaryDirectory() as folder:
        trainer = archive.build(Path(folder) / "trainer.pyz", with_s3=False)
        for number in range(count):
            place = Path(folder) / str(number)
            manifests, half, problems = _killed_once(place, trainer, chance.uniform(0.0, 0.6))
            seen, halves = seen + manifests, halves + half
            broken += problems[:1]
            shutil.rmtree(place)
    note = f"seed {seed}; {seen:,} manifests stood, {halves:,} checkpoints were half there"
    note += f": {'; '.join(broken[:3])}" if broken else ""
    name = "newest checkpoint readable after kill -9 of everything"
    return [Figure(name=name, value=count - len(broken), unit=f"of {count}", goal=count, at_least=True, note=note)]


def _killed_once(folder: Path, trainer: Path, delay: float) -> tuple[int, int, list[str]]:
    """Return how many manifests stood, how many checkpoints had files and none, and what is wrong with any."""
    machine = Rented(folder, trainer)
    with closing(machine):
        rule = CheckpointRule(path="out", upload_every=0.02, keep=2)
        machine.order({"train.py": REWRITES}, argv=["python", "train.py"], checkpoints=rule, seconds=300)
        machine.start()
        until(lambda: _manifests(machine.store), LIMIT)
        time.sleep(delay)
        for pid in machine.children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    keys = _manifests(machine.store)
    begun = {key.split("/")[4] for key in machine.store.keys(f"jobs/{JOB}/a1/ckpt")}
    return len(keys), len(begun) - len(keys), unreadable(machine.store, keys)


def _manifests(store: Store) -> list[str]:
    return [key for key in store.keys(f"jobs/{JOB}/a1/ckpt") if key.endswith("/manifest.json")]


def unreadable(store: Store, manifests: Sequence[str]) -> list[str]:
    """Return what these manifests promise and the store does not hold; a word of its own where there is none."""
    problems = [] if manifests else ["no checkpoint is left"]
    for key in manifests:
        manifest = wire.from_json(Manifest, store.get(key) or b"")
        for entry in manifest.files:
            data = store.get(f"{key.rpartition('/')[0]}/{entry.path}")
            if data is None or len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
                problems.append(f"{manifest.name} lacks {entry.path}")
    return problems
