"""How far a machine is that has not spoken yet, out of what its warden saw (`jobs/warden.sh`).

The machine ships its boot log in numbered chunks; the engine's own lines about the layers of an image are in it. What
is made of them goes to the job's stage, which the card shows until the agent's first word takes its place. Nothing else
depends on it: a bot that starts again reads the log from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import structlog

from jobs import db
from jobs.clock import Clock
from jobs.db import Database
from jobs.lifecycle import JobState
from jobs.model import Attempt
from trainer import wire
from trainer.storage import Store, StoreFault

log = structlog.get_logger(__name__)

CHUNKS_A_ROUND = 4
CHUNK_LIMIT = 256 * 1024  # bytes; a pull says a line a layer and step
_LINE_LIMIT = 500
_MOST_LAYERS = 500
# What the warden says, and the stage that begins with it.
_BEGINS = (
    (re.compile(r"Z Waiting for the container engine\."), "engine"),
    (re.compile(r"Z Fetching the image "), "image"),
    (re.compile(r"Z The container runs\."), "container"),
)
_LAYER = re.compile(r"([0-9a-f]{12}): (Already exists|Pull complete|[A-Z][a-z]+ )")
_DONE = ("Already exists", "Pull complete")


class BootLog:
    """What one machine's log says so far."""

    def __init__(self) -> None:
        self.read = 0  # chunks
        self.stage = ""  # "", "boot", "engine", "image", "container"
        self._rest = b""
        self._layers: dict[str, bool] = {}  # whether each is there

    @property
    def note(self) -> str:
        """Return `3/9`, layers of the image that is being fetched; "" where nothing is known of them."""
        if self.stage != "image" or not self._layers:
            return ""
        return f"{sum(self._layers.values())}/{len(self._layers)}"

    def take(self, chunk: bytes) -> None:
        """Read what came next."""
        self.read += 1
        self.stage = self.stage or "boot"
        *lines, self._rest = (self._rest + chunk[:CHUNK_LIMIT]).split(b"\n")
        self._rest = self._rest[-_LINE_LIMIT:]
        for line in lines:
            self._line(line[:_LINE_LIMIT].decode(errors="replace"))

    def _line(self, line: str) -> None:
        for words, stage in _BEGINS:
            if words.search(line):
                self.stage = stage
                self._layers.clear()  # from a mirror they may have come halfway
        if (layer := _LAYER.match(line)) and (layer[1] in self._layers or len(self._layers) < _MOST_LAYERS):
            self._layers[layer[1]] = layer[2] in _DONE


class Boots:
    """Follows the boot logs of machines that have not spoken yet."""

    def __init__(self, *, db: Database, clock: Clock, store: Store, wake: Callable[[str], None]) -> None:
        self._db = db
        self._clock = clock
        self._store = store
        self._wake = wake
        self._logs: dict[int, BootLog] = {}  # by attempt

    def round(self, silent: Sequence[Attempt]) -> None:
        """Look at what came of these machines; whatever fails is looked at again in the next round."""
        known, self._logs = self._logs, {}
        for attempt in silent:
            boot = self._logs[attempt.id or 0] = known.get(attempt.id or 0) or BootLog()
            before = boot.stage, boot.note
            try:
                self._read(attempt, boot)
                if (boot.stage, boot.note) != before:
                    self._show(attempt, boot)
            except Exception:  # a progress that is not shown must not silence what counts; the trace is in the log
                log.exception("boot.unread", job=attempt.job_id, attempt=attempt.number)

    def _read(self, attempt: Attempt, boot: BootLog) -> None:
        for _ in range(CHUNKS_A_ROUND):
            key = wire.boot_key(attempt.job_id, attempt.number, boot.read + 1, attempt.rank)
            try:
                chunk = self._store.get(key, CHUNK_LIMIT)
            except StoreFault as fault:
                log.warning("boot.store", job=attempt.job_id, error=str(fault))
                return
            if chunk is None:
                return
            boot.take(chunk)

    def _show(self, attempt: Attempt, boot: BootLog) -> None:
        now = self._clock.now()
        with self._db.write() as tx:
            job = db.get_job(tx, attempt.job_id)
            if job.state is not JobState.PROVISIONING or job.attempt != attempt.number:
                return
            db.touch(tx, job, now, stage=boot.stage, stage_note=boot.note, stage_at=now)
        self._wake(attempt.job_id)
