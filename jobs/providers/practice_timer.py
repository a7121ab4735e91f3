"""The practice machine's own timer: it starts the machine, ends it at the deadline, and needs nobody for that.

A small process in a session of its own, apart from the bot and from the machine. It is the parent of the machine's
first process and takes in every orphan below it, so it outlives a killed bot, and no daemon of the team's escapes it.
Its files lie in the machine's folder:

    machine.json   the order, written by the provider before this starts; `deadline` in it may move later
    started.json   who the timer and the first process are
    ended.json     when nothing of the machine lived any more; written last, by whoever saw that
    scratch/       home, temporary files and working directory; removed at the end, as a rented machine's disk is
    console.txt    what the first process wrote

    python -m jobs.providers.practice_timer FOLDER < order

The order (`{"argv": [...], "env": {...}}`) comes through standard input, because secrets' values are in it and nothing
of it may lie on the disk or stand in a process list. Leaves with 0 once the machine runs, with 1 and a line on standard
error when it could not be started, and with 3 when a timer has this folder already.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import psutil

from jobs.providers.processes import Mark, end, mark

MACHINE = "machine.json"
STARTED = "started.json"
ENDED = "ended.json"
SCRATCH = "scratch"
LOCK = "timer.lock"

EXIT_STARTED = 0
EXIT_FAILED = 1
EXIT_TAKEN = 3

_TICK = 0.5  # seconds between looks at a deadline that may have moved
_PR_SET_CHILD_SUBREAPER = 36
# Linux alone has a clock that counts through suspension; elsewhere the monotonic one is the nearest thing.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a reader, and a crash, sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(content, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return what `write` wrote, or None when there is no such file; raises `OSError` and `ValueError`."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object.")
    return content


class Deadline:
    """The deadline in `machine.json`, on a clock that setting the wall clock does not move."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MACHINE
        self._at = self._announced()
        self._ends = time.clock_gettime(_CLOCK) + (self._at - time.time())

    def _announced(self) -> float:
        return float((read(self._path) or {})["deadline"])

    def left(self) -> float:
        """Return the seconds that are left; what cannot be read leaves the deadline where it was."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            at = self._announced()
            self._ends += at - self._at
            self._at = at
        return self._ends - time.clock_gettime(_CLOCK)


class Timer:
    """The loop around one machine."""

    def __init__(self, folder: Path, order: Mapping[str, Any]) -> None:
        self._folder = folder
        self._instance = folder.name
        self._deadline = Deadline(folder)
        self._wake, writer = os.pipe()
        for fd in (self._wake, writer):
            os.set_blocking(fd, False)
        # Handlers and not SIG_IGN, which the machine's processes would inherit. A timer ends only with its machine.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer)
        self._main = self._start(order)

    def _start(self, order: Mapping[str, Any]) -> Mark | None:
        scratch = self._folder / SCRATCH
        scratch.mkdir(mode=0o700, exist_ok=True)
        with (self._folder / "console.txt").open("ab") as console:
            self._process = subprocess.Popen(
                order["argv"],
                env=order["env"],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        main = mark(self._process.pid)
        timer = mark(os.getpid())
        write(self._folder / STARTED, {"at": time.time(), "main": _plain(main), "timer": _plain(timer)})
        return main

    def watch(self) -> None:
        """Stay until the first process ends or the deadline passes; then end what is left, and write it down."""
        while self._process.poll() is None and (left := self._deadline.left()) > 0:
            ready, _, _ = select.select([self._wake], [], [], min(_TICK, left))
            if ready:
                os.read(self._wake, 4096)
            self._reap()
        me = mark(os.getpid())
        while end(self._instance, main=self._main, timer=me):
            time.sleep(_TICK)
            self._reap()
        finish(self._folder, time.time())

    def _reap(self) -> None:
        # The first process is Popen's to collect; everybody else is an orphan that was taken in.
        for child in psutil.Process().children():
            if child.pid != self._process.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)


def _plain(known: Mark | None) -> dict[str, Any] | None:
    return {"pid": known.pid, "born": known.born} if known is not None else None


def finish(folder: Path, at: float) -> None:
    """Write down that nothing of the machine lives, unless that stands already, and remove its disk."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    if not (folder / ENDED).exists():
        write(folder / ENDED, {"at": at})


def main(argv: list[str]) -> int:
    """Start the machine, let the caller go, and watch; return the caller's exit code."""
    folder = Path(argv[1])
    order = json.load(sys.stdin)
    told, tell = os.pipe()
    if os.fork() == 0:
        os.close(told)
        _watch_over(folder, order, tell)
    os.close(tell)
    with os.fdopen(told) as answer:
        word, _, text = answer.read().strip().partition(" ")
    if word == "started":
        return EXIT_STARTED
    sys.stderr.write(text or "The timer died before the machine was started.")
    return EXIT_TAKEN if word == "taken" else EXIT_FAILED


def _watch_over(folder: Path, order: Mapping[str, Any], tell: int) -> NoReturn:
    """Run as the daemon: whatever happens, this process ends here and never returns into the caller's code."""
    code = EXIT_FAILED
    answer = os.fdopen(tell, "w")  # closed once it runs: the caller reads to the end
    try:
        os.setsid()
        _detach()
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            answer.write("taken A timer has this machine already.")
            answer.close()
            os._exit(EXIT_TAKEN)
        if (folder / ENDED).exists():
            raise RuntimeError("Its end was asked for before it began.")
        try:
            timer = Timer(folder, order)
            answer.write("started")
            answer.close()
            timer.watch()
            code = EXIT_STARTED
        finally:
            # After an error nobody would watch what was started: it ends here. After a regular end this finds nothing.
            end(folder.name, main=None, timer=mark(os.getpid()))
    except Exception as error:  # noqa: BLE001  # the last frame of a daemon: there is nobody to raise to but the pipe
        with contextlib.suppress(OSError, ValueError):
            answer.write(f"failed {error}")
            answer.close()
    finally:
        os._exit(code)


def _detach() -> None:
    # The caller reads our standard error to its end: a daemon that keeps it open would keep the caller.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    os.close(nowhere)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
