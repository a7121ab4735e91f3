"""Every process of one practice machine: finding them, and ending them so that none is left.

Three nets, because each has a hole. The environment marker is inherited by whatever is started, but a program may
clear or overwrite its environment. The session holds what did not leave it. The ancestry holds what did, as long as
the machine's timer or its first process lives to take in orphans. What is found is stopped before it is killed: a
stopped process cannot fork its way out between the look and the kill.

A process is known by its id and its birth together, so that a number that the kernel gave to somebody else is never
killed. Not covered: a process that cleared its environment, left its session and lost every ancestor of the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from trainer.wire import ENV_INSTANCE

_PAUSE = 0.02  # between rounds: the kernel needs a moment to take a killed process apart
_LISTINGS = 1000


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One process, and no other that may get its number later."""

    pid: int
    born: str  # opaque; equal only for the same process of the same boot


def mark(pid: int) -> Mark | None:
    """Return who has this number now; None when nobody does, or what is left is a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Mark(pid=pid, born=_birth(pid) or repr(process.create_time()))
    except psutil.NoSuchProcess:
        return None
    except psutil.Error as error:
        raise OSError(f"Process {pid} cannot be looked at: {error}") from error


def _birth(pid: int) -> str | None:
    # psutil's creation time is counted from the wall clock, and moves when that is set; the kernel's ticks do not.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"


def lives(known: Mark | None) -> bool:
    """Return whether this very process still runs (stopped counts, zombies do not)."""
    return known is not None and mark(known.pid) == known


def members(
    instance: str, *, main: Mark | None, timer: Mark | None, met: Callable[[Mark], None] = lambda known: None
) -> set[Mark]:
    """Return every living process of the machine `instance`, without its timer; `met` hears of each at first sight."""
    spared = timer.pid if timer is not None else None
    main_pid = main.pid if main is not None and lives(main) else None
    ancestors = {known.pid for known in (main, timer) if known is not None and lives(known)}
    parents: dict[int, int] = {}
    found: set[int] = set()
    for pid in _everybody():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            parents[pid] = process.ppid()
            in_session = main_pid is not None and os.getsid(pid) == main_pid
            if in_session or process.environ().get(ENV_INSTANCE) == instance:
                found.add(pid)
                if pid != spared and (known := mark(pid)) is not None:
                    met(known)
    found |= _below(ancestors | found, parents)
    found -= {spared}
    return {known for pid in found if (known := mark(pid)) is not None}


def _everybody() -> Iterator[int]:
    # One listing is not enough: who forks and ends while it is walked through is never met. So it is taken again until
    # it shows nobody new; the bound is for a computer on which others never stop to start something.
    seen: set[int] = set()
    for _ in range(_LISTINGS):
        fresh = set(psutil.pids()) - seen
        if not fresh:
            return
        seen |= fresh
        yield from sorted(fresh)


def _below(roots: set[int], parents: dict[int, int]) -> set[int]:
    below: set[int] = set()
    for pid in parents:
        line = [pid]
        while (parent := parents.get(line[-1], 0)) and parent not in line:
            if parent in roots:
                below.update(line)
                break
            line.append(parent)
    return below


def end(instance: str, *, main: Mark | None, timer: Mark | None, patience: float = 10.0) -> set[Mark]:
    """Kill every process of the machine but its timer, again until none is left; return those that would not die.

    `patience` in seconds: a process in uninterruptible sleep dies only when the kernel lets it.
    """
    give_up = time.monotonic() + patience
    while True:
        left = _freeze(instance, main, timer)
        if not left:
            return left
        for known in left:
            send(known, signal.SIGKILL)
        if time.monotonic() > give_up:
            return {known for known in left if lives(known)}
        time.sleep(_PAUSE)


def _freeze(instance: str, main: Mark | None, timer: Mark | None) -> set[Mark]:
    frozen: set[Mark] = set()

    def stop(known: Mark) -> None:
        # At first sight: who forks each millisecond is gone by the time that all others were looked at.
        if known not in frozen:
            frozen.add(known)
            send(known, signal.SIGSTOP)

    before: set[Mark] | None = None
    while before != frozen:
        before = set(frozen)
        for known in members(instance, main=main, timer=timer, met=stop):
            stop(known)
    return {known for known in frozen if lives(known)}


def send(known: Mark, number: signal.Signals) -> None:
    """Send a signal to this very process; that it is gone, or is not ours to signal, is no error."""
    handle = _handle(known.pid)
    try:
        # Checked after the handle was taken: whom the handle holds and whom the check saw are then the same.
        if not lives(known):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if handle is None:
                os.kill(known.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
    finally:
        if handle is not None:
            os.close(handle)


def _handle(pid: int) -> int | None:
    # Systems without pidfd (macOS, some sandboxes) keep a window of microseconds between check and signal.
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
