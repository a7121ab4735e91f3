"""Is a checkpoint whole? Each format says so itself; what has no format must at least have come to rest.

A file that is being written looks like any other, and what rewrites a file in place leaves half of one for a
while. So the format's own end is looked for: a zip's directory, the length in a header, the file that a trainer
writes last.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

_LARGEST_HEADER = 100_000_000  # safetensors' own limit
_FORMATTED = frozenset({".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".json", ".distcp"})
_ZIP_START = b"PK\x03\x04"
_HF_STATE = "trainer_state.json"
_HF_INCOMPLETE = "checkpoint-is-incomplete.txt"
_DCP_LAST = ".metadata"


class State(Enum):
    """What a look at a file or folder says."""

    WHOLE = "whole"  # its format says so
    BROKEN = "broken"  # its format says that something is missing; it may still come
    UNKNOWN = "unknown"  # the format has no end to look for; only rest tells


def file_state(path: Path) -> State:
    """Return what the file's format says of it; what cannot be read is broken."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if not start:
            return State.BROKEN
        if path.suffix == ".safetensors":
            return _safetensors(path, start)
        if start.startswith(_ZIP_START):  # torch since 1.6, numpy's .npz, Keras' own
            return State.WHOLE if zipfile.is_zipfile(path) else State.BROKEN
        if path.suffix == ".json":
            return _json(path)
    except OSError:
        return State.BROKEN
    return State.UNKNOWN


def _safetensors(path: Path, start: bytes) -> State:
    size = path.stat().st_size
    if len(start) < 8:
        return State.BROKEN
    length = struct.unpack("<Q", start)[0]
    if length > min(size - 8, _LARGEST_HEADER):
        return State.BROKEN
    try:
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(length))
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return State.BROKEN
    return State.WHOLE if isinstance(end, int) and size == 8 + length + end else State.BROKEN


def _json(path: Path) -> State:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return State.BROKEN
    return State.WHOLE


def folder_state(folder: Path, files: Sequence[Path]) -> State:
    """Return what a checkpoint folder with these files says of itself."""
    names = {path.relative_to(folder).as_posix() for path in files if path.is_relative_to(folder)}
    if not names or _HF_INCOMPLETE in names:
        return State.BROKEN
    # A marker may well be empty; weights and records may not.
    states = [file_state(path) for path in files if path.suffix in _FORMATTED or path.stat().st_size]
    if State.BROKEN in states:
        return State.BROKEN
    if any(name.endswith(".distcp") for name in names):  # its index is the last that is written
        return State.WHOLE if _DCP_LAST in names else State.BROKEN
    if not all(shard in names for path in files for shard in _shards(folder, path)):
        return State.BROKEN
    return State.WHOLE if _HF_STATE in names else State.UNKNOWN


def _shards(folder: Path, path: Path) -> list[str]:
    """Return the files that an index names, relative to `folder`."""
    if not path.name.endswith(".index.json"):
        return []
    try:
        shards = set(json.loads(path.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    base = path.parent.relative_to(folder)
    return [(base / str(shard)).as_posix() for shard in shards]


def regular(path: Path) -> os.stat_result | None:
    """Return the status of a regular file; None for links, pipes, devices and what is gone."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
