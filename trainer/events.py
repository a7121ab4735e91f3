"""The reporter: what the machine has to tell, in numbered chunks, without ever holding up the training.

Whoever tells something only appends to a list in memory. One thread seals what has gathered into a chunk and
sends it; a stage, a checkpoint, a notice or the outcome goes at once, the rest in its time. While the store is
away the list is kept bounded: the oldest metrics go first, milestones never.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from trainer import wire
from trainer.masking import Mask
from trainer.ship import DELAYS, Abandoned, Shipper
from trainer.storage import Store
from trainer.wire import EventKind

LIMIT = 5_000  # events in memory; at 10 points a second some eight minutes without a store
CHUNK = 1_000  # events in one chunk, so that a reader takes small bites
_URGENT = frozenset({EventKind.STAGE, EventKind.CHECKPOINT, EventKind.NOTICE, EventKind.OUTCOME, EventKind.GPU})
_EXPENDABLE = (EventKind.METRIC, EventKind.PROGRESS, EventKind.HEARTBEAT)  # in the order they are given up


def encode(events: Iterable[wire.Event]) -> bytes:
    """Return a chunk: one JSON object a line."""
    return b"".join(wire.to_json(event) + b"\n" for event in events)


def shed(events: Sequence[wire.Event], limit: int) -> list[wire.Event]:
    """Return `events` in order, without the oldest expendable ones, so that `limit` are left where that can be."""
    surplus = len(events) - limit
    given_up: set[int] = set()
    for kind in _EXPENDABLE:
        if surplus <= 0:
            break
        oldest = [index for index, event in enumerate(events) if event.kind is kind][:surplus]
        given_up.update(oldest)
        surplus -= len(oldest)
    return [event for index, event in enumerate(events) if index not in given_up]


class Reporter:
    """Takes events from any thread and sends them in order from its own."""

    def __init__(
        self,
        store: Store,
        key: Callable[[int], str],
        *,
        every: float = 1.0,
        wall: Callable[[], float] = time.time,
        delays: Sequence[float] = DELAYS,
        limit: int = LIMIT,
        mask: Mask | None = None,
    ) -> None:
        """Send to `store` under `key(n)`, every text of it through `mask`."""
        self._mask = mask or Mask({})
        self._shipper = Shipper(store, key, delays=delays)
        self._every = every
        self._wall = wall
        self._limit = limit
        self._events: deque[wire.Event] = deque()
        self._lost = 0
        self._urgent = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def pace(self, every: float) -> None:
        """Set the seconds between chunks that are in no hurry."""
        self._every = max(0.1, every)

    def tell(self, kind: EventKind, data: Mapping[str, Any]) -> None:
        """Take one event; never blocks on the store and never raises."""
        try:
            json.dumps(data, allow_nan=False)
        except (TypeError, ValueError) as error:
            kind, data = EventKind.NOTICE, {"code": "unreadable", "text": f"An event was left out: {error}"}
        event = wire.Event(t=self._wall(), kind=kind, data=self._mask.deep(data))
        with self._changed:
            self._events.append(event)
            if len(self._events) > self._limit:
                self._shed()
            if kind in _URGENT:
                self._urgent = True
                self._changed.notify()

    def notice(self, code: str, text: str) -> None:
        """Tell people something that they should read."""
        self.tell(EventKind.NOTICE, {"code": code, "text": text})

    def notice_each(self, code: str, text: str) -> None:
        """Tell people of one of several things of a code: of each other text they are told."""
        part = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
        self.tell(EventKind.NOTICE, {"code": code, "text": text, "part": part})

    def close(self, timeout: float) -> bool:
        """Send what is left, for `timeout` seconds at most; return whether all of it stands in the store."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(max(0.0, timeout))
        self._shipper.abandon()
        return not self._thread.is_alive() and not self._events

    def _shed(self) -> None:
        kept = shed(list(self._events), self._limit * 3 // 4)  # some room, so that not every event sheds
        self._lost += len(self._events) - len(kept)
        self._events = deque(kept)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._closing, timeout=self._every)
                batch = self._seal()
                if not batch and self._closing:
                    return
            if batch:
                try:
                    self._shipper.ship(encode(batch))
                except Abandoned:
                    with self._changed:
                        self._events.extendleft(reversed(batch))
                    return

    def _seal(self) -> list[wire.Event]:
        batch = [self._events.popleft() for _ in range(min(CHUNK, len(self._events)))]
        self._urgent = bool(self._events)
        if self._lost and batch:
            text = f"{self._lost} measurements were left out while the store could not be reached."
            batch.append(wire.Event(t=self._wall(), kind=EventKind.NOTICE, data={"code": "thinned", "text": text}))
            self._lost = 0
        return batch
