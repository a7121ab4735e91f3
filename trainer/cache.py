"""The folder of inputs that outlives a machine: one entry for each content, fetched once, shared by who comes later.

    <digest>/data/…       the files
    <digest>/parts        which pieces stand already, while they are being fetched
    <digest>/whole        what every file looked like when all of it stood; its presence makes the entry whole
    <digest>.lock         held shared while a job reads the entry, alone while one fetches it

Locks are the kernel's, so they go with the process that held them. What somebody changed since it was fetched is
seen by its times, and fetched again. When the disk is short, entries that nobody holds go, those first that were
not used for longest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainer.origins import Wanted

SPARE = 256 * 1024 * 1024  # bytes of disk that stay free for the job's own files
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BELIEVED = "on the disk"
_WAIT = 0.5  # seconds between looks at a lock that another job holds


class Given(Exception):
    """The job was told to stop while it waited."""


class NoRoom(Exception):
    """The disk has no room for the inputs, whatever is removed."""

    def __init__(self, *, needed: int, free: int) -> None:
        super().__init__(needed, free)
        self.needed = needed
        self.free = free  # bytes, once everything that can go has gone


class Entry:
    """One content in the cache; while this object lives and is not closed, its files stay."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    def whole(self, files: Sequence[Wanted]) -> bool:
        """Return whether all of it stands as it did when it was fetched; what does not is forgotten."""
        try:
            marks = json.loads((self.folder / "whole").read_bytes())
        except (OSError, ValueError):
            return False
        changed = [file.path for file in files if _mark(self.data / file.path) != marks.get(file.path)]
        return not changed

    def spoil(self) -> None:
        """Forget that it is whole, and every file that does not look as it did; the rest need not come again."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            marks = json.loads((self.folder / "whole").read_bytes())
            for path, mark in marks.items():
                if _mark(self.data / path) != mark:
                    (self.data / path).unlink(missing_ok=True)
        (self.folder / "whole").unlink(missing_ok=True)

    def seal(self, files: Sequence[Wanted]) -> None:
        """Write down that all of it stands, on the disk and not in its cache alone."""
        Parts.believed(self)
        marks = {file.path: _mark(self.data / file.path) for file in files}
        temporary = self.folder / ".whole"
        temporary.write_text(json.dumps(marks))
        temporary.replace(self.folder / "whole")

    def share(self) -> None:
        """Let others read it too; it stays as it is while anybody does."""
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let it go."""
        os.close(self._lock)


class Cache:
    """The entries in one folder."""

    def __init__(self, root: Path, *, free: Callable[[Path], int] = lambda root: shutil.disk_usage(root).free) -> None:
        self.root = root
        self._free = free

    def opened(self, digest: str, files: Sequence[Wanted], wait: Callable[[float], bool]) -> tuple[Entry, bool]:
        """Return the entry, and whether it is whole: then it is shared, else it is this job's alone to fetch.

        `wait(seconds)` is called between looks while another job fetches it; raises `Given` when that returns True.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        folder = self.root / digest
        while True:
            lock = os.open(self._lock_of(digest), os.O_RDWR | os.O_CREAT, 0o600)
            entry = Entry(folder, lock)
            try:
                if (folder / "whole").exists() and _locked(lock, fcntl.LOCK_SH) and entry.whole(files):
                    os.utime(folder)  # it is used now
                    return entry, True
                if _locked(lock, fcntl.LOCK_EX) and not entry.whole(files):  # else somebody was faster: share it
                    entry.spoil()
                    entry.data.mkdir(parents=True, exist_ok=True)
                    return entry, False
            except BaseException:
                entry.close()
                raise
            entry.close()
            if wait(_WAIT):
                raise Given

    def make_room(self, needed: int) -> None:
        """Remove what was not used for longest until `needed` bytes fit; raises `NoRoom`, and then removed nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        short = needed + SPARE - self._free(self.root)
        if short <= 0:
            return
        with contextlib.ExitStack() as held:
            idle = list(self._idle(held))
            if sum(size for _, size in idle) < short:
                free = max(0, self._free(self.root) - SPARE) + sum(size for _, size in idle)
                raise NoRoom(needed=needed, free=free)
            for folder, size in idle:
                if short <= 0:
                    return
                (folder / "whole").unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                short -= size

    def _idle(self, held: contextlib.ExitStack) -> Iterator[tuple[Path, int]]:
        """Yield the entries that nobody uses with their sizes, the longest unused first; `held` keeps them so."""
        entries = [folder for folder in self.root.iterdir() if folder.is_dir()]
        for folder in sorted(entries, key=lambda each: each.stat().st_mtime):
            lock = os.open(self._lock_of(folder.name), os.O_RDWR | os.O_CREAT, 0o600)
            held.callback(os.close, lock)
            if _locked(lock, fcntl.LOCK_EX):
                yield folder, _size(folder)

    def _lock_of(self, digest: str) -> Path:
        return self.root / f"{digest}.lock"


class Parts:
    """Which pieces of an entry stand, kept in a file so that another start of the machine need not fetch them again."""

    def __init__(self, entry: Entry) -> None:
        """Read what an earlier start wrote; of another boot nothing is believed, since its last writes may be lost."""
        self._path = path = entry.folder / "parts"
        self._boot = boot = f"boot {_BOOT.read_text().strip() if _BOOT.exists() else ''}"
        lines = path.read_text().splitlines() if path.exists() else []
        self._done = set(lines[1:]) if lines and lines[0] in (boot, _BELIEVED) else set()

    def __enter__(self) -> Parts:
        """Begin to write down more."""
        _rewrite(self._path, [self._boot, *self._done])
        self._file = self._path.open("a")
        return self

    def __exit__(self, *failure: object) -> None:
        """Close the file."""
        self._file.close()

    @staticmethod
    def believed(entry: Entry) -> None:
        """Let what was written down be believed for ever: it is on the disk."""
        path = entry.folder / "parts"
        _rewrite(path, [_BELIEVED, *path.read_text().splitlines()[1:]])

    def stands(self, file: int, piece: int) -> bool:
        """Return whether this piece was fetched."""
        return f"{file} {piece}" in self._done

    def done(self, file: int, piece: int) -> None:
        """Write down that it was; called by one thread at a time."""
        self._file.write(f"{file} {piece}\n")
        self._file.flush()


def _rewrite(path: Path, lines: Sequence[str]) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text("".join(f"{line}\n" for line in lines))
    temporary.replace(path)


def _locked(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mark(path: Path) -> list[int] | None:
    """Return what changes with a file's content: nobody but root can set the time of its last change."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat(follow_symlinks=False).st_blocks * 512
    return size
