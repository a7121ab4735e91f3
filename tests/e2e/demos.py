"""`hourglass demo` as a process, and the look for what it left: files, processes, containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

LIMIT = 300.0  # seconds; the demo promises five minutes, and gives up by itself before
LEAVES = 180.0  # seconds in which an interrupted one has cleaned up on a busy machine
PNG = b"\x89PNG\r\n"


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the demo with its temporary files under `folder`, which marks every process that comes of it.

    One that a failed test leaves is killed: it would train on beside the tests that follow.
    """
    marked = folder / "tmp"
    marked.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "demo", "--once", "--out", str(folder / "out"), *arguments],
        env={**os.environ, "TMPDIR": str(marked), "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def left(folder: Path) -> Sequence[str]:
    """Return the command lines of the processes that carry the demo's folder in words or variables."""
    marked = str(folder / "tmp")
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue  # it left while we looked, or it is the kernel's
        if any(marked in word for word in words):
            found.append(" ".join(process.cmdline()))
    return found


def nothing_left(folder: Path) -> bool:
    """Wait a moment for the last processes; what is killed is not gone at once."""
    give_up = time.monotonic() + 20
    while left(folder) and time.monotonic() < give_up:
        time.sleep(0.2)
    return left(folder) == [] and list((folder / "tmp").iterdir()) == []


def shows_a_whole_job(folder: Path, told: str) -> None:
    """Check what stands on the terminal and in the folder: thread, plots, ledger, checkpoint."""
    thread = json.loads((folder / "out/thread.json").read_text())
    assert len(thread) > 2
    assert "acme/chargpt@" in thread[0]["text"]
    plots = sorted((folder / "out").glob("plot-*.png"))
    assert plots
    assert all(plot.read_bytes().startswith(PNG) for plot in plots)
    (checkpoint,) = (folder / "out/checkpoint").glob("*.pt")
    assert checkpoint.stat().st_size > 1_000_000
    for words in ("/train acme/chargpt@", "Loss ", "The ledger", "hold", "release", "torch.load(weights_only=True)"):
        assert words in told, told
    assert "held $0.00" in told


def until(running: subprocess.Popen[str], words: str) -> str:
    """Read the terminal up to a line with these words, or to its end; return what was read."""
    assert running.stdout is not None
    told = ""
    for line in running.stdout:
        told += line
        if words in line:
            break
    return told


def containers(folder: Path) -> Sequence[str]:
    """Return the engine's containers, ended ones too, that carry the demo's folder in any of their facts."""
    listed = subprocess.run(["docker", "ps", "--all", "--quiet"], check=True, capture_output=True, text=True)
    facts = {
        one: subprocess.run(["docker", "inspect", one], capture_output=True, text=True, check=False).stdout
        for one in listed.stdout.split()
    }  # one that is removed meanwhile has none
    return [one for one, told in facts.items() if str(folder / "tmp") in told]
