"""The thread that looks for checkpoints, and how the agent talks to it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from trainer.artifacts import Artifacts

_LOOK = 1.0  # seconds between looks; what is due is decided there
_RETRY = 0.5  # seconds between tries of the last upload


class Uploads:
    """Runs `Artifacts.look` again and again, and to a good end when the command has ended."""

    def __init__(self, artifacts: Artifacts, *, notice: Callable[[str, str], None]) -> None:
        self._artifacts = artifacts
        self._notice = notice
        self._named: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._wake = threading.Semaphore(0)
        self._finish = threading.Event()
        self._abandon = threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self._run, name="uploads", daemon=True).start()

    def named(self, path: Path) -> None:
        """Take a path of which the script says that it is complete."""
        self._named.put(path)
        self._wake.release()

    def finish(self) -> None:
        """Take one last look, with nothing to wait for: nobody writes any more."""
        self._finish.set()
        self._wake.release()

    def finished(self, timeout: float) -> bool:
        """Return whether the last look is done, after waiting for `timeout` seconds at most."""
        return self._done.wait(timeout)

    def abandon(self) -> None:
        """Start no further upload."""
        self._abandon.set()

    def _run(self) -> None:
        try:
            while not self._finish.is_set():
                self._artifacts.look(named=self._waiting())
                self._wake.acquire(timeout=_LOOK)
            while not self._artifacts.look(final=True, named=self._waiting()):
                if self._abandon.wait(_RETRY):
                    return
        except Exception as error:  # noqa: BLE001  a checkpoint that trips us must not end the run unsaid
            self._notice("internal", f"Looking for checkpoints ended with {type(error).__name__}: {error}")
        finally:
            self._done.set()

    def _waiting(self) -> list[Path]:
        paths = []
        while True:
            try:
                paths.append(self._named.get_nowait())
            except queue.Empty:
                return paths
