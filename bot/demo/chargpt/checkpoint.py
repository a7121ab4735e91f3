"""Checkpoints that cost the training next to nothing and are whole whatever happens.

A save copies the state into pinned memory on a stream of its own, while the GPU computes the next step's gradients;
a thread writes the copy to a temporary name, syncs it and renames it. The newest two are kept. A process that dies at
any moment leaves the last whole file under its name.
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch


def find(*folders: Path) -> list[tuple[int, Path]]:
    """Return the folders' checkpoints with their steps, oldest first."""
    paths = (path for folder in folders for path in folder.glob("ckpt-*.pt") if path.stem[5:].isdecimal())
    return sorted((int(path.stem[5:]), path) for path in paths)


def load_newest(*folders: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that loads, with its path; says which do not, as another program may leave them."""
    for _, path in reversed(find(*folders)):
        try:
            return path, torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
            print(f"{path} does not load ({error}); looking for an older one", flush=True)
    return None


class Checkpoints:
    """The checkpoints of one run in one folder, written by one process; its thread tells `written` of each."""

    def __init__(self, folder: Path, *, written: Callable[[Path], object] = lambda path: None) -> None:
        self.folder, self.written = folder, written
        self.seconds, self._began = 0.0, time.monotonic()  # that the last save took, copy to rename; when it began
        self._gpu = torch.cuda if torch.cuda.is_available() else torch.cpu  # whose streams do nothing
        self._stream = self._gpu.Stream()
        self._writer = ThreadPoolExecutor(1)  # a script that comes to its end lets the last write come to its own
        self._writing: Future[None] = Future()
        self._writing.set_result(None)
        # The checksum holds Python's lock for as long as the write takes, and torch reads it nowhere.
        torch.serialization.set_crc32_options(False)

    def is_due(self, failures_every: float, lose_at_most: float) -> bool:
        """Say whether to save now: by Young's and Daly's interval, a minute at least, and not while one is written."""
        pause = min(lose_at_most, max(60.0, (2 * self.seconds * failures_every) ** 0.5))
        return self._writing.done() and time.monotonic() - self._began >= pause

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Begin to save `state` after the last save, or raise its error; no tensor in it may change before `settle`."""
        self.wait()
        self._began = time.monotonic()
        self._stream.wait_stream(self._gpu.current_stream())
        with self._gpu.stream(self._stream):
            snapshot = self._copy(state, {})
        self._writing = self._writer.submit(self._write, step, snapshot)

    def settle(self) -> None:
        """Let the GPU finish the copy before whatever is queued next; the host does not wait."""
        self._gpu.current_stream().wait_stream(self._stream)

    def wait(self) -> None:
        """Return when the last save is on the disk; raises `OSError` or `RuntimeError` if it is not: a full disk."""
        self._writing.result()

    def _copy(self, value: Any, seen: dict[Any, torch.Tensor]) -> Any:
        """Return `value` with its tensors copied to host memory: pinned, which torch keeps for the next save."""
        if isinstance(value, Mapping):
            return {key: self._copy(inner, seen) for key, inner in value.items()}
        if not isinstance(value, torch.Tensor):
            return value
        key = (value.data_ptr(), value.shape, value.dtype)  # tied weights are copied, and saved, once
        if key not in seen:
            seen[key] = value.detach().to("cpu", non_blocking=True, copy=True)
            if value.is_cuda:
                value.record_stream(self._stream)
        return seen[key]

    def _write(self, step: int, snapshot: Any) -> None:
        path = self.folder / f"ckpt-{step:06d}.pt"
        if self._gpu is torch.cuda:
            self._stream.synchronize()
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save(snapshot, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        others = [other for _, other in find(self.folder) if other != path]
        for old in [*others[:-1], *self.folder.glob("ckpt-*.tmp")]:
            old.unlink(missing_ok=True)  # what is older than the newest two, and what killed writers left
        self.seconds = time.monotonic() - self._began
        self.written(path)
