"""What `hourglass data push` keeps in the store: files cut into parts, each under a name made from its own bytes.

    data/parts/<name>/<64 hex digits>       up to 32 MiB of a file
    data/index/<name>/<version>.json        `Dataset`: which parts make which files; written last

A part that lies there is never sent again, whichever push sent it, and what was fetched is checked by its name. The
version is made from the index, so that `name@version` means the same bytes for ever. Where a dataset is sealed, index
and parts are sealed files (`trainer.sealed`), and a part's name says nothing of its content to who has not the key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from trainer import sealed
from trainer.sealed import Key, Ring
from trainer.wire import tame

PART = 32 * 1024 * 1024  # bytes
LARGEST_INDEX = 256 * 1024 * 1024  # bytes; some 60 TB in parts
MOST_FILES = 100_000  # an index is read whole; so many small files belong into shards
ROOT = "data"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
VERSION = re.compile(r"[0-9a-f]{16}")
_PART_NAME = re.compile(r"[0-9a-f]{64}")


class BadDataset(ValueError):
    """What lies in the store is not the dataset that was asked for."""


@dataclass(frozen=True)
class File:
    """One file of a dataset."""

    path: str  # relative, POSIX
    size: int  # bytes
    parts: Sequence[str]  # names, in the file's order; none where it is empty


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The files that one push sent."""

    name: str
    at: float  # unix seconds
    part: int  # bytes of every part of a file but its last
    files: Sequence[File]

    @property
    def bytes(self) -> int:
        """The size of all of it."""
        return sum(file.size for file in self.files)


def parts_prefix(name: str) -> str:
    """Return where a dataset's parts lie, those of all its versions."""
    return f"{ROOT}/parts/{name}"


def part_key(name: str, part: str) -> str:
    """Return where one part lies."""
    return f"{parts_prefix(name)}/{part}"


def index_prefix() -> str:
    """Return where every dataset's indexes lie."""
    return f"{ROOT}/index"


def index_key(name: str, version: str) -> str:
    """Return where the index of one version lies."""
    return f"{index_prefix()}/{name}/{version}.json"


def named(reference: str) -> tuple[str, str]:
    """Return the name and the version of `name@version`; raises `ValueError`."""
    name, _, version = reference.partition("@")
    if not NAME.fullmatch(name) or not VERSION.fullmatch(version):
        raise ValueError(f"{reference!r} is not name@version as `hourglass data list` shows it.")
    return name, version


def part_name(data: bytes, key: Key | None) -> str:
    """Return the name of a part with these bytes, before they are sealed with `key`."""
    digest = hashlib.sha256(data)
    return name_of_digest(digest.digest(), key)


def name_of_digest(digest: bytes, key: Key | None) -> str:
    """Return the name of a part by the sha256 of its bytes."""
    return digest.hex() if key is None else key.tag(digest)


def version_of(dataset: Dataset) -> str:
    """Return the version: the same files are the same version, whenever they were pushed."""
    files = sorted([file.path, file.size, list(file.parts)] for file in dataset.files)
    plain = json.dumps([dataset.part, files], separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def encode(dataset: Dataset, key: Key | None) -> bytes:
    """Return the index as it lies in the store."""
    plain = json.dumps(asdict(dataset), sort_keys=True, separators=(",", ":")).encode()
    return plain if key is None else b"".join(sealed.seal([plain], key))


def decode(data: bytes, ring: Ring, *, name: str, version: str) -> tuple[Dataset, Key | None]:
    """Return the dataset and the key that sealed it, None where none did.

    Raises `BadDataset` when it is not that version or not one at all, `sealed.SealError` when it cannot be opened.
    """
    key_id = sealed.sealed_with(data)
    plain = data if key_id is None else b"".join(sealed.unseal([data], ring))
    try:
        raw = json.loads(plain)
        files = tuple(_file(one, int(raw["part"])) for one in raw["files"])
        dataset = Dataset(name=str(raw["name"]), at=float(raw["at"]), part=int(raw["part"]), files=files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadDataset(f"The index of {name}@{version} cannot be read: {error}") from error
    if len({file.path for file in files}) != len(files):
        raise BadDataset(f"The index of {name}@{version} names a file twice.")
    if dataset.name != name or version_of(dataset) != version:
        raise BadDataset(f"The index of {name}@{version} is of {dataset.name[:80]}@{version_of(dataset)}.")
    return dataset, None if key_id is None else ring.of(key_id)


def kept(path: str) -> bool:
    """Return whether a file of this path can be part of a dataset."""
    return tame(f"files/{path}")


def _file(raw: dict[str, object], part: int) -> File:
    path, size, parts = raw["path"], raw["size"], raw["parts"]
    if not isinstance(path, str) or not kept(path):
        raise ValueError(f"{ascii(path)[:100]} is no file's name")
    if type(size) is not int or size < 0 or part <= 0 or not isinstance(parts, list) or len(parts) != -(-size // part):
        raise ValueError(f"{ascii(path)[:100]} has no size, or other parts than it needs")
    if not all(isinstance(name, str) and _PART_NAME.fullmatch(name) for name in parts):
        raise ValueError(f"{ascii(path)[:100]} has a part without a name")
    return File(path, size, tuple(parts))
