"""Is a checkpoint whole? Each format says so itself; what has no format must at least have come to rest.

A file that is being written looks like any other, and what rewrites a file in place leaves half of one for a
while. So the format's own end is looked for: a zip's directory, the length in a header, the file that a trainer
writes last. What only a whole file can have is looked for in a few bytes, however large the file is.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import stat
import struct
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

_LARGEST_HEADER = 100_000_000  # safetensors' own limit
_FORMATTED = frozenset({".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".json", ".distcp"})
_LARGEST_PARSED = 1_000_000  # bytes of a record that is read as a whole; of a tokenizer's only the end is looked at
_ZIP_START = b"PK\x03\x04"
_ZIP_END, _ZIP64_END, _ZIP64_PLACE = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ZIP_TAIL = 20 + 22 + 65_535  # bytes: where the end of a large one lies, the end, and a comment
_HDF5_START = b"\x89HDF\r\n\x1a\n"
_NUMPY_START = b"\x93NUMPY"
_GGUF = b"GGUF", 24  # how it begins, and the bytes of its shortest header
_PICKLES = frozenset({".pkl", ".pickle", ".joblib"})
_TORCH_BEFORE_ZIP = b"\x80\x02\x8a\x0a"  # what it held follows behind the pickles
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
            return _zip(path)
        if path.suffix == ".json":
            return _json(path)
        if start == _HDF5_START:
            return _hdf5(path)
        if start.startswith(_NUMPY_START):
            return _numpy(path)
        if start.startswith(_GGUF[0]) and path.stat().st_size < _GGUF[1]:
            return State.BROKEN
        if path.suffix in _PICKLES and start[:1] == b"\x80" and not start.startswith(_TORCH_BEFORE_ZIP):
            return State.UNKNOWN if _end(path, 1) == b"." else State.BROKEN
    except OSError:
        return State.BROKEN
    return State.UNKNOWN


def _zip(path: Path) -> State:
    """Look for the directory where the end says that it lies: a zip that is stored in it has an end of its own."""
    if not zipfile.is_zipfile(path):
        return State.BROKEN
    tail = _end(path, _ZIP_TAIL)
    at = tail.rfind(_ZIP_END)
    if not 0 <= at <= len(tail) - 22:
        return State.BROKEN  # it was written over meanwhile
    end = path.stat().st_size - len(tail) + at
    length, begin = struct.unpack_from("<LL", tail, at + 12)
    if at >= 20 and tail.startswith(_ZIP64_PLACE, at - 20):
        (told,) = struct.unpack_from("<Q", tail, at - 12)
        return State.WHOLE if told < end and _at(path, told, 4) == _ZIP64_END else State.BROKEN
    return State.WHOLE if begin + length == end else State.BROKEN


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
    if path.stat().st_size > _LARGEST_PARSED:
        return State.WHOLE if _end(path, 64).rstrip()[-1:] in (b"}", b"]") else State.BROKEN
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return State.BROKEN
    return State.WHOLE


def _hdf5(path: Path) -> State:
    """Compare the size with the end that the file's first block names; the library cuts the file there as it closes."""
    with path.open("rb") as file:
        head = file.read(56)
    version = head[8] if len(head) == 56 else 255
    if version > 3 or head[13 if version < 2 else 9] != 8:  # bytes of an address: others are nobody's
        return State.BROKEN if len(head) < 56 or version < 2 else State.UNKNOWN
    base, end = struct.unpack_from("<Q8xQ", head, {0: 24, 1: 28}.get(version, 12))
    size = path.stat().st_size
    if size < base + end:
        return State.BROKEN
    return State.WHOLE if size == base + end else State.UNKNOWN


def _numpy(path: Path) -> State:
    """Compare the size with that of the array that the header tells of."""
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12:
            return State.BROKEN
        begin, length = (10, int.from_bytes(head[8:10], "little")) if head[6] == 1 else (12, _four(head))
        if length > _LARGEST_PARSED:
            return State.UNKNOWN
        file.seek(begin)
        text = file.read(length).decode("latin-1")
    if len(text) < length:
        return State.BROKEN
    try:
        header = ast.literal_eval(text.strip())
        kind = re.fullmatch(r"[<>|=]?([a-zA-Z])(\d+)(?:\[\w+\])?", header["descr"])
        count = math.prod(header["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return State.UNKNOWN  # fields with names, or no header at all
    if kind is None:
        return State.UNKNOWN  # objects, which are pickled
    size, told = path.stat().st_size, begin + length + count * int(kind[2]) * (4 if kind[1] == "U" else 1)
    if size < told:
        return State.BROKEN
    return State.WHOLE if size == told else State.UNKNOWN


def _four(head: bytes) -> int:
    return int.from_bytes(head[8:12], "little")


def _end(path: Path, count: int) -> bytes:
    return _at(path, max(0, path.stat().st_size - count), count)


def _at(path: Path, place: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(count)


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


def is_folder(path: Path) -> bool:
    """Return whether there is a folder, and no link to one; what cannot be asked is none."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def put_in_place(path: Path) -> bool:
    """Return whether a file got its name after its last byte, as a writer does that replaces the older one at once."""
    status = regular(path)
    return status is not None and status.st_ctime_ns > status.st_mtime_ns
