"""What a store is to those who use it: bytes under keys, and how it says that it failed.

A key is a POSIX path without a leading slash and without `..`. A put is atomic: a reader sees the whole object
or none. Objects under a job's prefix are written once, but for the control file and the card's receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BLOCK = 1024 * 1024  # bytes that are read of a stream at a time


class StoreFault(Exception):
    """The store did not do what was asked; the message says what to check."""


class StoreRefusal(StoreFault):
    """The store answered, and its answer is no: asking again will not help."""


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it."""

    key: str
    size: int  # bytes
    etag: str  # S3's own mark of these bytes; another means that they were replaced


class Store(Protocol):
    """Bytes under keys. Every method raises `StoreFault` when the store itself fails."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`, replacing what was there, atomically."""

    def put_file(self, key: str, path: Path, digest: str = "", stop: Callable[[], bool] | None = None) -> None:
        """Store the file at `path`, atomically, in parts where the store has them.

        With the `digest` of its bytes, a next try after a fault goes on with the parts that arrived. `stop` is asked
        between parts, from several threads; where it says so, `GaveWay` is raised.
        """

    def forget(self, key: str) -> None:
        """Drop what arrived of a file that is not gone on with; never raises."""

    def get(self, key: str, most: int = -1) -> bytes | None:
        """Return the object, its first `most` bytes where that is not negative, or None when there is none."""

    def get_file(self, key: str, path: Path) -> bool:
        """Write the object to `path` (atomically); return False when there is none."""

    def copy(self, key: str, target: str) -> bool:
        """Store the object under `target` as well, replacing what was there; return False when there is none."""

    def blocks(self, key: str, *, start: int = 0, length: int | None = None, etag: str = "") -> Iterator[bytes]:
        """Yield the object's bytes from `start`, `length` of them where that is said, in small pieces.

        Raises `StoreRefusal` when there is none, or where it is another than the one that `etag` marks.
        """

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None when there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key in the folder `prefix` names, however deep, sorted; "" is the whole store."""

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""


def checked(key: str) -> str:
    """Return `key` unchanged; raise `StoreFault` when it could leave its place."""
    parts = key.split("/")
    if not key or key.startswith("/") or "\\" in key or "\0" in key or any(p in ("", ".", "..") for p in parts):
        raise StoreFault(f"{key!r} is not a key: use relative POSIX paths without '..'.")
    if any("\ud800" <= letter <= "\udfff" for letter in key):  # how Python carries a file name that is no UTF-8
        raise StoreFault(f"{key!a} is not a key: its name is no UTF-8.")
    return key
