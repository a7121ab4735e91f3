"""What lies in a checkpoint folder: which files make one checkpoint together.

A checkpoint is what a script saves together: a folder that a library wrote as a whole; else the files of one folder
whose names speak of the same save and that were written within the same short while (`trainer.filenames` reads the
names). Links are never followed and pipes never opened: what is uploaded is what was written here.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.filenames import MODEL_FILE, POINTERS, WEIGHTS, bare, is_all, moment
from trainer.whole import State, file_state, folder_state, is_folder, regular

# What else belongs to a model when it lies beside weights: `config.json`, `tokenizer.model`.
_BESIDE = frozenset({".json", ".txt", ".model", ".yaml", ".yml", ".jinja"})
_CHECKPOINT_FOLDER = re.compile(r"^(?:checkpoint|ckpt|step|epoch|global_step|iter|model)[-_=]?\d+$", re.IGNORECASE)
_CHECKPOINT_FILE = re.compile(r"^(?:checkpoint|ckpt)_\d+$")  # flax
_DATA = re.compile(r"\.data-\d+-of-\d+$")  # of TensorFlow, beside its `.index`
# What a Trainer saves beside the model, in the same folder.
_OF_TRAINER = re.compile(
    r"^(?:training_args|optimizer|scheduler|scaler|sampler|rng_state|random_states|custom_checkpoint)"
)
# Written into a folder that is one checkpoint as a whole: torch's distributed ones, Orbax, TensorFlow.
_MARKERS = frozenset({".metadata", "_CHECKPOINT_METADATA", "_METADATA", "saved_model.pb"})
_DEEPSPEED = re.compile(r"^(?:(?:bf16_)?zero_pp_rank_\d+_|mp_rank_\d+_model_states\.pt$)")
_DEEPSPEED_FOLDER = re.compile(r"^global_step\d+$")
_EVENTS = re.compile(r"^events\.out\.tfevents|\.log$")
# No checkpoint of any form.
_READ_BY_PEOPLE = re.compile(
    r"tfevents|\.(?:jsonl?|txt|log|csv|tsv|ya?ml|toml|md|html?|png|jpe?g|gif|svg|pdf|mp4|wav|py|jinja)$|^\.",
    re.IGNORECASE,
)
# What careful writers use before they rename.
_TEMPORARY = re.compile(r"[.-]tmp|^tmp[-_]|\.part|~$|\.incomplete|\.lock")
_DEEPEST = 5  # folders below the checkpoint path; Lightning's are at 3, below Hydra's day and time at 5
_MOST = 20_000  # entries; more than that is a data set, not checkpoints
_MOST_TOLD = 4_096  # bytes that are read of a file that points to a checkpoint
_WHILE = 10.0  # seconds within which the files of one save are written …
_WHILE_NUMBERED = 300.0  # … where their names hold the same step besides
_SLOW_DISK = 50e6  # bytes a second; a large file takes longer


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One checkpoint as it lies on the disk: its files, and the status that tells when they change."""

    path: Path  # its folder, or where it is none of its own the file that says most of it
    files: Sequence[Path]
    print: tuple[tuple[str, int, int, int], ...]  # name, size, mtime in ns, inode
    written: float  # unix seconds of the last change

    def state(self) -> State:
        """Return what its format says of it now; what is gone is no checkpoint."""
        try:
            return self._state()
        except OSError:
            return State.BROKEN

    def _state(self) -> State:
        if self.files == (self.path,):
            return file_state(self.path)
        state = folder_state(self.path.parent if self.is_loose else self.path, self.files)
        # DeepSpeed and Megatron write last which one is the newest.
        pointed = not self.is_loose and any(file.name in POINTERS for file in self.files)
        return State.WHOLE if pointed and state is State.UNKNOWN else state

    @property
    def is_loose(self) -> bool:
        """Whether it is files beside others, and no folder of its own."""
        return self.path in self.files

    @property
    def saved_as(self) -> Sequence[Path]:
        """Return what it takes the place of, when that is saved again: its folder, or each file with weights."""
        return self._weights() if self.is_loose else [self.path]

    def is_new(self, known: Collection[tuple[str, int, int, int]]) -> bool:
        """Return whether something of it is not `known`; what lies beside weights makes no new checkpoint."""
        count = {str(file) for file in (self._weights() if self.is_loose else self.files)}
        return any(entry[0] in count and entry not in known for entry in self.print)

    def is_there(self) -> bool:
        """Return whether it still lies where it was, unchanged but for what points to it."""
        files = [file for file in self.files if file.name not in POINTERS]
        now = unit(self.path, files)
        return now is not None and set(now.print) <= set(self.print)

    def without(self, left_out: Iterable[Path]) -> Unit | None:
        """Return what is left of a loose one; None where that is nothing, and of a folder, which is all or nothing."""
        if not self.is_loose:
            return None
        out = set(left_out)
        left = tuple(file for file in self.files if file not in out)
        weights = [file for file in self._weights() if file in left]
        return unit(self.path if self.path in left else weights[0], left) if weights else None

    def _weights(self) -> list[Path]:
        # A loose archive is one of weights, else it would be none of these files.
        return [file for file in self.files if is_weights(file) or file.suffix == ".zip"] or [self.path]


class TooMuch(Exception):
    """There is more under the checkpoint path than checkpoints are made of."""


def find(root: Path) -> list[Unit]:
    """Return the units at `root`, a file or a folder, the oldest first; raises `TooMuch`."""
    if regular(root):
        units = [unit(root, (root,))]
    elif is_folder(root):
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
    """Return the unit at a path that a script names itself; raises `TooMuch`."""
    if is_folder(path):
        return unit(path, tuple(_files(path, 0, iter(range(_MOST)))))
    return unit(path, (path,))


def others(root: Path) -> list[Path]:
    """Return the files under `root` that could be checkpoints of a form that is not known; raises `TooMuch`."""
    budget = iter(range(_MOST))
    known = {file for found in find(root) for file in found.files}
    under = _files(root, 0, budget) if is_folder(root) else ()
    return [file for file in under if file not in known and not _READ_BY_PEOPLE.search(file.name)]


def is_weights(file: Path) -> bool:
    """Return whether a file's name is one of a checkpoint's."""
    return file.suffix in WEIGHTS or bool(_CHECKPOINT_FILE.match(file.name) or _DATA.search(file.name))


# ---------------------------------------------------------------- what lies in one folder


def _within(folder: Path, depth: int, budget: Iterator[int]) -> Iterator[Unit | None]:
    entries = _entries(folder, budget)
    files = [path for path in entries if regular(path)]
    folders = [path for path in entries if is_folder(path)]
    if _is_whole(files):
        yield unit(folder, tuple(_files(folder, depth, budget)))
        return
    beside = files
    if own := _model(files, at_root=depth == 0):
        parts = [one for one in folders if _has_parts(files) and _is_part(one, budget)]
        inner = [file for part in parts for file in _files(part, depth + 1, budget)]
        yield unit(folder, (*own, *inner))
        files = [file for file in files if file not in set(own)]
        folders = [one for one in folders if one not in parts]
    yield from _loose(files)
    for path in folders:
        yield from _folder(path, depth, budget, beside)


def _folder(path: Path, depth: int, budget: Iterator[int], beside: Sequence[Path]) -> Iterator[Unit | None]:
    """Yield what is in one of a folder's folders; `beside` are the files that lie where it does."""
    inner = _entries(path, budget)
    by_name = _CHECKPOINT_FOLDER.match(path.name) and not _holds_checkpoints(inner)
    if by_name or any(_DEEPSPEED.match(one.name) for one in inner):
        pointers = _pointers(path, beside)
        # DeepSpeed writes it last; another tag than its own may be followed by one that it names now.
        if pointers or not _DEEPSPEED_FOLDER.match(path.name):
            yield unit(path, (*_files(path, depth, budget), *pointers))
    elif depth < _DEEPEST:
        yield from _within(path, depth + 1, budget)


def _holds_checkpoints(entries: Sequence[Path]) -> bool:
    """Return whether there is nothing but checkpoint folders: those of one setting of several."""
    inner = [one for one in entries if is_folder(one)]
    return bool(inner) and len(inner) == len(entries) and all(_CHECKPOINT_FOLDER.match(one.name) for one in inner)


def _is_whole(files: Sequence[Path]) -> bool:
    return any(path.name in _MARKERS or path.suffix == ".distcp" for path in files)


def _model(files: Sequence[Path], *, at_root: bool) -> Sequence[Path]:
    """Return what a library saved of a model into a folder; nothing where it is none's."""
    saved = any(MODEL_FILE.match(path.name) for path in files)
    if not _has_parts(files) and not (saved and (not at_root or any(path.suffix == ".json" for path in files))):
        return ()
    return [path for path in files if _belongs(path, at_root)]


def _has_parts(files: Sequence[Path]) -> bool:
    return any(path.name in ("model_index.json", "modules.json") for path in files)


def _belongs(path: Path, at_root: bool) -> bool:
    if is_weights(path):  # "best.pt" lies there, and is none of the library's
        return bool(MODEL_FILE.match(path.name) or _OF_TRAINER.match(path.name) or not moment(path.name))
    return path.suffix in _BESIDE if at_root else not _EVENTS.search(path.name)


def _is_part(folder: Path, budget: Iterator[int]) -> bool:
    """Return whether a folder within a model's belongs to it: `unet`, or sentence-transformers' `1_Pooling`."""
    named = _CHECKPOINT_FOLDER.match(folder.name)
    return not named and any(one.suffix == ".json" and regular(one) for one in _entries(folder, budget))


def _loose(files: Sequence[Path]) -> Iterator[Unit | None]:
    """Yield checkpoints of the files that lie in a folder side by side."""
    by_moment: dict[tuple[str, ...], list[Path]] = {}
    besides: dict[object, list[Path]] = {}  # by moment and by name
    for path in files:
        if is_weights(path) or _is_archive_of_weights(path):
            by_moment.setdefault(moment(path.name), []).append(path)
        elif path.suffix in _BESIDE:
            for key in (moment(path.name), bare(path.name)):
                besides.setdefault(key, []).append(path)
    pointers = [path for path in files if path.name in POINTERS]
    for when, together in by_moment.items():
        numbered = any(word[:1].isdecimal() for word in when)
        for saved in _written_together(together, _WHILE_NUMBERED if numbered else _WHILE):
            first = min(saved, key=lambda path: (not is_all(path.name), path.name))
            keys = [*(bare(path.name) for path in saved), *([when] if numbered else [])]
            beside = dict.fromkeys(path for key in keys for path in besides.get(key, ()))
            yield unit(first, (*saved, *beside, *_pointers(first, pointers)))


def _written_together(files: Sequence[Path], within: float) -> Iterator[list[Path]]:
    """Yield files that were written within a while of each other, a large one being written longer."""
    seen = sorted((status.st_mtime, path, status.st_size) for path in files if (status := regular(path)))
    saved: list[Path] = []
    until = 0.0
    for at, path, size in seen:
        took = size / _SLOW_DISK
        if saved and at > until + took:
            yield saved
            saved = []
        until = until + took if saved else at + within
        saved.append(path)
    if saved:
        yield saved


def _is_archive_of_weights(path: Path) -> bool:
    """Return whether a `.zip` is a checkpoint, as Stable-Baselines writes it."""
    if path.suffix != ".zip":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(Path(name).suffix in WEIGHTS for name in archive.namelist()[:_MOST])
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False  # or not yet


def _pointers(path: Path, beside: Sequence[Path]) -> list[Path]:
    """Return the small files that say of this checkpoint that it is the newest: they are needed for loading."""
    name = bare(path.name)
    number = re.search(r"\d+$", name)
    told = []
    for pointer in beside:
        if pointer.name in POINTERS and pointer != path:
            words = set(re.split(r"[\s\"':/\\]+", _text(pointer)))
            if {path.name, name} & words or (number and pointer.suffix and words & {number[0], number[0].lstrip("0")}):
                told.append(pointer)
    return told


def _text(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(_MOST_TOLD)
    except OSError:
        return ""


def _files(folder: Path, depth: int, budget: Iterator[int]) -> Iterator[Path]:
    for path in _entries(folder, budget):
        if regular(path):
            yield path
        elif depth < 2 * _DEEPEST and is_folder(path):
            yield from _files(path, depth + 1, budget)


def _entries(folder: Path, budget: Iterator[int]) -> list[Path]:
    names = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:  # of millions no more is read than is told of
                if next(budget, None) is None:
                    raise TooMuch(f"more than {_MOST:,} files")
                names.append(entry.name)
    except OSError:
        return []
    return [folder / name for name in sorted(names) if not _TEMPORARY.search(name)]
