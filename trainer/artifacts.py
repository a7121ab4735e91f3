"""Which checkpoints go to the store, and when: found, whole, uploaded, the manifest last, the oldest removed.

Readers trust manifests only, so a checkpoint without one does not exist. An older checkpoint goes when the newer
one's manifest stands, and never before. With a key every file is sealed before it leaves; the manifest, which names
the files and their sizes, is not. How one of them is sent is in `trainer.sending`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer import units, wire
from trainer.deadline import boot_clock
from trainer.sealed import Key
from trainer.sending import Changed, Sending, kept_as, snapshot
from trainer.storage import Store, StoreFault
from trainer.units import Unit
from trainer.whole import State
from trainer.wire import CheckpointRule, Manifest, tame

QUIET = 2.0  # seconds without a change, where a format has no end to look for
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
        self._begun: dict[tuple[tuple[str, int, int, int], ...], Sending] = {}  # what a fault has cut
        self._owed: list[Path] = []  # named by the script, and not up yet
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
        asked += [found for path in self._owed if (found := self._named(path))]
        fresh = [found for found in self._find() if found.print not in self._known]
        self._resting = {found.print: self._resting.get(found.print, self._clock()) for found in fresh}
        ready = [found for found in fresh if self._is_ready(found, final)]
        ready += [one for one in asked if one.state() is not State.BROKEN and one.print not in self._known]
        ready = [found for found in ready if self._can_be_kept(found)]
        newest = {found.print: found for found in ready[-self._keep :]}  # older ones would be removed at once
        self._known.update(found.print for found in ready if found.print not in newest)
        for gone in [one for one in self._begun if one not in newest]:
            self._begun.pop(gone).drop()  # written over, or followed by enough of newer ones
        results = [(found, self._upload(found)) for found in newest.values()]  # each has its turn
        prints = {one.print for one in asked}
        self._owed = [found.path for found, done in results if not done and found.print in prints]
        return all(done for _, done in results)

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
        """Return what lies at a path that the script named; None, and a word, where that cannot be taken."""
        try:
            return self._at(path)
        except (OSError, ValueError, units.TooMuch) as error:  # ValueError: no path that any system has
            why = error.strerror if isinstance(error, OSError) else error
            shown = ascii(path.name)[1:-1][:100]
            self._once(str(path), "checkpoint_path", f"{shown}, which the script named, is not taken: {why}.")
            return None

    def _at(self, path: Path) -> Unit | None:
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
        names = ((file, kept_as(file, self._base(), self._key)) for file in found.files)
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
        sending = self._begun.get(found.print) or self._begin(found, step)
        if sending is None:
            return False
        try:
            sending.send()
            key_id = None if self._key is None else self._key.id
            manifest = Manifest(name=sending.name, step=step, at=self._wall(), files=tuple(sending.entries), key=key_id)
            self._store.put(self._place.manifest(sending.name), wire.to_json(manifest))
        except Changed:
            self._begun.pop(found.print).drop()
            return True  # it is being written, and a later look sees it
        except (StoreFault, OSError) as error:
            if not isinstance(error, StoreFault):  # this disk failed, not the line: nothing is worth keeping
                self._begun.pop(found.print).drop()
            self._failed(f"{found.path.name} could not be uploaded yet: {error}")
            return False
        self._begun.pop(found.print).drop()
        self._done(found, sending, manifest)
        return True

    def _begin(self, found: Unit, step: int | None) -> Sending | None:
        name = self._free_name(found.path, step)
        if name is None:
            return None
        self._begun[found.print] = sending = Sending(
            self._store,
            found,
            name=name,
            prefix=self._place.prefix(name),
            base=self._base(),
            folder=self._scratch / name,
            copy=self._copy,
            key=self._key,
        )
        return sending

    def _done(self, found: Unit, sending: Sending, manifest: Manifest) -> None:
        self._failures = 0
        self._next_upload = self._clock() + self._rule.upload_every
        self._known.add(found.print)
        self._names[manifest.name] = None
        self._kept.append((manifest.name, sending.keys))
        older = self._kept[: -self._keep]
        self._tell(
            {
                "name": manifest.name,
                "step": manifest.step,
                "manifest": self._place.manifest(manifest.name),
                "bytes": sum(entry.size for entry in manifest.files),
                "files": len(manifest.files),
                "removed": [gone for gone, _ in older],
            }
        )
        self._remove(older)

    def _free_name(self, path: Path, step: int | None) -> str | None:
        while True:
            name = units.name_of(path, step, {**self._names, **{one.name: None for one in self._begun.values()}})
            try:
                if self._store.size(self._place.manifest(name)) is None:
                    return name
            except StoreFault as fault:
                self._failed(str(fault))
                return None
            self._names[name] = None  # an earlier start of this machine wrote it

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
