"""What a job's command said, read from the end: the newest chunks of its log in the store."""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bot.facts import JobFacts
from bot.markup import clean
from jobs.errors import NotFound, StoreError
from trainer.storage import Store, StoreFault
from trainer.wire import attempt_prefix

LINES = 40  # in an answer
MOST = 1024 * 1024 * 1024  # bytes of text that are looked through; an agent keeps no more of a log
CHUNK = 8 * 1024 * 1024  # bytes that are read of one chunk; an agent's are smaller
# Chunks that are fetched side by side, for a store answers slower than we read; the SDK keeps 14 connections.
AT_ONCE = 8
_HIDDEN = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")  # letters that `clean` takes out


@dataclass(frozen=True, kw_only=True)
class Page:
    """The newest lines that were asked for, of one attempt."""

    lines: Sequence[str] = ()  # oldest first
    attempt: int | None = None  # that said them
    whole: bool = True  # False: what is older than `looked` bytes was not looked through
    looked: int = 0


def read(store: Store, facts: JobFacts, grep: str | None, node: int = 1, *, most: int = MOST) -> Page:
    """Return the newest lines of the newest attempt that said any, those that hold `grep`; raises `StoreError`.

    Of several machines those of `node`, counted from 1. After `most` bytes the search ends, and says so.
    """
    looked = 0
    try:
        for attempt in sorted({one.number for one in facts.attempts}, reverse=True):
            prefix = f"{attempt_prefix(facts.job.id, attempt, node - 1)}/log/"
            lines: list[str] = []
            for chunk in fetched(store, sorted(store.keys(prefix), reverse=True)):
                if looked >= most:
                    return Page(lines=lines, attempt=attempt if lines else None, whole=False, looked=looked)
                looked += len(chunk)
                lines = _seen(chunk, grep) + lines
                if len(lines) >= LINES:
                    break
            if lines:
                return Page(lines=lines[-LINES:], attempt=attempt, looked=looked)
    except StoreFault as error:
        raise StoreError(f"The log cannot be read right now: {error}") from error
    return Page(looked=looked)


def gathered(store: Store, job: str, attempt: int, rank: int, *, most: int = MOST) -> tuple[str, int]:
    """Put a whole log into one packed object beside its chunks; return its key and its size in bytes.

    Raises `NotFound` where there is none, and `StoreError`, also where there is more than `most` bytes, packed: the
    machine is a team's.
    """
    prefix = attempt_prefix(job, attempt, rank)
    key, size = f"{prefix}/log.txt.gz", 0
    try:
        with tempfile.TemporaryDirectory(prefix="log") as folder:
            path = Path(folder, "log")
            with path.open("wb") as file:
                for chunk in sorted(store.keys(f"{prefix}/log/")):
                    data = _packed(store, chunk)
                    # gzip's members may stand one behind another.
                    size += file.write(data if chunk.endswith(".gz") else gzip.compress(data))
                    if size > most:
                        raise StoreError(f"What lies under {prefix}/log/ in the store is longer than any log.")
            if not size:
                raise NotFound(f"`{job}` has no log in the store any more.")
            store.put_file(key, path)
    except (StoreFault, OSError) as error:
        raise StoreError(f"The log cannot be put together right now: {error}") from error
    return key, size


def fetched(store: Store, keys: Sequence[str]) -> Iterator[bytes]:
    """Yield chunks' texts in the order of their keys; raises `StoreFault`, also where a chunk is gone.

    One is fetched, then more and more at once, for most answers need only one.
    """
    width, at = 1, 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="log") as pool:
        while at < len(keys):
            some = keys[at : at + width]
            for key, data in zip(some, pool.map(lambda key: _packed(store, key), some), strict=True):
                yield unpacked(key, data)
            at, width = at + width, min(AT_ONCE, width * 2)


def _packed(store: Store, key: str) -> bytes:
    data = store.get(key, CHUNK)
    if data is None:  # it was listed: a text without it would have a hole that nobody sees
        raise StoreFault(f"{key} is no longer there.")
    return data


def unpacked(key: str, data: bytes) -> bytes:
    """Return a chunk's text, as far as it can be unpacked and its first `CHUNK` bytes: the machine is a team's."""
    if not key.endswith(".gz"):  # as it was before chunks were packed
        return data
    pieces, room = [], CHUNK
    while data and room > 0:
        member = zlib.decompressobj(wbits=31)
        try:
            pieces.append(member.decompress(data, room))
        except zlib.error:
            break
        room -= len(pieces[-1])
        data = member.unused_data
    return b"".join(pieces)


def _seen(data: bytes, grep: str | None) -> list[str]:
    text, word = data.decode(errors="replace"), (grep or "").lower()
    if word not in text.lower() and not _HIDDEN.search(text):
        return []  # most chunks of a long log: line by line they would take twenty times as long
    # A progress bar overwrites its line by carriage returns: what stands last is what was seen.
    lines = [clean(line.rsplit("\r", 1)[-1].rstrip()) for line in text.replace("\r\n", "\n").split("\n")]
    return [line for line in lines if line and word in line.lower()]
