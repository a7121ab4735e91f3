"""Every process below this one: finding them, taking in the orphaned, ending them all.

A process that daemonises leaves its group and its session, but not its ancestry: as subreaper (or as PID 1) we
become its parent, so a walk over the parents finds it. macOS knows no subreaper; there a daemon that asks to be
forgotten is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 10.0  # a process in uninterruptible sleep cannot die; the kernel or the provider ends it after us


class Stat(NamedTuple):
    """What the kernel says of a process in one line."""

    parent: int
    session: int
    born: int  # ticks since the boot: a number that is given again is born later
    ended: bool  # a zombie


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as it runs now; what may not be read of it is empty."""

    pid: int
    parent: int
    born: int
    program: str = ""  # the file's name: "bash", "python3.12"
    words: Sequence[str] = ()  # its command line
    reads: str = ""  # the pipe that its standard input is
    writes: frozenset[str] = frozenset()  # the pipes that its standard output and error are
    caught: int = 0  # the signals that it has handlers for, a bit each

    def catches(self, number: int) -> bool:
        """Return whether it has a handler for a signal."""
        return bool(self.caught >> (number - 1) & 1)


def adopt_orphans() -> bool:
    """Make this process the parent of whatever is orphaned below it; return whether the system can do that."""
    return os.getpid() == 1 or _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signal_me_when_parent_dies(number: int) -> bool:
    """Ask the kernel to send this process a signal when its parent ends; return whether the system can."""
    return _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)


def descendants(root: int) -> set[int]:
    """Return the process ids below `root`, without `root` itself; zombies count."""
    return _below([root], _parents())


def _below(roots: Iterable[int], parents: Iterable[tuple[int, int]]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents:
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    frontier = list(roots)
    while frontier:
        for child in children.get(frontier.pop(), ()):
            if child not in found:
                found.add(child)
                frontier.append(child)
    return found


def _parents() -> list[tuple[int, int]]:
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False)
        pairs = (line.split() for line in listing.stdout.splitlines())
        return [(int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2]
    return [(pid, stat.parent) for pid, stat in _stats()]


def _stats() -> Iterator[tuple[int, Stat]]:
    with contextlib.suppress(FileNotFoundError):  # macOS has none
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
                yield int(entry.name), stat


def _stat(pid: int) -> Stat | None:
    try:
        # The name stands in parentheses and may hold any character, parentheses too.
        told = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return Stat(int(told[1]), int(told[3]), int(told[19]), told[0] in "ZX")
    except (OSError, ValueError, IndexError):
        return None


def family(session: int) -> list[Process]:
    """Return what lives in a session, and what lives below that in others; empty where the system cannot tell."""
    every = dict(_stats())
    ours = {pid for pid, stat in every.items() if stat.session == session}
    ours |= _below(ours, [(pid, stat.parent) for pid, stat in every.items()])
    return [_process(pid, every[pid]) for pid in ours if not every[pid].ended]


def alive(pid: int, born: int) -> bool:
    """Return whether that very process still runs; a zombie does not."""
    stat = _stat(pid)
    return stat is not None and stat.born == born and not stat.ended


def _process(pid: int, stat: Stat) -> Process:
    words, caught = b"", 0
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    with contextlib.suppress(OSError, ValueError, IndexError):
        caught = int(Path(f"/proc/{pid}/status").read_text(errors="replace").split("SigCgt:")[1].split()[0], 16)
    return Process(
        pid=pid,
        parent=stat.parent,
        born=stat.born,
        program=Path(_link(pid, "exe").removesuffix(" (deleted)")).name,  # an upgrade may have replaced the file
        words=words.rstrip(b"\0").decode(errors="replace").split("\0"),
        reads=_pipe(pid, 0),
        writes=frozenset({_pipe(pid, 1), _pipe(pid, 2)} - {""}),
        caught=caught,
    )


def _link(pid: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def _pipe(pid: int, fd: int) -> str:
    target = _link(pid, f"fd/{fd}")
    return target if target.startswith("pipe:") else ""


def being_written(pid: int) -> set[tuple[int, int]]:
    """Return device and inode of each regular file that a process has open to write; empty where nothing tells."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                told = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text()
                status = entry.stat()
                if int(told.split("flags:")[1].split()[0], 8) & os.O_ACCMODE and S_ISREG(status.st_mode):
                    found.add((status.st_dev, status.st_ino))
    return found


def reap() -> dict[int, int]:
    """Collect every child that has ended; return their wait statuses by process id."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def end_all(root: int) -> set[int]:
    """Kill everything below `root`, again until nothing is left; return what would not die."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        reap()
        living = descendants(root)
        if not living or time.monotonic() > give_up:
            return living
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
