"""A store in memory that can be away: what a folder does, without the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from trainer.storage import StoreFault, checked


class Shelf:
    """Bytes under keys. `away` makes every call fail, `full` every put; `written` is told of each object put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.away = False
        self.full = False
        self.written: Callable[[str], None] = lambda key: None

    @property
    def shut(self) -> bool:
        """Whether nothing can be put now."""
        return self.away or self.full

    def _reach(self, key: str) -> str:
        if self.away:
            raise StoreFault("The store does not answer.")
        return checked(key)

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        if self.full:
            raise StoreFault("No space is left on the store's disk.")
        self.objects[self._reach(key)] = data
        self.written(key)

    def put_file(self, key: str, path: Path, digest: str = "", stop: Callable[[], bool] | None = None) -> None:
        """Store a file."""
        self.put(key, path.read_bytes())

    def forget(self, key: str) -> None:
        """Do nothing: there are no halves here."""

    def get(self, key: str, most: int = -1) -> bytes | None:
        """Return an object."""
        data = self.objects.get(self._reach(key))
        return data if data is None or most < 0 else data[:most]

    def get_file(self, key: str, path: Path) -> bool:
        """Write an object to a file."""
        data = self.get(key)
        if data is not None:
            path.write_bytes(data)
        return data is not None

    def copy(self, key: str, target: str) -> bool:
        """Store an object under another key as well."""
        data = self.get(key)
        if data is not None:
            self.put(target, data)
        return data is not None

    def size(self, key: str) -> int | None:
        """Return an object's size."""
        data = self.get(key)
        return None if data is None else len(data)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a folder."""
        self._reach(prefix or "all")
        yield from sorted(key for key in self.objects if not prefix or key.startswith(f"{prefix.rstrip('/')}/"))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.objects.pop(self._reach(key), None)
