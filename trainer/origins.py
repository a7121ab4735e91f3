"""Where an input's files come from: a dataset that was pushed into the store, or whatever lies under an `s3://` prefix.

Both look the same to who fetches: files, cut into pieces of bounded size, and for each piece its bytes, plain. A
pushed piece is checked by its name. Of somebody's bucket only S3's own mark of each object is known, so a piece is
fetched on the condition that the mark is still the one that was listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer import datasets, sealed
from trainer.datasets import PART, BadDataset, Dataset
from trainer.lent import Lent
from trainer.sealed import Key, Ring
from trainer.storage import Listed, S3Store, Store, StoreRefusal, open_store
from trainer.wire import Input


class Damaged(Exception):
    """What came is not what it should be: on the way or in the store, it was changed."""


class NoInput(Exception):
    """The input cannot be fetched, however often it is tried; the message says what to do."""


@dataclass(frozen=True)
class Wanted:
    """A file to fetch."""

    path: str  # relative, POSIX
    size: int  # bytes


class Origin(Protocol):
    """One input's files."""

    @property
    def digest(self) -> str:
        """Hex; the same files have the same, so that they need not be fetched twice."""

    @property
    def files(self) -> Sequence[Wanted]:
        """What there is to fetch."""

    @property
    def part(self) -> int:
        """The bytes of a piece; a file's last one may be shorter."""

    @property
    def single(self) -> bool:
        """Whether the input is one file, and not a folder with one in it."""

    def blocks(self, file: int, piece: int) -> Iterator[bytes]:
        """Yield the plain bytes of one piece; raises `Damaged` after them where they are not the right ones."""


class Pushed:
    """A version of a dataset that `hourglass data push` sent."""

    single = False

    def __init__(self, store: Store, dataset: Dataset, key: Key | None) -> None:
        self._store = store
        self._dataset = dataset
        self._key = key
        self._ring = Ring() if key is None else Ring((key,))
        self.part = dataset.part
        self.files = [Wanted(file.path, file.size) for file in dataset.files]
        # The name does not matter to the bytes, and is in it so that two teams' caches never meet by chance.
        self.digest = hashlib.sha256(f"{dataset.name}@{datasets.version_of(dataset)}".encode()).hexdigest()

    def blocks(self, file: int, piece: int) -> Iterator[bytes]:
        """Yield a part's bytes, unsealed; its name is the check."""
        name = self._dataset.files[file].parts[piece]
        stored = self._store.blocks(datasets.part_key(self._dataset.name, name))
        digest = hashlib.sha256()
        try:
            for block in stored if self._key is None else sealed.unseal(stored, self._ring):
                digest.update(block)
                yield block
        except sealed.SealError as error:
            raise Damaged(f"{self.files[file].path}, part {piece + 1}: {error}") from error
        if datasets.name_of_digest(digest.digest(), self._key) != name:
            raise Damaged(f"{self.files[file].path}, part {piece + 1}: its bytes are not what was pushed.")


class Bucket:
    """The objects under a prefix of somebody's bucket."""

    def __init__(self, store: S3Store, objects: Sequence[Listed], *, single: bool, part: int = PART) -> None:
        """Take what was listed of `store`; `single` where the prefix is itself the one object's key."""
        self._store = store
        self.part = part
        self._objects = [found for found in objects if not found.key.endswith("/")]  # a console's mark for a folder
        self.single = single
        if wild := next((found.key for found in self._objects if not datasets.kept(found.key)), None):
            raise NoInput(f"{ascii(wild)[:200]} cannot be a file's name. Rename it in the bucket.")
        self.files = [Wanted(found.key, found.size) for found in self._objects]
        digest = hashlib.sha256(store.bucket.encode())
        for found in self._objects:
            digest.update(f"\0{found.key}\0{found.size}\0{found.etag}".encode())
        self.digest = digest.hexdigest()

    def blocks(self, file: int, piece: int) -> Iterator[bytes]:
        """Yield a range of an object; raises `StoreRefusal` where it was replaced since it was listed."""
        found = self._objects[file]
        if found.size <= self.part:  # whole, and so with S3's own checksum
            yield from self._store.blocks(found.key, etag=found.etag)
        else:
            start = piece * self.part
            length = min(self.part, found.size - start)
            yield from self._store.blocks(found.key, start=start, length=length, etag=found.etag)


def origin_of(
    what: Input,
    store: Store,
    ring: Ring,
    *,
    env: Mapping[str, str],
    opened: Callable[[str, Mapping[str, str], Lent | None], Store] = open_store,
) -> Origin:
    """Return where an input's files come from; raises `NoInput`, and `StoreFault` while the store does not answer."""
    try:
        if not what.source.startswith("s3://"):
            return _pushed(what, store, ring)
        folder, _, last = what.source.rstrip("/").rpartition("/")
        lent = store.lent if isinstance(store, S3Store) else None  # renewed with it, however long the download takes
        found = _folder(_bucket(opened(what.source, env, lent)))
        return found or _alone(_bucket(opened(folder, env, lent)), last)
    except StoreRefusal as error:
        raise NoInput(str(error)) from error


def _pushed(what: Input, store: Store, ring: Ring) -> Origin:
    try:
        name, version = datasets.named(what.source)
        data = store.get(datasets.index_key(name, version), datasets.LARGEST_INDEX)
        if data is None:
            raise NoInput(f"There is no {what.source} in the store. `hourglass data list` shows what there is.")
        dataset, key = datasets.decode(data, ring, name=name, version=version)
    except (BadDataset, sealed.SealError, ValueError) as error:
        raise NoInput(str(error)) from error
    return Pushed(store, dataset, key)


def _bucket(store: Store) -> S3Store:
    assert isinstance(store, S3Store)  # noqa: S101  an s3:// address opens nothing else
    return store


def _folder(bucket: S3Store) -> Origin | None:
    objects: list[Listed] = []
    for found in bucket.listed():
        objects.append(found)
        if len(objects) > datasets.MOST_FILES:
            raise NoInput(
                f"There are more than {datasets.MOST_FILES:,} files in it. Pack them into shards (tar files), which "
                "also train faster, or name a narrower prefix."
            )
    return Bucket(bucket, objects, single=False) if objects else None


def _alone(bucket: S3Store, key: str) -> Origin:
    found = bucket.head(key)
    if found is None:
        raise NoInput("Nothing lies there. Check the prefix.")
    return Bucket(bucket, [found], single=True)
