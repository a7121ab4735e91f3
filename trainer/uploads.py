"""The thread that looks for checkpoints, and how the agent talks to it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trainer.artifacts import Artifacts
from trainer.settled import Cut

_LOOK = 1.0  # seconds between looks; what is due is decided there
_RETRY = 0.5  # seconds between tries of the last upload
_TRIES = 3  # of a last look that trips; a machine is not held to its deadline for it


class Uploads:
    """Runs `Artifacts.look` again and again, and to a good end when the command has ended."""

    def __init__(self, artifacts: Artifacts, *, notice: Callable[[str, str], None]) -> None:
        self._artifacts = artifacts
        self._notice = notice
        self._named: queue.SimpleQueue[tuple[Path, float]] = queue.SimpleQueue()
        self._wake = threading.Semaphore(0)
        self._finish = threading.Event()
        self._killed_at: float | None = None
        self._abandon = threading.Event()
        self._done = threading.Event()
        self._tripped = 0  # looks that raised; those before the last one are not counted with it
        self._said = False
        self._again: set[Path] = set()  # named in a look that tripped
        threading.Thread(target=self._run, name="uploads", daemon=True).start()

    def named(self, path: Path) -> None:
        """Take a path of which the script says that it is complete."""
        self._named.put((path, time.time()))
        self._wake.release()

    def hurry(self, *cuts: Cut) -> None:
        """Look at once and from now on without a pause: the script is asked to save, or a part of it was ended."""
        self._artifacts.hurry(*cuts)
        self._wake.release()

    def finish(self, killed_at: float | None = None) -> None:
        """Take one last look, with nothing to wait for: nobody writes any more.

        `killed_at` is when whoever wrote was killed, in unix seconds; None where it ended by itself.
        """
        self._killed_at = killed_at
        self._artifacts.hurry()
        self._finish.set()
        self._wake.release()

    def finished(self, timeout: float) -> bool:
        """Return whether the last look is done, after waiting for `timeout` seconds at most."""
        return self._done.wait(timeout)

    def abandon(self) -> str:
        """Start no further upload; return what is not in the store."""
        self._abandon.set()
        self._artifacts.abandon()
        return self._artifacts.unsent()

    def _run(self) -> None:
        try:
            while not self._finish.is_set():
                self._look()
                self._wake.acquire(timeout=_LOOK)
            self._tripped = 0
            while not self._look(final=True):
                if self._abandon.wait(_RETRY):
                    return
        finally:
            self._done.set()

    def _look(self, *, final: bool = False) -> bool:
        """Look once, and outlive what trips it; return whether there is nothing more to try."""
        heard, more = self._waiting(), lambda: not self._named.empty()
        try:
            return self._artifacts.look(
                final=final, killed_at=self._killed_at, named=list(heard), heard=heard, more=more
            )
        except Exception as error:  # noqa: BLE001  a checkpoint that trips us must cost no other one
            self._tripped += 1
            for path in [path for path in heard if path not in self._again]:
                self._again.add(path)  # once: it may be what trips us
                self._named.put((path, heard[path]))
            why = f"{type(error).__name__}: {ascii(str(error))[1:-1][:200]}"
        if not self._said:
            self._said = True
            self._notice("internal", f"A look for checkpoints failed ({why}). It is tried again; some may not be kept.")
        if not final or self._tripped < _TRIES:
            return False
        self._notice("internal_last", f"The last look for checkpoints failed ({why}). What was saved last is not kept.")
        return True

    def _waiting(self) -> dict[Path, float]:
        """Return what the script has named since the last look, and when it did so last, in unix seconds."""
        heard: dict[Path, float] = {}
        while True:
            try:
                path, at = self._named.get_nowait()
            except queue.Empty:
                return heard
            heard[path] = max(at, heard.get(path, at))
