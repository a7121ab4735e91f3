"""What lies in a checkpoint folder: single files and folders that make one checkpoint each, and what to call them.

Links are never followed and pipes never opened: what is uploaded is what was written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.whole import State, file_state, folder_state, regular

WEIGHTS = frozenset(
    {".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".npz", ".npy", ".pkl", ".h5", ".keras", ".gguf", ".onnx"}
    | {".msgpack", ".distcp", ".tar"}
)
# What else belongs to a model when it lies beside weights: `config.json`, `tokenizer.model`.
_BESIDE = frozenset({".json", ".txt", ".model", ".yaml", ".yml", ".jinja"})
_CHECKPOINT_FOLDER = re.compile(r"^(?:checkpoint|ckpt|step|epoch|global_step|iter|model)[-_=]?\d+$", re.IGNORECASE)
_MODEL_FILE = re.compile(r"^(?:model|pytorch_model|adapter_model)(?:-\d+-of-\d+)?\.(?:safetensors|bin)$")
_STEP = re.compile(
    r"(?:(?:step|steps|iter|iteration)[-_=]?|(?:checkpoint|ckpt|model|state)[-_=])0*(\d+)", re.IGNORECASE
)
_DEEPSPEED_FOLDER = re.compile(r"^global_step\d+$")
_OF_STEPS = re.compile(r"step|iter", re.IGNORECASE)
_KERAS = (".keras", ".h5")  # its callback fills in the epoch: "model-{epoch:02d}.keras"
_PADDED = re.compile(r"(?:model|state)[-_=]0\d{0,2}(?!\d)", re.IGNORECASE)  # as epochs are, in a few digits
# What careful writers use before they rename.
_TEMPORARY = re.compile(r"\.tmp|\.part|~$|\.incomplete|\.lock")
_ORDINARY = frozenset({"ckpt", "checkpoint", "last", "latest", "model", "state", "snapshot", "weights"})
_DEEPEST = 4  # folders below the checkpoint path; Lightning's are at 3
_MOST = 20_000  # entries; more than that is a data set, not checkpoints


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One checkpoint as it lies on the disk: its files, and the status that tells when they change."""

    path: Path  # the file, or the folder
    files: Sequence[Path]
    print: tuple[tuple[str, int, int, int], ...]  # name, size, mtime in ns, inode
    written: float  # unix seconds of the last change

    def state(self) -> State:
        """Return what its format says of it now."""
        return file_state(self.path) if self.files == (self.path,) else folder_state(self.path, self.files)


class TooMuch(Exception):
    """There is more under the checkpoint path than checkpoints are made of."""


def find(root: Path) -> list[Unit]:
    """Return the units at `root`, a file or a folder, the oldest first; raises `TooMuch`."""
    if regular(root):
        units = [unit(root, (root,))]
    elif root.is_dir() and not root.is_symlink():
        units = list(_within(root, 0, iter(range(_MOST))))
    else:
        units = []
    return sorted((found for found in units if found), key=lambda found: found.written)


def unit(path: Path, files: Sequence[Path]) -> Unit | None:
    """Return the unit of these files, or None when one of them is gone or is no regular file."""
    prints = []
    for file in files:
        status = regular(file)
        if status is None:
            return None
        prints.append((str(file), status.st_size, status.st_mtime_ns, status.st_ino))
    if not prints:
        return None
    newest = max(entry[2] for entry in prints) / 1e9
    return Unit(path=path, files=tuple(files), print=tuple(sorted(prints)), written=newest)


def named(path: Path) -> Unit | None:
    """Return the unit at a path that a script names itself."""
    if path.is_dir() and not path.is_symlink():
        return unit(path, tuple(_files(path, 0, iter(range(_MOST)))))
    return unit(path, (path,))


def _within(folder: Path, depth: int, budget: Iterator[int]) -> Iterator[Unit | None]:
    entries = _entries(folder, budget)
    files = [path for path in entries if regular(path)]
    if any(_MODEL_FILE.match(path.name) for path in files) and depth > 0:
        yield unit(folder, tuple(_files(folder, depth, budget)))
        return
    if any(_MODEL_FILE.match(path.name) for path in files):  # a final model beside the checkpoint folders
        model = tuple(path for path in files if path.suffix in WEIGHTS | _BESIDE)
        yield unit(folder, model)
        files = []
    for path in files:
        if path.suffix in WEIGHTS:
            yield unit(path, (path,))
    for path in entries:
        if path.is_symlink() or not path.is_dir():
            continue
        if _DEEPSPEED_FOLDER.match(path.name):
            if pointer := _pointer_to(path):
                yield unit(path, (*_files(path, depth, budget), pointer))
        elif _CHECKPOINT_FOLDER.match(path.name) or (path / ".metadata").exists():
            yield unit(path, tuple(_files(path, depth, budget)))
        elif depth < _DEEPEST:
            yield from _within(path, depth + 1, budget)


def _pointer_to(folder: Path) -> Path | None:
    """Return DeepSpeed's `latest` beside the folder if it names it: it is written last, and needed for loading."""
    pointer = folder.parent / "latest"
    try:
        return pointer if regular(pointer) and pointer.read_text().strip() == folder.name else None
    except (OSError, UnicodeDecodeError):
        return None


def _files(folder: Path, depth: int, budget: Iterator[int]) -> Iterator[Path]:
    for path in _entries(folder, budget):
        if regular(path):
            yield path
        elif depth < 2 * _DEEPEST and path.is_dir() and not path.is_symlink():
            yield from _files(path, depth + 1, budget)


def _entries(folder: Path, budget: Iterator[int]) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    for _ in paths:
        if next(budget, None) is None:
            raise TooMuch(f"more than {_MOST:,} files")
    return [path for path in paths if not _TEMPORARY.search(path.name)]


def step_in(name: str) -> int | None:
    """Return the step that a file's or folder's name tells: 400 for "epoch=3-step=400.ckpt", none for an epoch."""
    if not _OF_STEPS.search(name) and (name.endswith(_KERAS) or _PADDED.search(name)):
        return None
    found = _STEP.findall(name)
    return int(found[-1]) if found and len(found[-1]) < 16 else None


def name_of(path: Path, step: int | None, taken: Mapping[str, object]) -> str:
    """Return a name for the checkpoint at `path` that is safe in a key and not in `taken`."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem if path.suffix in WEIGHTS else path.name).strip(".-_")[:48]
    stem = stem or "ckpt"
    if step is not None and (step_in(path.name) is not None or stem.lower() in _ORDINARY):
        base = f"step-{step:06d}"
    elif step is not None:
        base = f"{stem}-{step:06d}"
    else:
        base = stem
    if base not in taken and (step is not None or stem.lower() not in _ORDINARY):
        return base
    number = 2 if step is not None or stem.lower() not in _ORDINARY else 1
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"
