"""A clock that is set by hand, and a store that can be out of reach."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from trainer.parts import GaveWay
from trainer.storage import FolderStore, StoreFault


class HandClock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Moody(FolderStore):
    """A folder that fails while `away`, or after the write has happened while `lying`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.away = False
        self.lying = 0  # how many writes more will stand and yet be answered with a fault
        self.refuses = ""  # a part of a key whose writes fail
        self.fault: type[StoreFault] = StoreFault  # what they fail with
        self.tried = threading.Semaphore(0)
        self.log: list[str] = []
        self.asked: list[tuple[str, str]] = []  # of each try to put a file: its name and digest
        self.forgotten: list[str] = []
        self.before_put_file: Callable[[str], object] = lambda name: None  # what happens elsewhere meanwhile
        self.after_put_file: Callable[[], object] = lambda: None  # and after a file's last part
        self.in_parts = True  # a large file gives way between them

    def _mood(self, key: str) -> None:
        self.tried.release()
        if self.away or (self.refuses and self.refuses in key):
            raise self.fault("the store is away")

    def put(self, key: str, data: bytes) -> None:
        """Write, in this store's mood."""
        self._mood(key)
        super().put(key, data)
        self.log.append(f"put {key}")
        if self.lying:
            self.lying -= 1
            raise StoreFault("no answer came")

    def put_file(self, key: str, path: Path, digest: str = "", stop: Callable[[], bool] | None = None) -> None:
        """Write a file, in this store's mood."""
        self.asked.append((Path(key).name, digest))
        self.before_put_file(Path(key).name)
        self._mood(key)
        if self.in_parts and stop is not None and stop():
            raise GaveWay
        super().put_file(key, path, digest)
        self.after_put_file()
        self.log.append(f"put {key}")

    def forget(self, key: str) -> None:
        """Write down what is not gone on with."""
        self.forgotten.append(key)

    def size(self, key: str) -> int | None:
        """Look, in this store's mood."""
        self._mood("")
        return super().size(key)

    def delete(self, key: str) -> None:
        """Remove, and write it down."""
        super().delete(key)
        self.log.append(f"delete {key}")
