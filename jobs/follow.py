"""What the machines wrote, applied to the rows: the next chunk of each by its number, never a listing.

A chunk's effects and the cursor that says it was applied are one transaction, so that a crash between two chunks
neither loses nor repeats anything; chunks of several machines share one, since each commit waits for the disk. A chunk
that makes no sense is passed over and counted; it never stops the ones behind it, nor those it shared with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog
from sqlmodel import Session
from structlog.contextvars import bound_contextvars

from jobs import charts, effects, glances, statements, telemetry
from jobs.bootlog import Boots
from jobs.charts import Chart
from jobs.clock import Clock
from jobs.db import Database
from jobs.effects import Proven
from jobs.errors import HourglassError, NotWritten
from jobs.model import Attempt
from trainer import wire
from trainer.storage import Store, StoreFault

log = structlog.get_logger(__name__)

# A machine that wrote a flood while nobody looked is caught up with over several rounds, others in between.
CHUNKS_A_ROUND = 20
CHUNK_LIMIT = 8 * 1024 * 1024  # bytes; the agent writes far less
MANIFEST_LIMIT = 4 * 1024 * 1024
# Of one transaction: so few and so small that a command never waits long for its turn to be written.
BATCH = 32
BATCH_BYTES = 256 * 1024


@dataclass(kw_only=True)
class _Speaker:
    """A machine that is listened to."""

    attempt: Attempt
    heard: int  # the last chunk that was applied, by whomever
    applied: int = 0  # how many were by us


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """What a machine wrote next, read."""

    speaker: _Speaker
    number: int
    size: int  # bytes
    tidings: telemetry.Tidings
    proven: Sequence[Proven]


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """A chart, and the chunk up to which it is drawn."""

    cursor: int
    chart: Chart


class Follow:
    """Reads what machines write. `wake(job)` is called after a commit that somebody may wait for."""

    def __init__(self, *, db: Database, clock: Clock, store: Store, wake: Callable[[str], None]) -> None:
        self._db = db
        self._clock = clock
        self._store = store
        self._wake = wake
        self._charts: dict[int, _Drawn] = {}  # by attempt
        self._boots = Boots(db=db, clock=clock, store=store, wake=wake)

    def round(self) -> int:
        """Apply what is new of every machine that may stand; return how many chunks that were."""
        with self._db.read() as tx:
            speakers = [_Speaker(attempt=attempt, heard=attempt.cursor) for attempt in glances.speakers(tx)]
        self._forget_all_but({speaker.attempt.id for speaker in speakers})
        waiting = speakers
        for _ in range(CHUNKS_A_ROUND):  # the next chunk of each, then the one after that
            waiting = [chunk.speaker for batch in self._batches(waiting) for chunk in self._applied(batch)]
        self._boots.round([each.attempt for each in speakers if each.heard == 0 and each.attempt.rank == 0])
        return sum(speaker.applied for speaker in speakers)

    def drain(self, attempt: Attempt) -> int:
        """Apply everything that a machine left behind; raises `StoreFault` when the store cannot be read."""
        speaker = _Speaker(attempt=attempt, heard=attempt.cursor)
        while (chunk := self._next(speaker)) is not None:
            self._apply_alone(chunk)
        return speaker.applied

    # ------------------------------------------------------------ reading

    def _batches(self, waiting: Sequence[_Speaker]) -> Iterator[list[_Chunk]]:
        """Yield what there is to apply, as many chunks together as may share a transaction."""
        batch: list[_Chunk] = []
        for speaker in waiting:
            chunk = self._listened(speaker)
            if chunk is None:
                continue
            batch.append(chunk)
            if len(batch) == BATCH or sum(each.size for each in batch) > BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _listened(self, speaker: _Speaker) -> _Chunk | None:
        """Return a machine's next chunk; one machine's words must never silence the others."""
        with _named(speaker):
            try:
                return self._next(speaker)
            except StoreFault as fault:
                log.warning("follow.store", error=str(fault))
            except Exception:  # the trace is in the log
                log.exception("follow.failed")
        return None

    def _next(self, speaker: _Speaker) -> _Chunk | None:
        attempt, number = speaker.attempt, speaker.heard + 1
        key = wire.event_key(attempt.job_id, attempt.number, number, attempt.rank)
        data = self._store.get(key, CHUNK_LIMIT + 1)
        if data is None:
            return None
        if len(data) > CHUNK_LIMIT:
            log.warning("follow.too_long", key=key, most=CHUNK_LIMIT)
            data = b""
        try:
            return self._chunk(speaker, number, data)
        except StoreFault:
            raise
        except Exception:  # it would break each round, and hide all that comes behind it; the trace is in the log
            log.exception("follow.passed_over", job=attempt.job_id, attempt=attempt.number, chunk=number)
            return self._chunk(speaker, number, b"")

    def _chunk(self, speaker: _Speaker, number: int, data: bytes) -> _Chunk:
        tidings = telemetry.digest(data, self._clock.now())
        attempt = speaker.attempt
        if tidings.garbage:
            log.warning("follow.garbage", job=attempt.job_id, attempt=attempt.number, chunk=number, n=tidings.garbage)
        proven = [found for saved in tidings.saved if (found := self._prove(attempt, saved)) is not None]
        return _Chunk(speaker=speaker, number=number, size=len(data), tidings=tidings, proven=proven)

    # ------------------------------------------------------------ applying

    def _applied(self, batch: list[_Chunk]) -> list[_Chunk]:
        """Apply chunks together, or each alone where one of them breaks; return those of machines to go on with."""
        try:
            self._apply(batch)
        except NotWritten as error:
            log.warning("follow.not_written", chunks=len(batch), error=str(error))
            return []  # passing: they are applied in the next round
        except Exception:  # noqa: BLE001  whose fault it is comes out one by one, with a trace in the log
            return [chunk for chunk in batch if self._survived(chunk)]
        return batch

    def _survived(self, chunk: _Chunk) -> bool:
        with _named(chunk.speaker):
            try:
                self._apply_alone(chunk)
            except Exception:  # as above: the others go on
                log.exception("follow.failed")
                return False
        return True

    def _apply_alone(self, chunk: _Chunk) -> None:
        try:
            self._apply([chunk])
        except HourglassError:
            raise  # passing: it is applied in the next round
        except Exception:  # as above: nothing that comes behind it is hidden
            attempt = chunk.speaker.attempt
            log.exception("follow.passed_over", job=attempt.job_id, attempt=attempt.number, chunk=chunk.number)
            silent = telemetry.digest(b"", self._clock.now())
            self._apply([dataclasses.replace(chunk, tidings=silent, proven=())])

    def _apply(self, batch: Sequence[_Chunk]) -> None:
        """Apply chunks in one transaction, each with its cursor, and say how far each machine is heard now.

        A chunk is passed by when another hand was faster, which may have stopped short of the end.
        """
        now = self._clock.now()
        news: list[str] = []
        drawn: dict[int, _Drawn] = {}
        with self._db.write() as tx:
            rows = glances.with_jobs(tx, [_id(chunk) for chunk in batch])
            cursors: dict[int, int] = {}
            for chunk in batch:
                row, job = rows[_id(chunk)]
                cursors[_id(chunk)] = row.cursor
                if row.cursor != chunk.number - 1:
                    continue
                chart = self._chart(tx, row)
                if effects.apply(tx, job, row, chart, now, chunk.tidings, chunk.proven):
                    news.append(job.id)
                cursors[_id(chunk)] = chunk.number
                drawn[_id(chunk)] = _Drawn(cursor=chunk.number, chart=chart)
            statements.move_cursors(tx, {each: done.cursor for each, done in drawn.items()})
        self._charts.update(drawn)
        for chunk in batch:
            chunk.speaker.heard = cursors[_id(chunk)]
            chunk.speaker.applied += _id(chunk) in drawn
        for job_id in news:
            self._wake(job_id)

    def _chart(self, tx: Session, row: Attempt) -> Chart:
        """Return the curves as they are at the row's cursor, as they are remembered or from their points."""
        known = self._charts.pop(row.id or 0, None)  # it changes with a transaction that may come to nothing
        if known is not None and known.cursor == row.cursor:
            return known.chart
        if row.rank != 0 or (row.number == 1 and row.cursor == 0):
            return Chart()  # the first node draws for all of them
        return charts.read(tx, row.job_id, row.number)

    def _forget_all_but(self, speaking: Collection[int | None]) -> None:
        for attempt_id in set(self._charts) - set(speaking):
            self._charts.pop(attempt_id, None)

    def _prove(self, attempt: Attempt, saved: telemetry.Saved) -> Proven | None:
        """Return the checkpoint with its files, read from its manifest; None when there is no whole one."""
        if saved.manifest != wire.manifest_key(attempt.job_id, attempt.number, saved.name, attempt.rank):
            log.warning("follow.foreign_manifest", job=attempt.job_id, key=saved.manifest)
            return None
        try:
            size = self._store.size(saved.manifest)
            data = None if size is None or size > MANIFEST_LIMIT else self._store.get(saved.manifest)
            if data is None:
                return None
            files = telemetry.files(wire.from_json(wire.Manifest, data))
        except (StoreFault, ValueError, RecursionError) as error:
            log.warning("follow.bad_manifest", job=attempt.job_id, key=saved.manifest, error=str(error))
            return None
        return Proven(saved=saved, files=files, bytes=sum(file["size"] for file in files))


def _id(chunk: _Chunk) -> int:
    return chunk.speaker.attempt.id or 0


def _named(speaker: _Speaker) -> AbstractContextManager[None]:
    return bound_contextvars(job=speaker.attempt.job_id, attempt=speaker.attempt.number)
