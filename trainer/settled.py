"""What is whole of that which is new: while the script may be writing, and when nobody writes any more.

Where a format has no end to look for, and of several files that are saved together, only rest tells. After a kill
there is no rest to wait for: what was written shortly before it may be half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer import units
from trainer.filenames import roles
from trainer.units import Unit
from trainer.whole import State, file_state, put_in_place, regular

QUIET = 2.0  # seconds without a change
_DYING = 1.0  # seconds after it was ended in which a program may still write
_PATIENCE = 60.0  # seconds after which whole files no longer wait for those beside them
_PAUSE = 5.0  # seconds without a look, after which nobody knows what was there meanwhile

Known = Collection[tuple[str, int, int, int]]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The end of a program where it was, while others of the command may live on."""

    at: float  # unix seconds
    open: Collection[tuple[int, int]] | None = None  # device and inode of what it was writing, and nothing else is cut


class Settled:
    """Remembers since when new checkpoints are there and unchanged; used from one thread."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """`clock` goes only forward, `wall` is that of the files."""
        self._clock = clock
        self._wall = wall
        self._resting: dict[object, float] = {}
        self._role: Mapping[str, str] = {}  # of each path that is new: what it is saved as, over and over
        self._waiting: dict[str, float] = {}  # since when something of a role was always waited for
        self._looked = self._since = -math.inf  # the last look, and the first one that was followed without a pause
        self._together: dict[frozenset[str], float] = {}  # when a save was seen that had all of these roles, and whole
        self._last: dict[str, tuple[int, int, int]] = {}  # of each file of theirs: size, mtime, inode
        self.cuts: list[Cut] = []
        self._written_over: set[Path] = set()  # what was replaced while it was waited for
        self.named: set[tuple[str, int, int, int]] = set()  # files of which the script has said that they are complete
        self.half: list[Path] = []  # what the last look passed over as half
        self.doubtful: dict[Unit, list[Path]] = {}  # what may be half, and the files of it that may

    def of(self, fresh: Sequence[Unit], known: Known) -> list[Unit]:
        """Return those of `fresh` that are whole while the script runs."""
        now = self._clock()
        self.doubtful = {}
        self._resting = {found.print: self._resting.get(found.print, now) for found in fresh}
        self._since, self._looked = (now if now - self._looked > _PAUSE else self._since), now
        self._role = roles(str(path) for found in fresh for path in (found.path, *found.saved_as))
        # What has rested and is not whole stays as it is: what comes after it was not waited for because of it.
        coming = [one for one in fresh if now - self._resting[one.print] < QUIET or one.state() is State.WHOLE]
        self._waiting = {role: self._waiting.get(role, now) for role in (self._role[str(one.path)] for one in coming)}
        self._remember_parts(fresh, now)
        over = {found.path for found in fresh if found.path in self._written_over or self._is_over(found)}
        self._written_over, self._last = over, {entry[0]: entry[1:] for found in fresh for entry in found.print}
        return [one for found in fresh if (one := self._whole(found, now, known)) is not None]

    def at_the_end(self, fresh: Sequence[Unit], known: Known, killed_at: float | None) -> list[Unit]:
        """Return what is whole of `fresh` when nobody writes any more, or was killed since a time in unix seconds."""
        ready: list[Unit] = []
        self.half, self.doubtful = [], {}
        for found in fresh:
            broken, cut = _broken_of(found), self._cut_of(found, killed_at)
            self.half += [*broken, *cut]
            left = found.without([*broken, *cut]) if broken or cut else found
            if left is not None and left.is_new(known):
                ready.append(left)
            if cut and (doubtful := found.without(broken) if broken else found) is not None:
                self.doubtful[doubtful] = cut
        return ready

    def may_be(self, found: Unit) -> bool:
        """Return whether something is whole or has rested, by the time of its files alone."""
        state = found.state()
        if state is State.WHOLE and not found.is_loose:
            return True
        return state is not State.BROKEN and self._wall() - found.written >= QUIET

    def _whole(self, found: Unit, now: float, known: Known) -> Unit | None:
        state, waited = found.state(), now - self._waiting.get(self._role[str(found.path)], now)
        rested = now - self._resting[found.print]
        if state is State.WHOLE:  # a file that was written just now may be the first of several
            rests = not 0 <= self._wall() - found.written < QUIET
            recurs = min(waited, now - self._since) >= QUIET and not self._lacks(found)
            return found if rests or recurs or not found.is_loose else None
        if state is State.UNKNOWN and rested >= QUIET:
            return None if self._cut_of(found) else found
        if max(waited if state is State.UNKNOWN else 0.0, rested) < _PATIENCE:
            return None
        if state is State.UNKNOWN and found.path in self._written_over:  # it never rests
            if cut := [file for file in self._unnamed(found) if _has_no_end(file) and not put_in_place(file)]:
                self.doubtful[found] = cut
            return found
        left = found.without(file for file in found.files if file_state(file) is not State.WHOLE)
        if left is None or not left.is_new(known) or (rested < _PATIENCE and self._lacks(left)):
            return None
        return left

    def _remember_parts(self, fresh: Sequence[Unit], now: float) -> None:
        """Remember which roles were saved together; that nobody looked makes nothing older."""
        several = [one for one in fresh if len(one.saved_as) > 1 and _is_all_whole(one)]
        seen = {**self._together, **{self._parts(one): now for one in several}}
        self._together = {parts: at for parts, at in seen.items() if now - max(at, self._since) < _PATIENCE}

    def _lacks(self, found: Unit) -> bool:
        """Return whether a save shortly before had files of all its roles, and more."""
        own = self._parts(found)
        return any(own < parts for parts in self._together)

    def _parts(self, found: Unit) -> frozenset[str]:
        return frozenset(self._role[str(path)] for path in found.saved_as)

    def _cut_of(self, found: Unit, killed_at: float | None = None) -> list[Path]:
        """Return the files without an end to look for that a kill may have left half, or the folder."""
        unnamed = self._unnamed(found)
        if found.is_loose:
            return [file for file in unnamed if _has_no_end(file) and self._may_be_cut([file], killed_at)]
        cut = unnamed and found.state() is State.UNKNOWN and self._may_be_cut(found.files, killed_at)
        return [found.path] if cut else []

    def _unnamed(self, found: Unit) -> list[Path]:
        """Return its files but those that the script has called complete and that have not changed since."""
        unnamed = {entry[0] for entry in found.print if entry not in self.named}
        return [file for file in found.files if str(file) in unnamed]

    def _may_be_cut(self, files: Sequence[Path], killed_at: float | None) -> bool:
        stats = [status for file in files if (status := regular(file))]
        written = max((status.st_mtime for status in stats), default=-math.inf)
        if killed_at is not None and killed_at - written < QUIET:
            return True
        nodes = {(status.st_dev, status.st_ino) for status in stats}
        return any(
            -QUIET < written - cut.at < _DYING and (cut.open is None or not nodes.isdisjoint(cut.open))
            for cut in self.cuts
        )

    def _is_over(self, found: Unit) -> bool:
        """Return whether one of its files is another since the last look, and not the same one that grew."""
        for name, size, changed, inode in found.print:
            last = self._last.get(name)
            if last is not None and last != (size, changed, inode) and (inode != last[2] or size <= last[0]):
                return True
        return False


def _has_no_end(file: Path) -> bool:
    return units.is_weights(file) and file_state(file) is State.UNKNOWN


def _is_all_whole(found: Unit) -> bool:
    return found.is_loose and all(file_state(file) is State.WHOLE for file in found.saved_as)


def _broken_of(found: Unit) -> list[Path]:
    """Return the files that say themselves that something is missing, or the folder."""
    if found.is_loose:
        return [file for file in found.files if file_state(file) is State.BROKEN]
    return [found.path] if found.state() is State.BROKEN else []
