"""The command's output on its way to the store: in chunks, with a cap, and with its end kept whatever the length.

The first part of a log and its last lines are what people read. What lies between them beyond the cap is counted
and said, not kept.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from trainer.ship import DELAYS, Abandoned, Shipper
from trainer.storage import Store

CAP = 32 * 1024 * 1024  # bytes of the beginning that are kept
TAIL = 256 * 1024  # bytes of the end that are kept
CHUNK = 256 * 1024  # bytes at which a chunk goes before its time
BACKLOG = 8 * 1024 * 1024  # bytes that wait in memory while the store is away
_SLOWEST = 30.0  # seconds between chunks of a long run


class LogShip:
    """Takes lines from the reading thread and sends them from its own; never blocks the reader on the store."""

    def __init__(
        self,
        store: Store,
        key: Callable[[int], str],
        *,
        every: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        delays: Sequence[float] = DELAYS,
        cap: int = CAP,
    ) -> None:
        self._shipper = Shipper(store, key, delays=delays)
        self._every = every
        self._clock = clock
        self._born = clock()
        self._cap = cap
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes that wait
        self._taken = 0  # bytes of the beginning so far
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._left_out = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def pace(self, every: float) -> None:
        """Set the seconds between chunks at the start of a run; they grow with its length, up to 30."""
        self._every = max(0.1, every)

    def write(self, line: str) -> None:
        """Take one line without its end."""
        data = line.encode("utf-8", "replace") + b"\n"
        with self._changed:
            if self._taken + len(data) > self._cap or self._size + len(data) > BACKLOG:
                self._keep_as_tail(data)
                return
            if self._left_out or self._tail:  # the store came back: what waited as the end goes in here
                self._append_tail()
            self._append(data)
            if self._size >= CHUNK:
                self._changed.notify()

    def close(self, timeout: float) -> bool:
        """Send what is left, for `timeout` seconds at most; return whether it all stands in the store."""
        with self._changed:
            self._append_tail()
            self._closing = True
            self._changed.notify()
        self._thread.join(max(0.0, timeout))
        self._shipper.abandon()
        return not self._thread.is_alive() and not self._waiting

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._taken += len(data)

    def _keep_as_tail(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size > TAIL:
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self._left_out += len(gone)

    def _append_tail(self) -> None:
        if self._left_out:
            self._append(f"[hourglass: {self._left_out:,} bytes of output are left out here]\n".encode())
            self._left_out = 0
        while self._tail:
            self._append(self._tail.popleft())
        self._tail_size = 0

    def _run(self) -> None:
        while True:
            with self._changed:
                pace = min(_SLOWEST, max(self._every, (self._clock() - self._born) / 60))
                self._changed.wait_for(lambda: self._size >= CHUNK or self._closing, timeout=pace)
                chunk = self._seal()
                if not chunk and self._closing:
                    return
            if chunk:
                try:
                    self._shipper.ship(chunk)
                except Abandoned:
                    return

    def _seal(self) -> bytes:
        lines = []
        size = 0
        while self._waiting and size < CHUNK:
            line = self._waiting.popleft()
            lines.append(line)
            size += len(line)
        self._size -= size
        return b"".join(lines)
