"""Exactly one commit as one archive: the same commit makes the same bytes, and nothing in it reaches outside.

Written from git's own objects, not by `git archive`, which leaves out and rewrites files where the repository's
attributes say so. What cannot be carried faithfully is refused by name: pointers to Git LFS files, links that
leave the tree, and paths that no honest tree holds. Pure but for `write`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import IO, Final

from jobs.errors import BadSource

LFS_LARGEST: Final = 1024  # bytes; a pointer is some 130
_LFS_MARK: Final = b"version https://git-lfs.github.com/spec/"
_MOST_LINKS: Final = 40  # followed one after another, as the kernel does


class Mode(StrEnum):
    """What git keeps of a file's mode."""

    FILE = "100644"
    GROUP_FILE = "100664"  # written by old tools, read as FILE
    PROGRAM = "100755"
    LINK = "120000"
    MODULE = "160000"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of the commit."""

    path: str  # POSIX, from the root of the archive
    mode: Mode
    sha: str  # of the blob; of the commit where it is a submodule
    size: int  # bytes
    mirror: Path  # whose objects hold it


def parse_tree(listing: bytes, *, mirror: Path) -> list[Entry]:
    """Read `git ls-tree -r -l -z`; raises `BadSource` for a path or a mode that cannot be carried."""
    entries = []
    for record in listing.split(b"\0"):
        if not record:
            continue
        facts, _, name = record.partition(b"\t")
        mode, _, sha, size = facts.decode("ascii").split()
        path = name.decode("utf-8", "surrogateescape")
        _check_path(path)
        if mode not in {kind.value for kind in Mode}:
            raise BadSource(f"`{shown(path)}` has the mode {mode}, which is neither file, link nor submodule.")
        entries.append(
            Entry(
                path=path,
                mode=Mode(mode),
                sha=sha,
                size=0 if size == "-" else int(size),
                mirror=mirror,
            )
        )
    return entries


def moved(entry: Entry, path: str) -> Entry:
    """Return the entry at another path: that of a submodule's file in the whole archive."""
    return replace(entry, path=path)


def check_pointer(entry: Entry, content: bytes) -> None:
    """Raise `BadSource` if `content` is a pointer to a file that Git LFS keeps elsewhere."""
    if content.startswith(_LFS_MARK):
        raise BadSource(
            f"`{shown(entry.path)}` is a pointer to Git LFS, and the file itself is not in the commit. Commit the "
            "file, or fetch it in `setup:`."
        )


def check_links(targets: Mapping[str, str]) -> None:
    """Raise `BadSource` if one of the tree's links, `path: target`, leads out of the tree or in a circle."""
    for path in targets:
        if not _stays_inside(path, targets):
            raise BadSource(
                f"`{shown(path)}` is a link to `{shown(targets[path])}`, which leads out of the repository. Remove it."
            )


def write(entries: Sequence[Entry], read: Callable[[Entry], bytes], out: Path, *, at: int) -> str:
    """Write the tar.gz to `out` and return its sha256; every file carries the time `at` (unix seconds)."""
    with out.open("wb") as raw:
        hashed = _Hashed(raw)
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=hashed, compresslevel=6, mtime=0)
        with packed, tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for entry in sorted(entries, key=lambda entry: entry.path):
                content = read(entry)
                member = tarfile.TarInfo(entry.path)
                member.mtime = at
                member.mode = 0o755 if entry.mode is Mode.PROGRAM else 0o644
                if entry.mode is Mode.LINK:
                    member.type, member.linkname = tarfile.SYMTYPE, content.decode("utf-8", "surrogateescape")
                    tar.addfile(member)
                else:
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return hashed.sha256.hexdigest()


def shown(path: str) -> str:
    """Return a path that may be put into a message, whatever its bytes are."""
    text = "".join(letter if letter.isprintable() else "?" for letter in path)
    return text if len(text) <= 120 else f"{text[:119]}…"


class _Hashed(io.RawIOBase):
    """A file that remembers the hash of what was written to it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # gzip hands over bytes, never another buffer
        self.sha256.update(data)
        return self._raw.write(data)


def _check_path(path: str) -> None:
    """A hostile tree may hold names that git itself would never write."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or len(path) > 1000:
        raise BadSource(f"The repository holds the path `{shown(path)}`, which cannot be unpacked.")


def _stays_inside(path: str, targets: Mapping[str, str]) -> bool:
    """Walk a link as the kernel would, through the tree's other links."""
    todo = list(reversed(PurePosixPath(path).parts))
    here: list[str] = []
    followed = 0
    while todo:
        step = todo.pop()
        if step == "..":
            if not here:
                return False
            here.pop()
            continue
        here.append(step)
        target = targets.get("/".join(here))
        if target is not None:
            followed += 1
            if target.startswith("/") or not target or followed > _MOST_LINKS:
                return False
            here.pop()
            todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return True
