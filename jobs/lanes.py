"""Work side by side, so that one provider that hangs delays nobody but itself.

Each lane runs one thing at a time. A lane that is still busy from the last pass is passed over and said so; what
it was to do is derived from the rows again next time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

# Longer than a provider's ordinary answer, shorter than the time between two passes.
PATIENCE = 20.0


class Lanes(Protocol):
    """Where the pieces of a pass run."""

    def run(self, work: Mapping[str, Callable[[], None]]) -> None:
        """Run each piece in the lane of its name; return when all are done or patience is at an end."""


class InTurn:
    """One after the other in the caller's thread; a piece that raises is logged."""

    def run(self, work: Mapping[str, Callable[[], None]]) -> None:
        """Run each piece."""
        for name, piece in work.items():
            _guarded(name, piece)


class SideBySide:
    """A thread a lane. Threads are daemons: a provider that never answers must not keep the bot from ending."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}

    def run(self, work: Mapping[str, Callable[[], None]]) -> None:
        """Start every piece whose lane is free, and wait for them together, `patience` seconds at most."""
        started = [thread for name, piece in work.items() if (thread := self._start(name, piece)) is not None]
        done = threading.Event()

        def wait() -> None:
            for thread in started:
                thread.join()
            done.set()

        if started:
            threading.Thread(target=wait, name="lanes", daemon=True).start()
            done.wait(self._patience)

    def _start(self, name: str, piece: Callable[[], None]) -> threading.Thread | None:
        with self._lock:
            busy = self._busy.get(name)
            if busy is not None and busy.is_alive():
                log.warning("lane.busy", lane=name)
                return None
            thread = threading.Thread(target=_guarded, args=(name, piece), name=f"lane-{name}", daemon=True)
            self._busy[name] = thread
            thread.start()
        return thread


def _guarded(name: str, piece: Callable[[], None]) -> None:
    try:
        piece()
    except Exception:  # a lane's mistake is its own; the trace is in the log and the next pass tries again
        log.exception("lane.failed", lane=name)
