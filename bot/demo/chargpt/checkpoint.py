"""Checkpoints that cost the training next to nothing and are whole whatever happens.

A save copies the state into pinned memory on a stream of its own, while the GPU computes the next step's gradients;
a thread writes the copy to a temporary name, syncs it and renames it. The newest two are kept. A process that dies at
any moment leaves the last whole file under its name.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

State = Mapping[str, Any]  # nested dicts and lists of tensors, numbers and strings: what `weights_only` loads

_NAME = re.compile(r"ckpt-(\d+)\.pt")


def save_interval(cost: float, between_failures: float, *, least: float = 60.0, most: float = 600.0) -> float:
    """Return how many seconds of training to put between two saves: Young's and Daly's √(2 · cost · time between
    failures), and never more than `most`, which is what a failure may cost.

    `cost` is the seconds a save takes.
    """
    return min(most, max(least, math.sqrt(2 * cost * between_failures)))


def load_newest(*folders: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the checkpoint of the furthest step that loads, with its path; None where there is none.

    A file that does not load, which another program may have left, is said and passed over.
    """
    for path in reversed(_by_step(path for folder in folders for path in folder.glob("ckpt-*.pt"))):
        try:
            return path, torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            print(f"{path} does not load ({error}); looking for an older one", flush=True)
    return None


def _by_step(paths: Iterable[Path]) -> list[Path]:
    found = [(int(match[1]), path) for path in paths if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


class Checkpoints:
    """The checkpoints of one run in one folder, written by one process."""

    def __init__(self, folder: Path, *, keep: int = 2, written: Callable[[Path], object] = lambda path: None) -> None:
        """Keep the newest `keep` files; `written` is told of each from the writer's thread."""
        self.folder, self.keep, self.written = folder, keep, written
        self.seconds = 0.0  # that the last save took, from the copy to the rename
        self._stream = torch.cuda.Stream() if torch.cuda.is_available() else None
        self._copied: torch.cuda.Event | None = None
        self._buffers: dict[str, torch.Tensor] = {}
        self._writer: threading.Thread | None = None
        self._error: OSError | RuntimeError | None = None
        # The checksum holds Python's lock for as long as the write takes, and torch reads it nowhere.
        torch.serialization.set_crc32_options(False)

    @property
    def busy(self) -> bool:
        """Whether the last save is still being written."""
        return self._writer is not None and self._writer.is_alive()

    def save(self, step: int, state: State) -> None:
        """Begin to save `state` as of now; returns before it is written, raises what went wrong with the last one.

        The caller changes no tensor in `state` before it has called `settle`. Waits for the last save, if need be.
        """
        self.wait()
        began = time.monotonic()
        if self._stream:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                snapshot = self._copy(state, "", {})
                self._copied = torch.cuda.Event(blocking=True)
                self._copied.record(self._stream)
        else:
            snapshot = self._copy(state, "", {})
        # Not a daemon: a script that comes to its end lets the last write come to its own.
        self._writer = threading.Thread(target=self._write, args=(step, snapshot, self._copied, began))
        self._writer.start()

    def settle(self) -> None:
        """Let the GPU finish the copy before whatever is queued next; the host does not wait."""
        if self._copied:
            torch.cuda.current_stream().wait_event(self._copied)

    def wait(self) -> None:
        """Return when the last save is on the disk; raises `OSError` or `RuntimeError` if it is not."""
        if self._writer:
            self._writer.join()
        self._writer, self._copied = None, None
        error, self._error = self._error, None
        if error:
            raise error

    def _copy(self, value: Any, path: str, seen: dict[tuple[int, torch.Size], torch.Tensor]) -> Any:
        """Return `value` with its tensors copied to host memory; each place has one buffer for the whole run."""
        if isinstance(value, Mapping):
            return {key: self._copy(inner, f"{path}/{key}", seen) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._copy(inner, f"{path}/{number}", seen) for number, inner in enumerate(value))
        if not isinstance(value, torch.Tensor):
            return value
        key = (value.data_ptr(), value.shape)
        if value.numel() and key in seen:  # tied weights are copied, and saved, once
            return seen[key]
        buffer = self._buffers.get(path)
        if buffer is None or buffer.shape != value.shape or buffer.dtype != value.dtype:
            buffer = torch.empty(value.shape, dtype=value.dtype, pin_memory=self._stream is not None)
            self._buffers[path] = buffer
        buffer.copy_(value.detach(), non_blocking=True)
        if self._stream and value.is_cuda:
            value.record_stream(self._stream)
        return seen.setdefault(key, buffer)

    def _write(self, step: int, snapshot: State, copied: torch.cuda.Event | None, began: float) -> None:
        path = self.folder / f"ckpt-{step:06d}.pt"
        temporary = path.with_suffix(".tmp")
        try:
            if copied:
                copied.synchronize()
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(snapshot, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            handle = os.open(self.folder, os.O_RDONLY)
            os.fsync(handle)  # the rename, too, has to outlast a power cut
            os.close(handle)
            self._prune(path)
        except (OSError, RuntimeError) as error:  # a full disk is either, by who meets it; `wait` raises it
            self._error = error
            return
        self.seconds = time.monotonic() - began
        self.written(path)

    def _prune(self, newest: Path) -> None:
        """Remove what is older than the newest few, and what killed writers left."""
        others = [path for path in _by_step(self.folder.glob("ckpt-*.pt")) if path != newest]
        for path in [*others[: max(0, len(others) - self.keep + 1)], *self.folder.glob("ckpt-*.tmp")]:
            path.unlink(missing_ok=True)
