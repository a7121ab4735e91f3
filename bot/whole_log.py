"""A whole log as one text whose length is known before its first byte is sent.

Said beforehand, the length makes a text that was cut off a failed download, behind whatever proxy: of an answer
without one, a proxy that speaks HTTP/1.0 takes the end of the connection for the end of the text. And a download that
failed can be gone on with from where it stopped. What it costs is that a log's chunks are read twice, the first time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.logbook import fetched
from trainer.storage import Store, StoreFault

_KNOWN = 100_000  # chunks whose lengths are remembered, some megabytes; a day's log has three thousand
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class WholeLog:
    """One log as it stood when it was looked for: it grows while its job runs."""

    chunks: tuple[tuple[str, int], ...]  # keys, in the order of the text, and the bytes of text in each

    @property
    def length(self) -> int:
        """Return how many bytes of text there are."""
        return sum(length for _, length in self.chunks)

    @property
    def etag(self) -> str:
        """Return HTTP's mark of just this text: chunks never change."""
        return f'"{hashlib.sha256(repr(self.chunks).encode()).hexdigest()[:32]}"'


class WholeLogs:
    """The whole logs of one store; for use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lengths: dict[str, int] = {}

    def find(self, prefix: str) -> WholeLog | None:
        """Return the log whose chunks lie under `prefix`, None where there are none; raises `StoreFault`."""
        keys, known = sorted(self._store.keys(prefix)), self._lengths
        new = [key for key in keys if key not in known]
        lengths = {key: len(text) for key, text in zip(new, fetched(self._store, new), strict=True)}
        lengths.update((key, known[key]) for key in keys if key not in lengths)
        # Replaced, never changed: another thread may look into the one that it took.
        self._lengths = lengths if len(known) + len(new) > _KNOWN else known | lengths
        return WholeLog(chunks=tuple((key, lengths[key]) for key in keys)) if keys else None

    def text(self, log: WholeLog, start: int, end: int) -> Iterator[bytes]:
        """Yield the text's bytes from `start` to before `end`; raises `StoreFault` where they are not all there."""
        wanted, at = [], 0
        for key, length in log.chunks:
            if at < end and at + length > start:
                wanted.append((key, at, length))
            at += length
        for (key, at, length), text in zip(wanted, fetched(self._store, [key for key, _, _ in wanted]), strict=True):
            if len(text) != length:
                raise StoreFault(f"{key} was changed while it was read.")
            yield text[max(0, start - at) : end - at]


def asked(header: str, length: int) -> tuple[int, int] | None:
    """Return the start and the end of what a `Range` header asks of a text, None where it is all of it.

    Several ranges, and what is no range, ask for all, as HTTP allows. Raises `ValueError` where there is nothing in it.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, length - int(last))
    end = min(length, int(last) + 1) if first and last else length
    if start >= end:
        raise ValueError(header)
    return start, end
