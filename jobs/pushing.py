"""A folder sent into the team's store, to be named in task files: read once, in parts, the index last.

What lies there already is not sent again, so that a push which was cut off goes on where it was when the same line is
typed again. Until the index stands nothing of it can be seen. Each part is hashed and sealed from the same bytes in
memory; a file that changes meanwhile ends the push.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.errors import BadRequest, HourglassError, StoreError
from trainer import datasets, sealed
from trainer.datasets import PART, Dataset, File
from trainer.sealed import Key
from trainer.storage import Store, StoreFault, StoreRefusal

PARALLEL: Final = 4  # parts in the air; each takes some 70 MB where it is sealed
_WAITS: Final = (0.5, 2.0, 5.0, 15.0)  # seconds before a part is tried again


class BadFolder(BadRequest):
    """The folder cannot be sent as it is."""


@dataclass(frozen=True, kw_only=True)
class Local:
    """One file of the folder, as it was when the push began."""

    path: str  # relative, POSIX
    place: Path
    size: int  # bytes
    mark: tuple[int, int, int]  # inode, size and time of its last change


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a push came to."""

    dataset: Dataset
    version: str
    sent: int  # bytes that were not there yet
    key: Key | None

    @property
    def reference(self) -> str:
        """What a task file calls it."""
        return f"{self.dataset.name}@{self.version}"


def name_of(folder: Path) -> str:
    """Return a dataset's name made from a folder's; raises `BadFolder` where its name does not make one."""
    return checked_name(re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._"))


def checked_name(name: str) -> str:
    """Return `name`; raises `BadFolder` unless it can name a dataset."""
    if not datasets.NAME.fullmatch(name):
        raise BadFolder(
            f"`{name}` cannot name a dataset: small letters, digits, `.`, `_` and `-`, at most 63. Add --name imagenet."
        )
    return name


def survey(folder: Path) -> list[Local]:
    """Return the folder's files, sorted; links to files count as files. Raises `BadFolder`."""
    if not folder.is_dir():
        raise BadFolder(f"{folder} is not a folder. Name the folder with the data.")
    found: list[Local] = []
    for root, folders, files in os.walk(folder):
        for name in folders:
            if (Path(root) / name).is_symlink():
                raise BadFolder(f"{Path(root) / name} is a link to a folder. Push that folder by itself, or copy it.")
        for name in files:
            found.append(_local(folder, Path(root) / name))
            if len(found) > datasets.MOST_FILES:
                raise BadFolder(
                    f"{folder} holds more than {datasets.MOST_FILES:,} files. Pack them into shards (tar files): so "
                    "many small files would also be slow to train from."
                )
    if not found:
        raise BadFolder(f"{folder} holds no files.")
    return sorted(found, key=lambda each: each.path)


def _local(folder: Path, place: Path) -> Local:
    path = place.relative_to(folder).as_posix()
    if not datasets.kept(path):
        raise BadFolder(f"{ascii(path)[:200]} cannot be kept under that name. Rename it.")
    try:
        mark = _mark(place)
    except OSError as error:
        if place.is_symlink() and not place.exists():
            raise BadFolder(f"{place} is a link to nothing. Take it out of the folder.") from error
        raise BadFolder(f"{place} cannot be read: {error.strerror}.") from error
    if not place.is_file():
        raise BadFolder(f"{place} is neither a file nor a link to one. Take it out of the folder.")
    return Local(path=path, place=place, size=mark[1], mark=mark)


class Push:
    """One push. `progress(done, sent)` is told of bytes that stand, and of those among them that were sent."""

    def __init__(
        self,
        store: Store,
        name: str,
        files: Sequence[Local],
        *,
        key: Key | None,
        now: float,
        progress: Callable[[int, int], None] = lambda done, sent: None,
        parallel: int = PARALLEL,
        part: int = PART,
    ) -> None:
        """Send `files` as the dataset `name`, sealed where there is a key; `now` is in unix seconds."""
        self._store = store
        self._name = checked_name(name)
        self._files = files
        self._key = key
        self._now = now
        self._progress = progress
        self._parallel = parallel
        self._part = part
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._there: set[str] = set()
        self._names: dict[tuple[int, int], str] = {}
        self._sent = 0

    def run(self) -> Sent:
        """Send what is not there; return what it is called. Raises `BadFolder` and `StoreError`, and nothing shows."""
        prefix = datasets.parts_prefix(self._name)
        try:
            self._there = {key.rpartition("/")[2] for key in self._store.keys(prefix)}
            self._send_all()
            dataset = self._dataset()
            version = datasets.version_of(dataset)
            self._store.put(datasets.index_key(self._name, version), datasets.encode(dataset, self._key))
        except StoreFault as error:
            raise StoreError(f"{error} What was sent stays there: type the same line again to go on.") from error
        return Sent(dataset=dataset, version=version, sent=self._sent, key=self._key)

    def _send_all(self) -> None:
        todo = self._pieces()
        # Daemons: Ctrl-C comes to the thread that waits here, and nobody then waits for a slow line. A part that is
        # cut off is none, since a put shows all of an object or nothing.
        threads = [
            threading.Thread(target=self._work, args=(todo,), name="push", daemon=True) for _ in range(self._parallel)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._stop.set()
        if self._failed is not None:
            raise self._failed

    def _pieces(self) -> Iterator[tuple[int, int]]:
        for file, local in enumerate(self._files):
            for piece in range(-(-local.size // self._part)):
                yield file, piece

    def _work(self, todo: Iterator[tuple[int, int]]) -> None:
        try:
            while (task := self._next(todo)) is not None:
                self._send(*task)
        except BaseException as error:  # noqa: BLE001  it is raised again in the thread that waits
            with self._turn:
                self._failed = self._failed or error

    def _next(self, todo: Iterator[tuple[int, int]]) -> tuple[int, int] | None:
        with self._turn:
            return None if self._stop.is_set() or self._failed is not None else next(todo, None)

    def _send(self, file: int, piece: int) -> None:
        data = self._read(self._files[file], piece)
        name = datasets.part_name(data, self._key)
        with self._turn:
            known = name in self._there
            self._there.add(name)  # the same bytes twice in one folder are sent once
        if not known:
            self._insist(
                datasets.part_key(self._name, name),
                data if self._key is None else b"".join(sealed.seal([data], self._key)),
            )
        with self._turn:
            self._names[file, piece] = name
            self._sent += 0 if known else len(data)
            self._progress(len(data), 0 if known else len(data))

    def _read(self, local: Local, piece: int) -> bytes:
        wanted = min(self._part, local.size - piece * self._part)
        try:
            with local.place.open("rb") as source:
                source.seek(piece * self._part)
                data = source.read(wanted)
        except OSError as error:
            raise BadFolder(f"{local.place} cannot be read: {error.strerror}.") from error
        if len(data) != wanted:
            raise _changed(local)
        return data

    def _insist(self, key: str, data: bytes) -> None:
        for wait in (*_WAITS, None):
            try:
                self._store.put(key, data)
                return
            except StoreRefusal:
                raise
            except StoreFault:
                if wait is None or self._stop.wait(wait):
                    raise

    def _dataset(self) -> Dataset:
        files = []
        for number, local in enumerate(self._files):
            try:
                same = _mark(local.place) == local.mark
            except OSError:
                same = False
            if not same:
                raise _changed(local)
            pieces = range(-(-local.size // self._part))
            files.append(File(local.path, local.size, tuple(self._names[number, piece] for piece in pieces)))
        return Dataset(name=self._name, at=self._now, part=self._part, files=tuple(files))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A version in the store, as far as it can be read here."""

    reference: str
    dataset: Dataset | None  # None: it is sealed with a key that is not here, or damaged
    key_id: str | None
    trouble: str = ""


def listed(store: Store, ring: sealed.Ring) -> list[Shown]:
    """Return every dataset's versions, by name; raises `StoreError`."""
    shown = []
    try:
        for key in store.keys(datasets.index_prefix()):
            name, _, file = key.removeprefix(f"{datasets.index_prefix()}/").partition("/")
            version = file.removesuffix(".json")
            data = store.get(key, datasets.LARGEST_INDEX)
            if data is None or not datasets.NAME.fullmatch(name) or not datasets.VERSION.fullmatch(version):
                continue
            shown.append(_shown(data, ring, name, version))
    except StoreFault as error:
        raise StoreError(str(error)) from error
    return shown


def _shown(data: bytes, ring: sealed.Ring, name: str, version: str) -> Shown:
    reference, key_id = f"{name}@{version}", sealed.sealed_with(data)
    try:
        dataset, _ = datasets.decode(data, ring, name=name, version=version)
    except (sealed.SealError, datasets.BadDataset) as error:
        return Shown(reference=reference, dataset=None, key_id=key_id, trouble=str(error))
    return Shown(reference=reference, dataset=dataset, key_id=key_id)


def _mark(place: Path) -> tuple[int, int, int]:
    status = place.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _changed(local: Local) -> HourglassError:
    return BadFolder(f"{local.place} changed while it was sent. Type the same line again when nobody writes there.")
