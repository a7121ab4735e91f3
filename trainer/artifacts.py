"""Checkpoints on their way to the store: found, whole, copied, hashed, uploaded, and the manifest last.

Nothing is uploaded from a file that may change under the upload: a snapshot is taken first, and the original looked
at again after it. Readers trust manifests only, so a checkpoint without one does not exist. An older checkpoint
goes when the newer one's manifest stands, and never before. With a key every file is sealed before it leaves; the
manifest, which names the files and their sizes, is not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer import units, wire
from trainer.deadline import boot_clock
from trainer.fetch import sha256
from trainer.sealed import SUFFIX, Key, seal_file
from trainer.storage import Store, StoreFault
from trainer.units import Unit
from trainer.whole import State, file_state, regular
from trainer.wire import CheckpointRule, FileEntry, Manifest, tame

QUIET = 2.0  # seconds without a change, where a format has no end to look for
_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of the two changes
_SPARE = 64 * 1024 * 1024  # bytes of disk that a snapshot leaves free
_BACKOFF = (1.0, 2.0, 5.0, 15.0, 30.0)  # seconds before a failed upload is tried again


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an attempt's checkpoints go."""

    job: str
    attempt: int
    rank: int

    def prefix(self, name: str) -> str:
        """Return the prefix of one checkpoint's files."""
        return wire.checkpoint_prefix(self.job, self.attempt, name, self.rank)

    def manifest(self, name: str) -> str:
        """Return the key of its manifest."""
        return wire.manifest_key(self.job, self.attempt, name, self.rank)


class Changed(Exception):
    """The files changed while they were being read; the next look sees them again."""


class Artifacts:
    """Looks after one run's checkpoints; `look` is called from one thread only."""

    def __init__(
        self,
        store: Store,
        place: Place,
        rule: CheckpointRule,
        *,
        root: Path,
        scratch: Path,
        tell: Callable[[Mapping[str, Any]], None],
        notice: Callable[[str, str], None],
        step_at: Callable[[float], int | None],
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], float] = time.time,
        copy: Callable[[Path, Path], Path] | None = None,
        key: Key | None = None,
    ) -> None:
        """Watch `rule.path` under `root`, and seal with `key` where there is one.

        Raises `ValueError` if that path leads out of `root`.
        """
        self._store = store
        self._place = place
        self._rule = rule
        self._scratch = scratch
        self._tell = tell
        self._notice = notice
        self._step_at = step_at
        self._clock = clock
        self._wall = wall
        self._copy = copy or snapshot
        self._key = key
        self._root = root.resolve()
        self.path = Path(os.path.normpath(self._root / rule.path))
        if Path(rule.path).is_absolute() or not self.path.is_relative_to(self._root):
            raise ValueError(f"checkpoints.path {rule.path!r} leads out of the working directory.")
        self._known: set[tuple[tuple[str, int, int, int], ...]] = set()  # what needs no upload
        self._resting: dict[tuple[tuple[str, int, int, int], ...], float] = {}  # since when unchanged
        self._names: dict[str, None] = {}
        self._kept: list[tuple[str, list[str]]] = []  # uploaded here: name and keys, the oldest first
        self._next_upload = float("-inf")
        self._failures = 0
        self._said: set[str] = set()

    def baseline(self) -> None:
        """Take what lies there now as known: the commit brought it, or the checkpoint to continue from."""
        self._known.update(found.print for found in self._find())

    def look(self, *, final: bool = False, named: Sequence[Path] = ()) -> bool:
        """Upload what is new and whole, if it is time; return False if something of it could not be.

        `final` when nobody writes any more; `named` are paths that the script says are complete.
        """
        asked = [found for path in named if (found := self._named(path))]
        if not final and not asked and self._clock() < self._next_upload:
            return True
        fresh = [found for found in self._find() if found.print not in self._known]
        self._resting = {found.print: self._resting.get(found.print, self._clock()) for found in fresh}
        ready = [found for found in fresh if self._is_ready(found, final)]
        ready += [one for one in asked if one.state() is not State.BROKEN and one.print not in self._known]
        ready = [found for found in ready if self._can_be_kept(found)]
        newest = {found.print: found for found in ready[-self._keep :]}  # older ones would be removed at once
        self._known.update(found.print for found in ready if found.print not in newest)
        results = [self._upload(found) for found in newest.values()]  # each has its turn, whatever the others do
        return all(results)

    @property
    def _keep(self) -> int:
        return max(2, self._rule.keep)

    def _find(self) -> list[Unit]:
        try:
            path = self.path.resolve()
            if path.is_relative_to(self._root):
                return units.find(path)
            self._once("path", "checkpoint_path", f"{self._rule.path} is a link that leads out; nothing is taken.")
        except units.TooMuch as error:
            self._once("much", "checkpoint_path", f"There are {error} under {self._rule.path}; nothing is taken.")
        except OSError as error:
            self._once("read", "checkpoint_path", f"{self._rule.path} cannot be read: {error.strerror}.")
        return []

    def _named(self, path: Path) -> Unit | None:
        base = self._base()
        if path.is_symlink() or not (base.is_relative_to(self._root) and path.resolve().is_relative_to(base)):
            self._once(str(path), "checkpoint_path", f"{path.name} is not under {self._rule.path}; it is not taken.")
            return None
        return units.named(path.resolve())

    def _base(self) -> Path:
        """Return what the paths in a manifest are relative to."""
        path = self.path.resolve()
        return path if path.is_dir() else path.parent

    @property
    def home(self) -> Path:
        """Return where a manifest's files belong, also before anything is there."""
        one_file = self.path.is_file() or (self.path.suffix in units.WEIGHTS and not self.path.is_dir())
        return self.path.parent if one_file else self.path

    def _is_ready(self, found: Unit, final: bool) -> bool:
        state = found.state()
        if state is not State.UNKNOWN or final:
            return state is not State.BROKEN
        return self._clock() - self._resting[found.print] >= QUIET

    def _can_be_kept(self, found: Unit) -> bool:
        """Pass over what no store takes under its name: trying again would hold the machine to its deadline."""
        names = ((file, self._kept_as(file.relative_to(self._base()).as_posix())) for file in found.files)
        wild = next((file for file, name in names if not tame(name)), None)
        if wild is None:
            return True
        self._known.add(found.print)
        text = f"{ascii(wild.name)[:100]} cannot be kept under that name, so its checkpoint is not taken. Rename it."
        self._once(str(wild), "checkpoint_name", text)
        return False

    def _upload(self, found: Unit) -> bool:
        step = units.step_in(found.path.name)
        step = self._step_at(found.written) if step is None else step
        name = self._free_name(found.path, step)
        if name is None:
            return False
        try:
            entries, keys = self._send(found, name)
            key_id = None if self._key is None else self._key.id
            manifest = Manifest(name=name, step=step, at=self._wall(), files=tuple(entries), key=key_id)
            self._store.put(self._place.manifest(name), wire.to_json(manifest))
        except Changed:
            return True  # it is being written, and a later look sees it
        except (StoreFault, OSError) as error:
            self._failed(f"{found.path.name} could not be uploaded yet: {error}")
            return False
        self._failures = 0
        self._next_upload = self._clock() + self._rule.upload_every
        self._known.add(found.print)
        self._names[name] = None
        self._kept.append((name, keys))
        older = self._kept[: -self._keep]
        self._tell(
            {
                "name": name,
                "step": step,
                "manifest": self._place.manifest(name),
                "bytes": sum(entry.size for entry in entries),
                "files": len(entries),
                "removed": [gone for gone, _ in older],
            }
        )
        self._remove(older)
        return True

    def _free_name(self, path: Path, step: int | None) -> str | None:
        while True:
            name = units.name_of(path, step, self._names)
            try:
                if self._store.size(self._place.manifest(name)) is None:
                    return name
            except StoreFault as fault:
                self._failed(str(fault))
                return None
            self._names[name] = None  # an earlier start of this machine wrote it

    def _send(self, found: Unit, name: str) -> tuple[list[FileEntry], list[str]]:
        base = self._base()
        entries, keys = [], []
        folder = self._scratch / name
        try:
            copies = [(file, self._copy(file, folder / f"{n}{file.suffix}")) for n, file in enumerate(found.files)]
            self._unchanged(found)
            if any(regular(copy) is None for _, copy in copies):
                raise Changed  # a link took the file's place for a moment: what it leads to is nobody's checkpoint
            if len(copies) == 1 and file_state(copies[0][1]) is State.BROKEN:
                raise Changed
            for file, copy in copies:
                inner = self._kept_as(file.relative_to(base).as_posix())
                key = f"{self._place.prefix(name)}/{inner}"
                kept = self._sealed(copy, folder)
                entries.append(FileEntry(path=inner, size=kept.stat().st_size, sha256=sha256(kept)))
                self._store.put_file(key, kept)
                keys.append(key)
            if any(copy == file for file, copy in copies):
                self._unchanged(found)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return entries, keys

    def _kept_as(self, inner: str) -> str:
        return inner if self._key is None else inner + SUFFIX

    def _sealed(self, copy: Path, folder: Path) -> Path:
        """Return what is uploaded of a copy; one sealed file lies on the disk at a time."""
        if self._key is None:
            return copy
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "sealed"
        seal_file(copy, target, self._key)
        return target

    @staticmethod
    def _unchanged(found: Unit) -> None:
        now = units.unit(found.path, found.files)
        if now is None or now.print != found.print:
            raise Changed

    def _remove(self, older: Sequence[tuple[str, list[str]]]) -> None:
        for entry in older:
            name, keys = entry
            try:
                self._store.delete(self._place.manifest(name))  # first: without it the rest is no checkpoint
                for key in keys:
                    self._store.delete(key)
            except StoreFault:
                return  # tried again after the next upload
            self._kept.remove(entry)

    def _failed(self, text: str) -> None:
        delay = _BACKOFF[min(self._failures, len(_BACKOFF) - 1)]
        self._failures += 1
        self._next_upload = self._clock() + delay
        if self._failures == 1:
            self._notice("upload_failed", text)

    def _once(self, key: str, code: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._notice(code, text)


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
