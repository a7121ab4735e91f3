"""The command's output on its way to the store: in packed chunks, whole up to a bound, and with its end whatever
the length.

A script that prints without end must not fill the store: beyond the bound people are told, what comes is counted, and
its end is kept. So it is with what waits while the store is away.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from trainer.ship import DELAYS, Abandoned, Shipper
from trainer.storage import Store

CAP = 1024 * 1024 * 1024  # bytes of the beginning that are kept; packed they are a tenth or less
TAIL = 256 * 1024  # bytes of the end that are kept
CHUNK = 256 * 1024  # bytes at which a chunk is packed and goes before its time
MOST = 4 * 1024 * 1024  # bytes of one chunk: a flood goes in fewer, and whoever unpacks one knows how long it may be
BACKLOG = 16 * 1024 * 1024  # packed bytes that wait in memory while the store is away
_SLOWEST = 30.0  # seconds between chunks of a long run
_LEVEL = 1  # of packing: three times as fast as the usual one, and a log is not much longer for it
_FULL = (
    "Its output has grown past {cap} MiB. What it prints from now on is not kept in the log, but for its last "
    "{tail} KiB; progress and checkpoints go on."
)


class LogShip:
    """Takes lines from the reading thread and sends them from its own; never blocks the reader on the store."""

    def __init__(
        self,
        store: Store,
        key: Callable[[int], str],
        *,
        notice: Callable[[str, str], None],
        every: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        delays: Sequence[float] = DELAYS,
        cap: int = CAP,
        backlog: int = BACKLOG,
    ) -> None:
        self._shipper = Shipper(store, key, delays=delays)
        self._notice = notice
        self._every = every
        self._clock = clock
        self._born = clock()
        self._cap = cap
        self._backlog = backlog
        self._full = False  # and people were told
        self._open: list[bytes] = []  # what is packed next
        self._size = 0  # bytes of it
        self._packed: deque[tuple[int, bytes]] = deque()  # what waits: its length before it was packed, and after
        self._waiting = 0  # packed bytes that wait or are on their way
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
            if self._taken + len(data) > self._cap:
                self._keep_as_tail(data)
                self._tell_once()
                return
            if self._waiting + self._size + len(data) > self._backlog:
                self._keep_as_tail(data)
                return
            if self._left_out or self._tail:  # the store came back: what waited as the end goes in here
                self._append_tail()
            self._append(data)

    def close(self, timeout: float) -> bool:
        """Send what is left, for `timeout` seconds at most; return whether it all stands in the store."""
        with self._changed:
            self._append_tail()
            self._closing = True
            self._changed.notify()
        self._thread.join(max(0.0, timeout))
        self._shipper.abandon()
        return not self._thread.is_alive() and not self._packed and not self._open

    def _tell_once(self) -> None:
        if not self._full:
            self._full = True
            self._notice("log_full", _FULL.format(cap=self._cap // 1024**2, tail=TAIL // 1024))

    def _append(self, data: bytes) -> None:
        self._open.append(data)
        self._size += len(data)
        self._taken += len(data)
        if self._size >= CHUNK:
            self._pack()
            self._changed.notify()

    def _pack(self) -> None:
        """Pack what is open: gzip's members may stand one behind another."""
        packed = gzip.compress(b"".join(self._open), _LEVEL, mtime=0)
        self._packed.append((self._size, packed))
        self._waiting += len(packed)
        self._open.clear()
        self._size = 0

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
                self._changed.wait_for(lambda: self._packed or self._closing, timeout=pace)
                chunk = self._seal()
                if not chunk and self._closing:
                    return
            if chunk:
                try:
                    self._shipper.ship(chunk)
                except Abandoned:
                    return
                with self._changed:  # what is on its way takes memory, too, until it has arrived
                    self._waiting -= len(chunk)

    def _seal(self) -> bytes:
        if self._open and not self._packed:
            self._pack()
        pieces: list[bytes] = []
        size = 0
        while self._packed and (not pieces or size + self._packed[0][0] <= MOST):
            length, packed = self._packed.popleft()
            pieces.append(packed)
            size += length
        return b"".join(pieces)
