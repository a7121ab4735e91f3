"""What a job takes along, put in place before its command starts: fetched once, checked, and only read.

    listed -> is there room for all of it? -> fetched, or found in the cache -> linked where the task file says

It runs in a thread of its own, because it may take an hour: meanwhile the agent hears Stop and the deadline.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer import fetch, sealed, wire
from trainer.aes import NoCipher
from trainer.cache import Cache, Entry, Given, NoRoom
from trainer.downloads import Download
from trainer.fetch import CannotStart
from trainer.origins import NoInput, Origin, origin_of
from trainer.storage import Store, StoreFault
from trainer.wire import Input, Reason

_TOLD = 5.0  # seconds between words about how far it is
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0  # seconds before a store that failed is asked again


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where inputs go on this machine."""

    source: Path  # the unpacked commit; a relative `to` lies in it
    scratch: Path  # the machine's own folder
    cache: Path  # may outlive the machine
    own_root: bool  # an absolute `to` is this job's alone: its root is a container's, not this computer's


class Inputs:
    """Fetches a job's inputs from a thread of its own."""

    def __init__(
        self,
        inputs: Sequence[Input],
        ground: Ground,
        store: Store,
        *,
        env: Mapping[str, str],
        patience: float,
        tell: Callable[[str], None],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin; `tell` takes how far it is, `say` a line for the log, `patience` seconds are for a dead store."""
        self._inputs = inputs
        self._ground = ground
        self._store = store
        self._env = env
        self._patience = patience
        self._tell = tell
        self._say = say
        self._clock = clock
        self._cancel = threading.Event()
        self._failed: BaseException | None = None
        self.held: list[Entry] = []  # until this process ends, or whoever has this lets them go
        self._got = self._total = 0
        self._lock = threading.Lock()
        self._told_at = clock()
        self.variables: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="inputs", daemon=True)
        self._thread.start()

    def finished(self, timeout: float) -> bool:
        """Return whether everything is in place, after `timeout` seconds at most; raises `CannotStart`, `StoreFault`.

        Between two calls it tells how far it is.
        """
        self._thread.join(timeout)
        if self._clock() - self._told_at >= _TOLD and self._thread.is_alive():
            self._told_at = self._clock()
            self._tell(f"{amount(self._got, self._total)}" if self._total else "")
        if self._thread.is_alive():
            return False
        if self._failed is not None:
            raise self._failed
        return True

    def cancel(self) -> None:
        """Fetch no further; what stands is kept for another time."""
        self._cancel.set()

    def _run(self) -> None:
        try:
            self._fetch_all()
        except Given:
            pass
        except NoRoom as error:
            need, free = size(error.needed), size(error.free)
            text = f"The inputs need {need} and the disk has room for {free}. Ask for more: `resources: {{disk: …}}`."
            self._failed = CannotStart(Reason.BAD_SPEC, text)
        except NoCipher as error:
            self._failed = CannotStart(Reason.BAD_IMAGE, str(error))
        except OSError as error:
            text = fetch.FULL if fetch.full(error) else f"{error.filename or 'A file'}: {error.strerror}."
            self._failed = CannotStart(Reason.BAD_SPEC, f"The inputs could not be put in place. {text}")
        except BaseException as error:  # noqa: BLE001  raised again where the agent waits
            self._failed = error

    def _fetch_all(self) -> None:
        ring = sealed.ring_from(self._env.get(wire.ENV_KEYS, ""))
        origins = [(what, self._insist(what, ring)) for what in self._inputs]
        cache = Cache(self._ground.cache)
        opened: dict[str, Entry] = {}
        downloads: list[tuple[str, Origin, Download]] = []
        for what, origin in origins:
            if origin.digest in opened:
                continue
            entry, whole = cache.opened(origin.digest, origin.files, self._cancel.wait)
            opened[origin.digest] = entry
            self.held.append(entry)
            if whole:
                self._say(f"input {what.name} ({_size_of(origin)}) is here already; nothing is fetched.")
            else:
                downloads.append((what.name, origin, self._download(origin, entry)))
        self._total = sum(each.missing() for _, _, each in downloads)
        cache.make_room(self._total)
        for name, origin, download in downloads:
            self._fetch(name, download)
            opened[origin.digest].share()
        for what, origin in origins:
            if self._cancel.is_set():
                return
            self._put(what, origin, opened[origin.digest])

    def _insist(self, what: Input, ring: sealed.Ring) -> Origin:
        delay, spent = _FIRST_WAIT, 0.0
        while True:
            try:
                return origin_of(what, self._store, ring, env=self._env)
            except NoInput as error:
                raise _named(what.name, error) from error
            except StoreFault:
                if spent >= self._patience:
                    raise
            if self._cancel.wait(delay):
                raise Given
            spent += delay
            delay = min(_LONGEST_WAIT, delay * 2)

    def _download(self, origin: Origin, entry: Entry) -> Download:
        return Download(origin, entry, cancel=self._cancel, patience=self._patience, got=self._count)

    def _count(self, got: int) -> None:
        with self._lock:
            self._got += got

    def _fetch(self, name: str, download: Download) -> None:
        began, missing = self._clock(), download.missing()
        try:
            download.run()
        except NoInput as error:
            raise _named(name, error) from error
        seconds = max(0.1, self._clock() - began)
        self._say(f"input {name}: {size(missing)} fetched in {seconds:.1f} s ({size(missing / seconds)}/s).")

    def _put(self, what: Input, origin: Origin, entry: Entry) -> None:
        files = entry.data / origin.files[0].path if origin.single else entry.data
        self.variables[wire.ENV_INPUT_PREFIX + what.name.upper()] = str(files)
        own = self._ground.scratch / "inputs" / what.name
        own.parent.mkdir(parents=True, exist_ok=True)
        own.unlink(missing_ok=True)
        own.symlink_to(files)
        if what.to is not None:
            self._link(what, own)

    def _link(self, what: Input, own: Path) -> None:
        to = Path(os.path.normpath(self._ground.source / str(what.to)))
        inside = to.is_relative_to(self._ground.source) and to != self._ground.source
        if not inside and not (self._ground.own_root and Path(str(what.to)).is_absolute()):
            raise CannotStart(Reason.BAD_SPEC, f"`to: {what.to}` leads out of the repository, and there is {_ELSE}")
        if to.is_symlink() and to.readlink() == own:
            return  # whoever made the container had the right to put it there
        if inside and not to.parent.resolve().is_relative_to(self._ground.source.resolve()):
            raise CannotStart(Reason.BAD_SPEC, f"`to: {what.to}` leads out of the repository through a link.")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            if to.is_dir() and not to.is_symlink() and not any(to.iterdir()):
                to.rmdir()
            to.symlink_to(own)
        except FileExistsError:
            text = f"`to: {what.to}` of the input `{what.name}` is there already, with something in it. Name another."
            raise CannotStart(Reason.BAD_SPEC, text) from None
        except OSError as error:
            text = (
                f"`to: {what.to}` of the input `{what.name}` cannot be made here ({error.strerror}). There is {_ELSE}"
            )
            raise CannotStart(Reason.BAD_SPEC, text) from error


_ELSE = "no such place on this machine for it: name a folder inside the repository, or read $HOURGLASS_INPUT_<NAME>."


def amount(got: float, total: float) -> str:
    """Return `1.2 of 3.4 GB`."""
    whole = size(total)
    number, _, unit = whole.rpartition(" ")
    scale = dict(_UNITS)[unit]
    digits = len(number.partition(".")[2])
    return f"{got / scale:.{digits}f} of {whole}"


def size(count: float) -> str:
    """Return a number of bytes as people read it: `3.4 GB`."""
    for unit, scale in _UNITS:
        if count >= scale:
            value = count / scale
            return f"{value:.1f} {unit}" if value < 100 and unit != "B" else f"{value:.0f} {unit}"
    return "0 B"


_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1.0))


def _size_of(origin: Origin) -> str:
    return size(sum(file.size for file in origin.files))


def _named(name: str, error: NoInput) -> CannotStart:
    return CannotStart(Reason.BAD_SOURCE, f"The input `{name}` cannot be fetched: {error}")
