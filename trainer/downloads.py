"""One input's files, fetched piece by piece, several at a time; memory does not grow with them.

Each piece is written where it belongs in its file and is written down when it stands, so that a cut line costs a piece
and a killed machine no more than the pieces it had in its hands.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from trainer.cache import Entry, Given, Parts
from trainer.origins import Damaged, NoInput, Origin
from trainer.storage import StoreFault, StoreRefusal

PARALLEL = 8  # pieces in the air; each holds a few MiB
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0  # seconds before a piece that failed is asked for again
_DAMAGED_TRIES = 3  # a line may spoil a piece; a store that gives the same wrong bytes three times has no others


class Download:
    """Fetches what an entry still lacks. `cancel` ends it early; `patience` is for how long a dead store is asked."""

    def __init__(
        self,
        origin: Origin,
        entry: Entry,
        *,
        cancel: threading.Event,
        patience: float,
        parallel: int = PARALLEL,
        got: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._origin = origin
        self._entry = entry
        self._cancel = cancel
        self._patience = patience
        self._parallel = parallel
        self._got = got
        self._turn = threading.Lock()
        self._failed: BaseException | None = None
        self._parts = Parts(entry)
        self._open = [0] * len(origin.files)  # pieces of each file that are still to come
        self._todo = self._pieces()

    def missing(self) -> int:
        """Return how many bytes are still to come."""
        return sum(self._length(file, piece) for file, piece in self._pieces())

    def run(self) -> None:
        """Fetch it; raises `NoInput`, `StoreFault`, `OSError` (a full disk), or `Given` after `cancel`."""
        self._prepare()
        threads = [threading.Thread(target=self._work, name="inputs", daemon=True) for _ in range(self._parallel)]
        with self._parts:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self._failed is not None:
            raise self._failed
        if self._cancel.is_set():
            raise Given
        self._entry.seal(self._origin.files)

    def _pieces(self) -> Iterator[tuple[int, int]]:
        for file, wanted in enumerate(self._origin.files):
            here = (self._entry.data / wanted.path).exists()
            for piece in range(-(-wanted.size // self._origin.part)):
                if not (here and self._parts.stands(file, piece)):
                    yield file, piece

    def _length(self, file: int, piece: int) -> int:
        return min(self._origin.part, self._origin.files[file].size - piece * self._origin.part)

    def _prepare(self) -> None:
        """Make every file in its full length, so that pieces can come in any order."""
        for file, _ in self._pieces():
            self._open[file] += 1
        self._todo = iter(list(self._pieces()))  # before the files are made: what is not there has no piece that stands
        for file, wanted in enumerate(self._origin.files):
            path = self._entry.data / wanted.path
            if self._open[file] or not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                path.chmod(0o644)
                os.truncate(path, wanted.size)
            if not self._open[file]:
                path.chmod(0o444)

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._fetch(*task)
        except BaseException as error:  # noqa: BLE001  it is raised again by `run`, in the thread that waits
            with self._turn:
                self._failed = self._failed or error

    def _next(self) -> tuple[int, int] | None:
        with self._turn:
            if self._cancel.is_set() or self._failed is not None:
                return None
            return next(self._todo, None)

    def _fetch(self, file: int, piece: int) -> None:
        path = self._entry.data / self._origin.files[file].path
        delay, spent, damaged = _FIRST_WAIT, 0.0, 0
        while True:
            try:
                self._write(path, file, piece)
                break
            except StoreRefusal as error:
                raise NoInput(str(error)) from error
            except Damaged as error:
                damaged += 1
                if damaged == _DAMAGED_TRIES:
                    raise NoInput(str(error)) from error
                continue
            except StoreFault:
                if spent >= self._patience:
                    raise
            if self._cancel.wait(delay):
                return
            spent += delay
            delay = min(_LONGEST_WAIT, delay * 2)
        with self._turn:
            self._parts.done(file, piece)
            self._open[file] -= 1
            whole = not self._open[file]
        if whole:
            with path.open("rb") as written:
                os.fsync(written.fileno())  # a machine that loses its power must not keep the word that it stands alone
            path.chmod(0o444)  # it is shared: a job that writes into it by mistake is told so
        self._got(self._length(file, piece))

    def _write(self, path: Path, file: int, piece: int) -> None:
        length = self._length(file, piece)
        at = begin = piece * self._origin.part
        with path.open("r+b", buffering=0) as target:  # a descriptor of its own: several threads write into one file
            for block in self._origin.blocks(file, piece):
                if at + len(block) > begin + length:
                    raise Damaged(f"{self._origin.files[file].path}: more came than there is of it.")
                view = memoryview(block)
                while view:
                    written = os.pwrite(target.fileno(), view, at)
                    at += written
                    view = view[written:]
        if at != begin + length:
            raise Damaged(f"{self._origin.files[file].path}: {at - begin} of {length} bytes came.")
