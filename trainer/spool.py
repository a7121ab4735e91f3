"""What a run has printed so far, on the machine's disk, for whoever says later what its lines mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_MOST = 16 * 1024 * 1024  # bytes; a run that prints more is read from the line on at which somebody says so
_AT_ONCE = 256 * 1024  # bytes that are read in one go


class Spool:
    """Keeps lines as long as there are not too many of them, and none once the disk refuses one.

    Not safe between threads: who takes lines while another reads them holds a lock around both.
    """

    def __init__(self, path: Path, *, most: int = _MOST) -> None:
        """Keep lines in a file of our own at `path`, which is written anew."""
        self._path = path
        self._most = most
        self._size = 0
        self._file: BinaryIO | None = None
        self._whole = True

    def take(self, line: str) -> None:
        """Keep one line."""
        if not self._whole:
            return
        data = line.encode("utf-8", "replace") + b"\n"
        self._size += len(data)
        try:
            if self._size > self._most:
                self.drop()
                return
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w+b")
            self._file.write(data)
        except OSError:  # a full disk must not end the thread that reads what the script prints
            self.drop()

    def read(self, at: int) -> tuple[Sequence[str], int] | None:
        """Return lines from the offset `at` on, some at a time, and the next offset; None where not all are there."""
        if not self._whole:
            return None
        if self._file is None:
            return (), at
        try:
            self._file.flush()
            with self._path.open("rb") as file:
                file.seek(at)
                data = file.read(_AT_ONCE)
        except OSError:
            return None
        end = data.rfind(b"\n") + 1
        return data[:end].decode("utf-8", "replace").split("\n")[:-1], at + end

    def drop(self) -> None:
        """Keep nothing any more."""
        self._whole = False
        try:
            if self._file is not None:
                self._file.close()
            self._path.unlink(missing_ok=True)
        except OSError:
            pass  # there is nothing else to be done about it
        self._file = None
