"""Where both sides put files: a folder, or S3 and what speaks it.

A key is a POSIX path without a leading slash and without `..`. A put is atomic: a reader sees the whole object
or none. Objects under a job's prefix are written once, but for the control file and the card's receipts.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit


class StoreFault(Exception):
    """The store did not do what was asked; the message says what to check."""


class Store(Protocol):
    """Bytes under keys. Every method raises `StoreFault` when the store itself fails."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`, replacing what was there, atomically."""

    def put_file(self, key: str, path: Path) -> None:
        """Store the file at `path`, atomically, in parts where the store has them."""

    def get(self, key: str) -> bytes | None:
        """Return the object, or None when there is none."""

    def get_file(self, key: str, path: Path) -> bool:
        """Write the object to `path` (atomically); return False when there is none."""

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None when there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key under `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""


def checked(key: str) -> str:
    """Return `key` unchanged; raise `StoreFault` when it could leave its place."""
    parts = key.split("/")
    if not key or key.startswith("/") or "\\" in key or "\0" in key or any(p in ("", ".", "..") for p in parts):
        raise StoreFault(f"{key!r} is not a key: use relative POSIX paths without '..'.")
    return key


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
            temporary.unlink(missing_ok=True)
            raise StoreFault(f"Could not write {key} under {self.root}: {error.strerror}.") from error

    def put_file(self, key: str, path: Path) -> None:
        """Copy the file beside its place and rename it."""
        target = self._path(key)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreFault(f"Could not write {key} under {self.root}: {error.strerror}.") from error

    def get(self, key: str) -> bytes | None:
        """Return the file's bytes, or None."""
        try:
            return self._path(key).read_bytes()
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
            temporary.unlink(missing_ok=True)
            raise StoreFault(f"Could not copy {key} to {path}: {error.strerror}.") from error
        return True

    def size(self, key: str) -> int | None:
        """Return the file's size, or None."""
        path = self._path(key)
        return path.stat().st_size if path.is_file() else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under `prefix`, temporary files left out."""
        base = self.root / prefix.rstrip("/") if prefix else self.root
        for path in sorted(base.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.root).as_posix()

    def delete(self, key: str) -> None:
        """Remove the file if it is there."""
        self._path(key).unlink(missing_ok=True)


def open_store(uri: str) -> Store:
    """Return the store that `uri` names: `file:///dir` or `s3://bucket/prefix`; raises `StoreFault` on others."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return FolderStore(Path(unquote(parts.path)))
    raise StoreFault(f"{uri!r} is not a store: use file:///dir or s3://bucket/prefix.")
