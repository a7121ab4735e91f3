"""What has to be here before the command starts: the order, the commit, and the checkpoint to continue from.

Everything is checked before it is used: the source against the order's hash, every file of a checkpoint against
its manifest, every name in an archive against leaving its place.
"""

from __future__ import annotations

import errno
import hashlib
import posixpath
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from trainer import sealed, wire
from trainer.aes import NoCipher
from trainer.filenames import main
from trainer.sealed import Ring
from trainer.storage import Store, StoreFault, StoreRefusal
from trainer.wire import AgentOrder, Manifest, Reason, tame

T = TypeVar("T")
_READ = 1024 * 1024
_REFUSED = 60.0  # seconds in which a right that was just given, or the next lease, comes to hold everywhere
FULL = "The disk became full."


class CannotStart(Exception):
    """The work cannot begin; carries the reason that the outcome tells."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def full(error: BaseException | None) -> bool:
    """Return whether a disk without room is what went wrong."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def insisting(action: Callable[[], T], *, patience: float, pause: Callable[[float], None]) -> T:
    """Return what `action` returns, tried again while the store fails, for about `patience` seconds.

    A store that answers with no is asked for a minute. Raises `CannotStart` when the disk is full.
    """
    delay, spent = 0.5, 0.0
    while True:
        try:
            return action()
        except StoreFault as fault:
            if full(fault.__cause__):
                raise _no_room() from fault
            if spent >= (min(patience, _REFUSED) if isinstance(fault, StoreRefusal) else patience):
                raise
        except OSError as error:
            if full(error):
                raise _no_room() from error
            raise
        pause(delay)
        spent += delay
        delay = min(10.0, delay * 2)


def _no_room() -> CannotStart:
    return CannotStart(Reason.BAD_SPEC, f"{FULL} Ask for more: `resources: {{disk: …}}`.")


class Errand(Generic[T]):
    """Something that is fetched with insistence, in a thread of its own: who waits for it listens meanwhile."""

    def __init__(self, action: Callable[[], T], *, patience: float) -> None:
        """Begin."""
        self._found: list[T] = []
        self._failed: BaseException | None = None
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(action, patience), name="fetch", daemon=True)
        self._thread.start()

    def finished(self, timeout: float) -> bool:
        """Return whether it is done, after `timeout` seconds at most."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def result(self) -> T:
        """Return what was found, or raise what went wrong."""
        if self._failed is not None:
            raise self._failed
        return self._found[0]

    def cancel(self) -> None:
        """Try no more; a request that is under way outlives this call, unheard."""
        self._cancelled.set()

    def _run(self, action: Callable[[], T], patience: float) -> None:
        try:
            self._found.append(insisting(action, patience=patience, pause=self._pause))
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            self._failed = error

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise InterruptedError("It was cancelled.")


def order(store: Store, job: str, attempt: int, rank: int) -> AgentOrder:
    """Return the machine's order; raises `CannotStart` when it is not there or is not one."""
    key = wire.order_key(job, attempt, rank)
    data = store.get(key)
    if data is None:
        raise CannotStart(Reason.BAD_SPEC, f"There is no order at {key}.")
    try:
        found = wire.from_json(AgentOrder, data)
    except ValueError as error:
        raise CannotStart(Reason.BAD_SPEC, f"The order at {key} cannot be read: {error}") from error
    if found.version != wire.WIRE_VERSION:
        text = f"The order is of version {found.version}, this machine understands {wire.WIRE_VERSION}."
        raise CannotStart(Reason.BAD_SPEC, text)
    if (found.job, found.attempt) != (job, attempt):
        text = f"The order at {key} is for {found.job}/{found.attempt}, this is {job}/{attempt}."
        raise CannotStart(Reason.BAD_SPEC, text)
    if bool(found.commands) == bool(found.argv):
        raise CannotStart(Reason.BAD_SPEC, "The order needs either commands or an argument list.")
    return found


def source(store: Store, what: AgentOrder, scratch: Path) -> Path:
    """Fetch, check and unpack the commit under `scratch`; return the folder with it."""
    archive = scratch / "source.tar.gz"
    if not store.get_file(what.source_key, archive):
        raise CannotStart(Reason.BAD_SOURCE, f"There is no source archive at {what.source_key}.")
    digest = sha256(archive)
    if digest != what.source_sha256:
        text = f"The source archive of {what.commit} has the sha256 {digest}, not {what.source_sha256}."
        raise CannotStart(Reason.BAD_SOURCE, text)
    folder = scratch / "source"
    unpack(archive, folder)
    archive.unlink()
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive into `folder`; raises `CannotStart` if anything in it would leave that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as packed:
            members = packed.getmembers()
            links = {posixpath.normpath(member.name) for member in members if member.issym()}
            for member in members:
                if problem := unsafe(member, links):
                    raise CannotStart(Reason.BAD_SOURCE, f"The source holds {member.name!r}, {problem}.")
            if hasattr(tarfile, "data_filter"):
                packed.extractall(folder, members, filter="data")
            else:  # before 3.10.12; the check above stands for the filter
                packed.extractall(folder, members)  # noqa: S202  each member was checked above
    except (tarfile.TarError, OSError, EOFError) as error:
        if full(error):
            raise _no_room() from error
        raise CannotStart(Reason.BAD_SOURCE, f"The source archive cannot be unpacked: {error}") from error


def unsafe(member: tarfile.TarInfo, links: set[str]) -> str | None:
    """Return what is wrong with an archive's member, or None; `links` are the archive's symbolic links."""
    name = member.name
    if name.startswith("/") or "\0" in name or ".." in name.split("/"):
        return "a name that leads out of its folder"
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return "which is neither a file, a folder nor a link"
    if any(str(parent) in links for parent in PurePosixPath(posixpath.normpath(name)).parents):
        return "a name that goes through a link"
    if member.issym():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    elif member.islnk():
        target = posixpath.normpath(member.linkname)
    else:
        return None
    if member.linkname.startswith("/") or target == ".." or target.startswith("../"):
        return "a link that leads out of the source"
    return None


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A checkpoint that lies where the script left it."""

    name: str
    step: int | None
    folder: Path  # that holds its files, as deep as all of them lie
    file: Path | None  # the checkpoint itself, where one of its files is it
    proven: bool = True  # each of its files was seen to be whole before it was sent


def checkpoint(store: Store, prefix: str, folder: Path, ring: Ring = Ring()) -> Restored:  # noqa: B008  it is frozen
    """Put the checkpoint under `prefix` back where it was in `folder`, opened with the team's keys if it was sealed.

    Raises `CannotStart` when it is not whole: going on from nothing would spend money on what was there already.
    """
    data = store.get(f"{prefix}/manifest.json")
    if data is None:
        raise CannotStart(Reason.BAD_SOURCE, f"There is no whole checkpoint at {prefix} to continue from.")
    try:
        manifest = wire.from_json(Manifest, data)
        places = [_inside(folder, entry.path) for entry in manifest.files]
    except ValueError as error:
        text = f"The manifest at {prefix} cannot be used: {error}"
        raise CannotStart(Reason.BAD_SOURCE, text) from error
    for entry, place in zip(manifest.files, places, strict=True):
        if not store.get_file(f"{prefix}/{entry.path}", place):
            raise CannotStart(Reason.BAD_SOURCE, f"The checkpoint at {prefix} lacks {entry.path}.")
        if place.stat().st_size != entry.size or sha256(place) != entry.sha256:
            raise CannotStart(Reason.BAD_SOURCE, f"{entry.path} of {prefix} is not what its manifest says.")
    if manifest.key is not None:
        places = [_opened(place, ring) for place in places]
    parents = [entry.path.rpartition("/")[0] for entry in manifest.files]
    shared = posixpath.commonpath(parents) if parents and all(parents) else ""
    only = main([str(place) for place in places])
    return Restored(
        name=manifest.name,
        step=manifest.step,
        folder=folder / shared,
        file=None if only is None else Path(only),
        proven=not manifest.unproven,
    )


def _opened(place: Path, ring: Ring) -> Path:
    target = place.with_name(place.name.removesuffix(sealed.SUFFIX))
    try:
        sealed.unseal_file(place, target, ring)
    except (sealed.SealError, NoCipher) as error:
        raise CannotStart(Reason.BAD_SOURCE, f"{place.name} of the checkpoint cannot be opened: {error}") from error
    if target != place:
        place.unlink()
    return target


def _inside(folder: Path, name: str) -> Path:
    if not isinstance(name, str) or not tame(name):
        raise ValueError(f"{name!r} is no file's name")
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads out of its folder")
    return place


def sha256(path: Path) -> str:
    """Return the file's sha256 in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ):
            digest.update(block)
    return digest.hexdigest()
