"""One checkpoint on its way to the store: copied, sealed, hashed, sent, and gone on with after a cut.

Nothing is sent of a file that may change meanwhile: a snapshot is taken first, and the original looked at again after
it. What a cut leaves behind (the copies, a sealed file, what already stands in the store) is kept for the next try.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from trainer import units
from trainer.fetch import sha256
from trainer.parts import GaveWay
from trainer.sealed import SUFFIX, Key, seal_file
from trainer.storage import Store
from trainer.units import Unit
from trainer.whole import State, file_state, regular
from trainer.wire import FileEntry

_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of the two changes
_SPARE = 64 * 1024 * 1024  # bytes of disk that a snapshot leaves free


class Changed(Exception):
    """The files changed while they were being read; the next look sees them again."""


class Sending:
    """Sends one unit's files under a prefix; `send` may be called again after a fault, `drop` ends it."""

    def __init__(
        self,
        store: Store,
        found: Unit,
        *,
        name: str,
        prefix: str,
        base: Path,
        folder: Path,
        copy: Callable[[Path, Path], Path],
        key: Key | None,
    ) -> None:
        """`base` is what the files' names are relative to, `folder` a place for the copies."""
        self.name = name
        self.found = found
        self.entries: list[FileEntry] = []  # what stands in the store
        self._store = store
        self._prefix = prefix
        self._base = base
        self._folder = folder
        self._copy = copy
        self._key = key
        self._copies: list[Path] = []
        self._ready: tuple[Path, FileEntry] | None = None  # the next file as it is sent, after a cut in it

    @property
    def keys(self) -> list[str]:
        """Return the keys of what stands in the store."""
        return [self._at(entry) for entry in self.entries]

    def send(self, stop: Callable[[], bool] | None = None) -> None:
        """Send what is not yet there; raises `Changed`, `StoreFault` or `OSError`, and `GaveWay` as `stop` says."""
        if not self._copies:
            self._take_copies()
        while len(self.entries) < len(self._copies):
            if stop is not None and stop():
                raise GaveWay
            self._ready = self._ready or self._prepared(len(self.entries))
            path, entry = self._ready
            self._store.put_file(self._at(entry), path, entry.sha256, stop)
            self._ready = None
            self.entries.append(entry)
        if any(copy == file for copy, file in zip(self._copies, self.found.files, strict=True)):
            self._unchanged()

    def drop(self) -> None:
        """Remove the copies, and what the store holds of a file that was cut."""
        if self._ready is not None:
            self._store.forget(self._at(self._ready[1]))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take_copies(self) -> None:
        copies = [self._copy(file, self._folder / f"{n}{file.suffix}") for n, file in enumerate(self.found.files)]
        self._unchanged()
        if any(regular(copy) is None for copy in copies):
            raise Changed  # a link took the file's place for a moment: what it leads to is nobody's checkpoint
        if len(copies) == 1 and file_state(copies[0]) is State.BROKEN:
            raise Changed
        self._copies = copies

    def _prepared(self, at: int) -> tuple[Path, FileEntry]:
        """Return the file that is sent for the copy `at`; one sealed file lies on the disk at a time."""
        path, inner = self._copies[at], kept_as(self.found.files[at], self._base, self._key)
        if self._key is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / "sealed"
            seal_file(self._copies[at], path, self._key)
        return path, FileEntry(path=inner, size=path.stat().st_size, sha256=sha256(path))

    def _at(self, entry: FileEntry) -> str:
        return f"{self._prefix}/{entry.path}"

    def _unchanged(self) -> None:
        now = units.unit(self.found.path, self.found.files)
        if now is None or now.print != self.found.print:
            raise Changed


def kept_as(file: Path, base: Path, key: Key | None) -> str:
    """Return the name under which a file is kept in its checkpoint."""
    inner = file.relative_to(base).as_posix()
    return inner if key is None else inner + SUFFIX


def snapshot(file: Path, copy: Path) -> Path:
    """Return a copy of `file` that cannot change; the file itself where the disk has no room for one."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if clone(file, copy):
        return copy
    if shutil.disk_usage(copy.parent).free < file.stat().st_size + _SPARE:
        return file
    try:
        shutil.copyfile(file, copy, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        copy.unlink(missing_ok=True)
        return file
    return copy


def clone(file: Path, copy: Path) -> bool:
    """Make `copy` share `file`'s blocks, where the file system can; return whether it could."""
    with contextlib.suppress(OSError):
        source = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            with copy.open("wb") as target:
                fcntl.ioctl(target.fileno(), _FICLONE, source)
            return True
        finally:
            os.close(source)
    return False
