"""A folder's tree gone through in pieces, again and again from the top; folders with a crowd in them come last.

What a run writes stands beside data sets of a million files. So no folder's size keeps the walk from the others, and no
tree's size makes one piece of it longer than another.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterator
from itertools import islice
from pathlib import Path

_CROWD = 2_000  # entries of one folder, after which the others have their turn
_OPEN = 16  # folders that wait for theirs half read, each with a file descriptor


class Walk:
    """Goes through the tree under `root`; links are not followed, hidden folders not entered."""

    def __init__(self, root: Path, *, deepest: int = 64, left_out: Container[str] = (), crowd: int = _CROWD) -> None:
        """Enter no folder that is more than `deepest` below `root`, or whose name is in `left_out`."""
        self._root, self._deepest, self._left_out, self._crowd = root, deepest, left_out, crowd
        self.begin()

    def begin(self) -> None:
        """Begin at the top."""
        self._round = self._through()

    def files(self, most: int) -> Iterator[os.DirEntry[str]]:
        """Yield the files among the next `most` entries; where the tree ends before, the next call begins anew."""
        for _ in range(most):
            try:
                entry = next(self._round)
            except StopIteration:
                return self.begin()
            if entry is not None:
                yield entry
        return None

    def _through(self) -> Iterator[os.DirEntry[str] | None]:
        """Yield each file once, and None for each folder."""
        waiting = deque([(str(self._root), 0)])
        crowded: deque[tuple[Iterator[os.DirEntry[str]], int]] = deque()
        while waiting or crowded:
            if waiting:
                folder, depth = waiting.popleft()
                entries = _entries(folder)
            else:
                entries, depth = crowded.popleft()
            turn = self._crowd if len(crowded) < _OPEN else None
            read = 0
            for entry in islice(entries, turn):
                read += 1
                inner = _is_folder(entry)
                if inner and depth < self._deepest and entry.name[0] != "." and entry.name not in self._left_out:
                    waiting.append((entry.path, depth + 1))
                yield None if inner else entry
            if read == turn:
                crowded.append((entries, depth))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            yield from scan
    except OSError:  # it is gone, or not ours to read
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # it is gone
        return False
