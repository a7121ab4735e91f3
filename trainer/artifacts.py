"""Which checkpoints go to the store, and when: found, whole, uploaded, the manifest last, the replaced ones removed.

Readers trust manifests only, so a checkpoint without one does not exist. An older checkpoint goes when the newer
one's manifest stands, and never before; which ones go, `trainer.retention` says. With a key every file is sealed
before it leaves; the manifest, which names the files and their sizes, is not. How one of them is sent is in
`trainer.sending`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trainer import naming, retention, units, wire
from trainer.deadline import boot_clock
from trainer.folder import CheckpointFolder
from trainer.parts import GaveWay
from trainer.sealed import Key
from trainer.sending import Changed, Sending, kept_as, snapshot
from trainer.settled import Cut, Settled
from trainer.storage import Store, StoreFault
from trainer.told import Told, listed
from trainer.units import Unit
from trainer.whole import State
from trainer.wire import CheckpointRule, Manifest, tame

_BACKOFF = (1.0, 2.0, 5.0, 15.0, 30.0)  # seconds before a failed upload is tried again
_LOOKS_APART = 1.0  # seconds between looks for something newer while an older one is being sent

Print = tuple[tuple[str, int, int, int], ...]


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


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A checkpoint that stands in the store: what it was on the disk, and its files' keys."""

    name: str
    found: Unit
    keys: Sequence[str]


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
        self._step_at = step_at
        self._clock = clock
        self._wall = wall
        self._copy = copy or snapshot
        self._key = key
        self._told = Told(notice)
        self._folder = CheckpointFolder(rule.path, root, self._told)
        self._known: set[tuple[str, int, int, int]] = set()  # files that need no upload
        self._settled = Settled(clock, wall)
        self._names: dict[str, None] = {}
        self._kept: list[Kept] = []
        self._last: dict[str, tuple[str, int, int, int]] = {}  # each loose file as it was uploaded last
        self._written_over: set[str] = set()
        self._unproven: dict[Print, Sequence[Path]] = {}  # what a kill may have cut off: files, or a folder
        self._begun: dict[Print, Sending] = {}  # what a fault has cut, or something newer
        self._owed: list[Path] = []  # named by the script, and not up yet
        self._began_from = ""  # the name of the checkpoint that the attempt went on from
        self._heard: dict[Path, float] = {}  # when the script has named a path last, in unix seconds
        self._pending: list[Unit] = []  # to be uploaded by this look, the newest first
        self._seen: set[Print] = set()  # by this look, which sends them or passes them over
        self._next_upload = float("-inf")
        self._failures = 0
        self._before: set[Path] = set()  # what lay there at first and is no checkpoint
        self._hurried = threading.Event()
        self._more: Callable[[], bool] = lambda: False
        self._asking = threading.Lock()  # of a file's parts each asks whether it is to give way
        self._gives_way = float("-inf"), False
        self._abandoned = threading.Event()

    def baseline(self, began_from: str = "") -> None:
        """Take what lies there now as known: the commit brought it, or the checkpoint of that name to go on from."""
        self._began_from = began_from
        self._know(self._folder.find())
        self._before = set(self._folder.others())

    @property
    def home(self) -> Path:
        """Return where a manifest's files belong, also before anything is there."""
        return self._folder.home

    def hurry(self, *cuts: Cut) -> None:
        """From now on look each time, and let an older upload give way to a newer one: the end is near.

        `cuts` are ends of the command's programs, where others may live on.
        """
        self._settled.cuts += cuts
        self._hurried.set()

    def abandon(self) -> None:
        """Begin nothing more, let go of what is under way, and remove nothing: there is no time left."""
        self._abandoned.set()

    def look(
        self,
        *,
        final: bool = False,
        killed_at: float | None = None,
        named: Sequence[Path] = (),
        heard: Mapping[Path, float] = MappingProxyType({}),
        more: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Upload what is new and whole, if it is time, the newest first; return False if something of it could not be.

        `final` when nobody writes any more, and `killed_at` (unix seconds) where whoever wrote was killed; `named` are
        paths that the script says are complete, `heard` when it said so (unix seconds; what was written since has to
        rest like others), and `more` tells whether it has named another one since.
        """
        self._more = more
        asked = []
        for path in dict.fromkeys(named):
            if found := self._folder.named(path):
                asked.append(found)
                self._heard[found.path] = heard.get(path, math.inf)
        if not final and not self._hurried.is_set() and not asked and self._clock() < self._next_upload:
            return True
        asked += [found for path in self._owed if path not in named and (found := self._folder.named(path))]
        anew = [one for one in asked if one.written > self._heard.get(one.path, math.inf)]
        asked = [one for one in asked if one not in anew]
        ready = [one for one in asked if one.state() is not State.BROKEN and not self._known.issuperset(one.print)]
        self._settled.named.update(entry for one in asked for entry in one.print)
        fresh = [found for found in self._folder.find() if found.is_new(self._known)]
        seen = {file for found in fresh for file in found.files}
        fresh += [one for one in anew if one.is_new(self._known) and not seen.issuperset(one.files)]
        settled = self._settled.of(fresh, self._known)
        ready += self._settled.at_the_end(fresh, self._known, killed_at) if final else settled
        self._seen = {one.print for one in (*asked, *(fresh if final else settled))}
        if final and self._settled.half:
            ready = self._with_doubtful(ready)
        ready = self._marked(ready)
        ready = [one for found in ready if (one := self._what_can_be_kept(found)) is not None]
        wanted = {found.print: found for found in self._wanted(ready)}
        self._know(found for found in ready if found.print not in wanted)  # they would be removed at once
        for gone in [one for one in self._begun if one not in wanted]:
            self._begun.pop(gone).drop()  # written over, or followed by enough of newer ones
        done = self._send(list(wanted.values())[::-1])
        prints = {one.print for one in asked}
        self._owed = [found.path for found in self._pending if found.print in prints]
        self._owed += [one.path for one in anew if one.is_new(self._known) and one.path not in self._owed]
        if final and done:
            self._say_if_nothing()
        return done

    def unsent(self) -> str:
        """Return which checkpoints are not in the store, and which one is, in words for people."""
        names = [found.path.name for found in list(self._pending)]
        proven = [kept for kept in list(self._kept) if kept.found.print not in self._unproven]
        safe = max(proven, key=lambda kept: kept.found.written, default=None)
        what = f"{listed(names)} could not be uploaded in time" if names else "The last look at checkpoints was cut off"
        if safe is not None:
            return f"{what}; the newest that is safe is {safe.name}."
        if self._began_from:
            return f"{what}; the newest that is safe is {self._began_from}, from which this attempt went on."
        return f"{what}; no checkpoint is safe."

    @property
    def _keep(self) -> int:
        return max(2, self._rule.keep)

    def _wanted(self, ready: Sequence[Unit]) -> list[Unit]:
        """Return those of `ready` that the store is to hold, the oldest first."""
        held = [*(kept.found for kept in self._kept), *ready]
        stays = self._stays(held)
        if len(retention.by_role(held, self._written_over)) > retention.MOST_NAMES:
            text = f"More than {retention.MOST_NAMES} names of checkpoints are under {self._rule.path}:"
            self._told.once("names", "checkpoint_names", f"{text} of those that rest for longest none is kept.")
        new = {found.print for found in ready}
        return [found for found in stays if found.print in new]

    def _stays(self, held: Sequence[Unit]) -> list[Unit]:
        """Return what the store goes on holding, the oldest first; what may be half takes nothing's place."""
        proven = [one for one in held if one.print not in self._unproven]
        doubtful = [one for one in held if one.print in self._unproven]
        stays = [
            retention.needed(some, self._keep, apart=self._written_over, here=Unit.is_there)
            for some in (proven, doubtful)
            if some
        ]
        return sorted((one for some in stays for one in some), key=lambda one: one.written)

    def _with_doubtful(self, ready: Sequence[Unit]) -> list[Unit]:
        """Return what is kept: what is whole, else what may be half; tell of what is not taken, once."""
        doubtful = self._settled.doubtful
        parts = {file for found in doubtful for file in found.files}
        others = [one for one in ready if not parts.issuperset(one.files)]
        if others or any(kept.found.print not in self._unproven for kept in self._kept):
            doubtful = {}
        kept = {file for files in doubtful.values() for file in files}
        if lost := [path.name for path in self._settled.half if path not in kept]:
            self._told.once(
                "half", "checkpoint_half", f"{listed(lost)} was not written to its end, so it is not taken."
            )
        if kept:
            text = f"{listed([file.name for file in kept])} may not have been written to its end. It is kept,"
            self._told.once("cut", "checkpoint_half", f"{text} since nothing else is, and marked as unproven.")
        return list(doubtful) or list(ready)

    def _marked(self, ready: Sequence[Unit]) -> list[Unit]:
        """Return what is to be sent, with a mark for what may be half; that is sent again when it has proved whole."""
        doubtful = {found.print: files for found, files in self._settled.doubtful.items()}
        stands = {kept.found.print for kept in self._kept if kept.found.print in self._unproven}
        ready = [one for one in ready if one.print not in stands or one.print not in doubtful]
        for one in ready:
            self._unproven.pop(one.print, None)
            if one.print in doubtful:
                self._unproven[one.print] = doubtful[one.print]
        return ready

    def _send(self, wanted: Sequence[Unit]) -> bool:
        self._pending = list(wanted)
        for found in wanted:  # each has its turn
            if self._abandoned.is_set():
                break
            try:
                if self._upload(found):
                    self._pending.remove(found)
            except GaveWay:
                break
        return not self._pending

    def _know(self, found: Iterable[Unit]) -> None:
        self._known.update(entry for one in found for entry in one.print)

    def _what_can_be_kept(self, found: Unit) -> Unit | None:
        """Pass over what no store takes under its name: trying again would hold the machine to its deadline."""
        wild = [file for file in found.files if not tame(kept_as(file, self._folder.base(), self._key))]
        if not wild:
            return found
        left = found.without(wild)
        self._know([found] if left is None else filter(None, [units.unit(wild[0], wild)]))
        text = f"{ascii(wild[0].name)[:100]} cannot be kept under that name, so its checkpoint is not taken. Rename it."
        self._told.once(str(wild[0]), "checkpoint_name", text)
        return left

    def _upload(self, found: Unit) -> bool:
        step = naming.step_of(found)
        step = self._step_at(found.written) if step is None else step
        sending = self._begun.get(found.print) or self._begin(found, step)
        if sending is None:
            return False
        try:
            sending.send(lambda: self._abandoned.is_set() or self._is_overtaken(found))
            key_id = None if self._key is None else self._key.id
            manifest = Manifest(
                name=sending.name,
                step=step,
                at=self._wall(),
                files=tuple(sending.entries),
                key=key_id,
                unproven=self._unproven_of(found),
            )
            self._store.put(self._place.manifest(sending.name), wire.to_json(manifest))
        except Changed:
            self._begun.pop(found.print).drop()
            return True  # it is being written, and a later look sees it
        except (StoreFault, OSError) as error:
            if not isinstance(error, StoreFault):  # this disk failed, not the line: nothing is worth keeping
                self._begun.pop(found.print).drop()
                if not found.is_there():
                    return True  # the script removed it, or wrote it over, before its turn came
            self._failed(error, f"{found.path.name} could not be uploaded yet: {error}")
            return False
        self._begun.pop(found.print).drop()
        self._done(found, sending, manifest)
        return True

    def _unproven_of(self, found: Unit) -> Sequence[str]:
        """Return the paths in its manifest of files that a kill may have cut off."""
        doubtful = set(self._unproven.get(found.print, ()))
        cut = [file for file in found.files if file in doubtful or found.path in doubtful - {*found.files}]
        return tuple(kept_as(file, self._folder.base(), self._key) for file in cut)

    def _begin(self, found: Unit, step: int | None) -> Sending | None:
        name = self._free_name(found.path, step)
        if name is None:
            return None
        self._begun[found.print] = sending = Sending(
            self._store,
            found,
            name=name,
            prefix=self._place.prefix(name),
            base=self._folder.base(),
            folder=self._scratch / name,
            copy=self._copy,
            key=self._key,
        )
        return sending

    def _is_overtaken(self, found: Unit) -> bool:
        """Return whether something newer is ready when there may be no time for both; asked by several threads."""
        if not self._hurried.is_set():
            return False
        if self._more():
            return True
        with self._asking:
            at, told = self._gives_way
            if self._clock() - at < _LOOKS_APART:
                return told
            newer = (one for one in self._folder.find() if one.written > found.written and one.print not in self._seen)
            told = any(one.is_new(self._known) and self._settled.may_be(one) for one in newer)
            self._gives_way = self._clock(), told
            return told

    def _done(self, found: Unit, sending: Sending, manifest: Manifest) -> None:
        self._failures = 0
        if found.print not in self._unproven:
            self._know([found])
        grew = any(set(found.print) < set(one.print) for one in self._folder.find())  # more of the same save has come
        self._next_upload = self._clock() + (0.0 if grew else self._rule.upload_every)
        for name, entry in ((entry[0], entry) for entry in found.print if found.is_loose):
            if self._last.get(name, entry) != entry:
                self._written_over.add(name)
            self._last[name] = entry
        self._names[manifest.name] = None
        self._kept.append(Kept(name=manifest.name, found=found, keys=sending.keys))
        stays = {one.print for one in self._stays([kept.found for kept in self._kept])}
        same = [kept for kept in self._kept[:-1] if kept.found.print == found.print]  # before it had proved whole
        older = [*same, *(kept for kept in self._kept if kept.found.print not in stays)]
        self._tell(
            {
                "name": manifest.name,
                "step": manifest.step,
                "manifest": self._place.manifest(manifest.name),
                "bytes": sum(entry.size for entry in manifest.files),
                "files": len(manifest.files),
                "written": found.written,
                "removed": [gone.name for gone in older],
            }
        )
        self._remove(older)

    def _free_name(self, path: Path, step: int | None) -> str | None:
        while True:
            name = naming.name_of(path, step, {**self._names, **{one.name: None for one in self._begun.values()}})
            try:
                if self._store.size(self._place.manifest(name)) is None:
                    return name
            except StoreFault as fault:
                self._failed(fault, str(fault))
                return None
            self._names[name] = None  # an earlier start of this machine wrote it

    def _remove(self, older: Sequence[Kept]) -> None:
        for gone in () if self._abandoned.is_set() else older:
            try:
                self._store.delete(self._place.manifest(gone.name))  # first: without it the rest is no checkpoint
                for key in gone.keys:
                    self._store.delete(key)
            except StoreFault:
                return  # tried again after the next upload
            self._kept.remove(gone)

    def _say_if_nothing(self) -> None:
        """Say once that files lie there and none of them was taken."""
        if self._kept or not (left := [file for file in self._folder.others() if file not in self._before]):
            return
        text = f"{listed([file.name for file in left])} under {self._rule.path} is no checkpoint by its name, and"
        text += " nothing was taken. In the script, `hourglass.save(path)` takes any file or folder."
        self._told.once("none", "no_checkpoint", text)

    def _failed(self, error: Exception, text: str) -> None:
        delay = _BACKOFF[min(self._failures, len(_BACKOFF) - 1)]
        self._failures += 1
        self._next_upload = self._clock() + delay
        self._told.once(type(error).__name__, "upload_failed", text)  # of a line that comes and goes once
