"""Which checkpoints the store goes on holding.

`keep` counts checkpoints of one name: the newest so many of `last.pt`, and as many of `best.pt` beside it. The newest
of every name stays. Of the others, what the script itself has removed or written over goes first: what it left lying
it may still want, as a Trainer does with its best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from trainer.filenames import roles
from trainer.units import Unit

MOST_NAMES = 200  # more names are no checkpoints' but data's: of those that were not written for longest, none is kept


def needed(
    held: Iterable[Unit], keep: int, *, apart: Iterable[str] = (), here: Callable[[Unit], bool] = lambda _: True
) -> list[Unit]:
    """Return those that stay, the oldest first; the rest has been replaced.

    `apart` are paths of which it is known that they are written over, and `here` tells whether one still lies where
    it was.
    """
    held = sorted(held, key=lambda one: one.written)
    newest = sorted(by_role(held, apart).values(), key=lambda same: same[-1].written)[-MOST_NAMES:]
    stays = {one.print for same in newest for one in _newest(same, keep, here)}
    return [one for one in held if one.print in stays]


def by_role(held: Sequence[Unit], apart: Iterable[str]) -> dict[str, list[Unit]]:
    """Return by each name those that were saved under it; one that another holds whole is left out."""
    files = {one.print: frozenset(one.print) for one in held}
    # Who holds all of one holds its first file: of that alone it is looked up.
    holders: dict[object, list[frozenset[object]]] = {of[0]: [] for of in files}
    for entries in files.values():
        for entry in entries & holders.keys():
            holders[entry].append(entries)
    whole = [one for one in held if not any(files[one.print] < other for other in holders[one.print[0]])]
    role = roles([str(path) for one in whole for path in one.saved_as], apart)
    found: dict[str, list[Unit]] = {}
    for one in whole:
        for path in one.saved_as:
            found.setdefault(role[str(path)], []).append(one)
    return found


def _newest(same: Sequence[Unit], keep: int, here: Callable[[Unit], bool]) -> list[Unit]:
    older = list(dict.fromkeys(same))[:-1]
    older.sort(key=here)  # stable: the oldest of the same kind goes first
    return [same[-1], *older[max(0, len(older) - (keep - 1)) :]]
