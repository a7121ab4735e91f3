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
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 10.0  # a process in uninterruptible sleep cannot die; the kernel or the provider ends it after us


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
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    frontier = [root]
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
    result = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(entry.path, "stat").read_text(errors="replace")
                # The name stands in parentheses and may hold any character, parentheses too.
                result.append((int(entry.name), int(stat.rpartition(")")[2].split()[1])))
    return result


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
