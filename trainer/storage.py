"""Where both sides put files: a folder, or S3 and what speaks it (`trainer.bucket`)."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trainer.bucket import S3Store
from trainer.lent import Lent
from trainer.store import BLOCK, Listed, Store, StoreFault, StoreRefusal, checked

# All that either side needs of it; what lies behind is of the trainer alone.
__all__ = ["FolderStore", "Listed", "S3Store", "Store", "StoreFault", "StoreRefusal", "checked", "open_store"]


class FolderStore:
    """A store in a folder of this machine: for the demo, the tests and a team's own server."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def put(self, key: str, data: bytes) -> None:
        """Store `data` by writing beside it and renaming."""
        target = self._path(key)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):  # the disk that failed may fail at this too
                temporary.unlink()
            raise StoreFault(f"Could not write {key} under {self.root}: {error.strerror}.") from error

    def put_file(self, key: str, path: Path, digest: str = "", stop: Callable[[], bool] | None = None) -> None:
        """Copy the file beside its place and rename it; a copy is quick, so none is gone on with."""
        target = self._path(key)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):  # the disk that failed may fail at this too
                temporary.unlink()
            raise StoreFault(f"Could not write {key} under {self.root}: {error.strerror}.") from error

    def forget(self, key: str) -> None:
        """Do nothing: a folder has no halves."""

    def get(self, key: str, most: int = -1) -> bytes | None:
        """Return the file's (first) bytes, or None."""
        try:
            with self._path(key).open("rb") as file:
                return file.read(most)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise StoreFault(f"Could not read {key} under {self.root}: {error.strerror}.") from error

    def get_file(self, key: str, path: Path) -> bool:
        """Copy the file to `path`; return False when there is none."""
        source = self._path(key)
        if not source.is_file():
            return False
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, temporary)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):  # the disk that failed may fail at this too
                temporary.unlink()
            raise StoreFault(f"Could not copy {key} to {path}: {error.strerror}.") from error
        return True

    def copy(self, key: str, target: str) -> bool:
        """Copy the file; return False when there is none."""
        source, _ = self._path(key), self._path(target)
        if not source.is_file():
            return False
        self.put_file(target, source)
        return True

    def blocks(self, key: str, *, start: int = 0, length: int | None = None, etag: str = "") -> Iterator[bytes]:
        """Yield the file's bytes; a folder marks none, so `etag` is not looked at."""
        left = length
        try:
            with self._path(key).open("rb") as file:
                file.seek(start)
                while left != 0 and (block := file.read(BLOCK if left is None else min(BLOCK, left))):
                    left = None if left is None else left - len(block)
                    yield block
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise StoreRefusal(f"There is no {key} under {self.root}.") from error
        except OSError as error:
            raise StoreFault(f"Could not read {key} under {self.root}: {error.strerror}.") from error

    def size(self, key: str) -> int | None:
        """Return the file's size, or None."""
        path = self._path(key)
        try:
            return path.stat().st_size if path.is_file() else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFault(f"Could not look at {key} under {self.root}: {error.strerror}.") from error

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under `prefix`, temporary files left out."""
        base = self.root / checked(prefix.rstrip("/")) if prefix else self.root
        for path in sorted(base.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.root).as_posix()

    def delete(self, key: str) -> None:
        """Remove the file if it is there."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StoreFault(f"Could not remove {key} under {self.root}: {error.strerror}.") from error


def open_store(uri: str, env: Mapping[str, str] | None = None, lent: Lent | None = None) -> Store:
    """Return the store that `uri` names: `file:///dir` or `s3://bucket/prefix`; raises `StoreFault` on others.

    `env` is where a rented machine finds credentials of its own, `lent` those of another store (see `S3Store`).
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, unquote(parts.path), env=env, lent=lent)
    raise StoreFault(f"{uri!r} is not a store: use file:///dir or s3://bucket/prefix.")
