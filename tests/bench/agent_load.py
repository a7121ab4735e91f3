"""What the agent costs the machine that is paid for: a core's share at a thousand lines a second, and its memory."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import psutil

from tests.bench.figures import Figure
from tests.bench.sink import Sink
from tests.trainer.rented import Rented, until
from trainer import archive
from trainer.wire import CheckpointRule

RATE = 1000  # lines a second
SETTLED = 3.0  # seconds after the first line that are left out: starting is not reading
LIMIT = 900.0
# Prints as trainers do, at a pace that does not drift.
PRINTS = """
import sys, time
began, n = time.monotonic(), 0
while time.monotonic() - began < {seconds}:
    n += 1
    sys.stdout.write(f"step {{n}}/100000000: loss {{2.5 + n % 7 / 100:.4f}}, lr 3.00e-04, 45.2 ms, 12,345 tok/s\\n")
    if n % 20 == 0:
        sys.stdout.flush()
        ahead = n / {rate} - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
sys.stdout.flush()
"""
# As large as it is asked for, and no hole in it: a hole would be read at the speed of memory.
WRITES = """
import os
os.makedirs("out", exist_ok=True)
block = os.urandom(1 << 24)
with open("out/model.tmp", "wb") as out:
    for _ in range({size} >> 24):
        out.write(block)
os.replace("out/model.tmp", "out/model.bin")
print("step 1: loss 1.0", flush=True)
"""
LOGS = """
import sys
line = "a line of output that says nothing of use, as many do, " * 9 + "number %09d\\n"
size = n = 0
while size < {size}:
    n += 1
    size += sys.stdout.write(line % n)
"""


class Resident:
    """Watches the largest resident memory of a machine's agent, from a thread, inside its `with`."""

    def __init__(self, machine: Rented) -> None:
        self._machine = machine
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most = 0  # bytes

    def __enter__(self) -> Resident:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            with suppress(psutil.Error):
                self.most = max(self.most, agent_of(self._machine).memory_info().rss)


def agent_of(machine: Rented) -> psutil.Process:
    """Return the agent's process; raises `psutil.NoSuchProcess` before it is there and after it has gone."""
    assert machine.process is not None
    children = psutil.Process(machine.process.pid).children()
    found = next((child for child in children if "agent" in child.cmdline()), None)
    if found is None:
        raise psutil.NoSuchProcess(machine.process.pid)
    return found


def lines(*, seconds: float) -> list[Figure]:
    """Let a script print a thousand lines a second; the agent's share of one core over it."""
    with tempfile.TemporaryDirectory() as folder:
        machine = _machine(Path(folder))
        with closing(machine):
            script = PRINTS.format(seconds=LIMIT, rate=RATE)
            machine.order({"train.py": script}, argv=["python", "train.py"], seconds=LIMIT, flush_every=5.0)
            machine.start()
            with Resident(machine) as resident:
                until(lambda: machine.series("loss"), 60)
                time.sleep(SETTLED)
                agent = agent_of(machine)
                before, began = agent.cpu_times(), time.monotonic()
                time.sleep(seconds)
                after, took = agent.cpu_times(), time.monotonic() - began
                assert machine.process is not None
                machine.process.terminate()
                machine.wait(LIMIT)
        printed = machine.log().count("\n")
    spent = after.user - before.user + after.system - before.system
    note = f"over {took:.0f} s; {printed:,} lines in the log, {resident.most / 2**20:.0f} MB resident"
    name = f"the agent's CPU at {RATE:,} lines a second"
    return [Figure(name=name, value=100 * spent / took, unit="% of a core", goal=5, note=note)]


def memory(*, checkpoint: int, log: int) -> list[Figure]:
    """Read the agent's largest resident memory with a checkpoint and with a log of so many bytes."""
    return [_checkpoint("folder", checkpoint), _checkpoint("s3", checkpoint), _log(log)]


def _checkpoint(kind: str, size: int) -> Figure:
    name = f"the agent's memory with a checkpoint of {size / 2**30:.2g} GB, {'S3' if kind == 's3' else 'a folder'}"
    with tempfile.TemporaryDirectory() as folder:
        copies = 2 if kind == "s3" else 3  # the script's, the snapshot, the store's
        free = shutil.disk_usage(folder).free
        if free < copies * size + 10 * 2**30:
            why = f"{free / 2**30:.0f} GB free in {folder}, {copies * size / 2**30 + 10:.0f} are wanted"
            return Figure(name=name, value=None, unit="MB", goal=100, note=why)
        if kind == "folder":
            return _measured(name, _machine(Path(folder)), WRITES.format(size=size), {})
        with Sink() as sink:
            machine = _machine(Path(folder), sink)
            return _measured(name, machine, WRITES.format(size=size), sink.environment)


def _log(size: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        name = f"the agent's memory with {size / 2**20:.0f} MB of output"
        return _measured(name, _machine(Path(folder)), LOGS.format(size=size), {})


def _machine(folder: Path, sink: Sink | None = None) -> Rented:
    trainer = archive.build(folder / "trainer.pyz", with_s3=sink is not None)
    if sink is None:
        return Rented(folder / "machine", trainer)
    return Rented(folder / "machine", trainer, store=sink.store(), uri=sink.uri)


def _measured(name: str, machine: Rented, script: str, env: Mapping[str, str]) -> Figure:
    with closing(machine):
        rule = CheckpointRule(path="out", upload_every=1.0, keep=2)
        machine.order(
            {"train.py": script}, argv=["python", "train.py"], checkpoints=rule, seconds=2 * LIMIT, grace=60.0
        )
        began = time.monotonic()
        machine.start(**env)
        with Resident(machine) as resident:
            code = machine.wait(LIMIT)
        took = time.monotonic() - began
    kept = sum(entry.size for manifest in machine.manifests().values() for entry in manifest.files)
    note = f"{took:.0f} s in all, {kept / 2**30:.2g} GB under manifests; exit code {code}"
    return Figure(name=name, value=resident.most / 2**20, unit="MB", goal=100, note=note)
