"""Threads that work on jobs as soon as somebody wakes them: each job by one thread at a time, nobody polling.

A job that is woken while it is being worked on is worked on once more afterwards, since what woke it may have
come too late for the first look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from structlog.contextvars import bound_contextvars

log = structlog.get_logger(__name__)


class Crew:
    """`size` daemon threads that call `work(name)` for each name they are given."""

    def __init__(self, work: Callable[[str], None], size: int) -> None:
        self._work = work
        self._size = size
        self._changed = threading.Condition()
        self._waiting: dict[str, None] = {}  # in order
        self._running: set[str] = set()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, name=f"crew-{number}", daemon=True) for number in range(self._size)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, name: str) -> None:
        """Have `name` worked on, once however often it is given before its turn."""
        with self._changed:
            self._waiting[name] = None
            self._changed.notify()

    def stop(self, patience: float) -> bool:
        """Let what runs come to its end, `patience` seconds at most; return whether it did."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            log.warning("crew.left_behind", threads=left, working_on=sorted(self._running))
        return not left

    def _run(self) -> None:
        while (name := self._take()) is not None:
            try:
                with bound_contextvars(job=name):
                    self._work(name)
            except Exception:  # one job's trouble must not cost the others a thread; the trace is in the log
                log.exception("crew.broke", job=name)
            finally:
                with self._changed:
                    self._running.discard(name)
                    self._changed.notify_all()

    def _take(self) -> str | None:
        with self._changed:
            while not self._stopping:
                free = next((name for name in self._waiting if name not in self._running), None)
                if free is not None:
                    del self._waiting[free]
                    self._running.add(free)
                    return free
                self._changed.wait()
        return None
