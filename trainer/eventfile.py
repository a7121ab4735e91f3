"""TensorBoard's event files, read with the standard library alone.

A record is its length (8 bytes), a checksum of that (4), the data, a checksum of it (4). The data is a protobuf
`Event`, of which three fields matter: step, and the summary with its tags and scalars. The format has not changed since
2015; reading it here spares a process on the command's Python for every look, and works where an image writes such
files without having TensorBoard.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trainer.formats import Row

_AT_ONCE = 4 << 20  # bytes that one look reads
_LARGEST = 1 << 20  # bytes of a record; what is larger is a picture or a sound
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class EventFile:
    """One growing file, and how far it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.at_end = False  # nothing was left after the last read but an unfinished record

    def read(self) -> Iterator[Row]:
        """Return the scalars of the records that were finished since the last call.

        Raises `ValueError` where the file is of another kind; reads a few megabytes at most, the rest the next time.
        """
        with self._path.open("rb") as file:
            budget, self.at_end = _AT_ONCE, False
            while budget > 0:
                size = self._next(file)
                if size is None:
                    self.at_end = True
                    return
                budget -= min(size, _LARGEST) + 16
                if size <= _LARGEST and (row := _event(file.read(size))):
                    yield row

    def skip(self) -> None:
        """Take all that is there as read."""
        with self._path.open("rb") as file:
            while self._next(file) is not None:
                pass

    def _next(self, file: BinaryIO) -> int | None:
        """Return the size of the next whole record's data, which `file` then stands at; None at the end."""
        file.seek(self._offset)
        head = file.read(12)
        if len(head) < 12:
            return None
        size = int(struct.unpack("<Q", head[:8])[0])
        if self._offset + size + 16 > os.fstat(file.fileno()).st_size:
            return None
        self._offset += size + 16
        return size


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Return number, kind and raw value of each field of a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            end = _varint(data, at)[1]
        elif kind in (_FIXED64, _FIXED32):
            end = at + (8 if kind == _FIXED64 else 4)
        elif kind == _BYTES:
            size, at = _varint(data, at)
            end = at + size
        else:
            raise ValueError(f"no field of an event has the wire type {kind}")
        if end > len(data):
            raise ValueError("an event ends within a field")
        yield key >> 3, kind, data[at:end]
        at = end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("an event ends within a number")


def _event(data: bytes) -> Row | None:
    step, values = 0, {}
    for number, kind, raw in _fields(data):
        if (number, kind) == (2, _VARINT):
            step = _varint(raw, 0)[0]
        elif (number, kind) == (5, _BYTES):
            for inner, inner_kind, value in _fields(raw):
                if (inner, inner_kind) == (1, _BYTES) and (scalar := _scalar(value)):
                    values[scalar[0]] = scalar[1]
    return Row(step=step, total=None, values=values) if values else None


def _scalar(data: bytes) -> tuple[str, float] | None:
    tag, found = "", None
    for number, kind, raw in _fields(data):
        if (number, kind) == (1, _BYTES):
            tag = raw.decode("utf-8", "replace")
        elif (number, kind) == (2, _FIXED32):
            found = float(struct.unpack("<f", raw)[0])
        elif (number, kind) == (8, _BYTES):
            found = _tensor(raw)
    return (tag, found) if tag and found is not None else None


def _tensor(data: bytes) -> float | None:
    """Return the value of a tensor that is one float or double, as newer writers put their scalars."""
    for number, kind, raw in _fields(data):
        if number in (4, 5, 6) and kind in (_BYTES, _FIXED32, _FIXED64) and len(raw) in (4, 8):
            return float(struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0])
    return None
