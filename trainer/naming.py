"""What a checkpoint is called in the store, and the step that the names of its files tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from trainer.filenames import WEIGHTS
from trainer.units import Unit

_STEP = re.compile(
    r"(?:(?:step|steps|iter|iteration)[-_=]?|(?:checkpoint|ckpt|model|state)[-_=])0*(\d+)", re.IGNORECASE
)
_OF_STEPS = re.compile(r"step|iter", re.IGNORECASE)
_KERAS = (".keras", ".h5")  # its callback fills in the epoch: "model-{epoch:02d}.keras"
_PADDED = re.compile(r"(?:model|state)[-_=]0\d{0,2}(?!\d)", re.IGNORECASE)  # as epochs are, in a few digits
_ORDINARY = frozenset({"ckpt", "checkpoint", "last", "latest", "model", "state", "snapshot", "weights"})


def step_of(found: Unit) -> int | None:
    """Return the step that its folder's name tells, or one of its files'."""
    names = [found.path.name, *(file.name for file in found.saved_as)]
    return next((step for name in names if (step := step_in(name)) is not None), None)


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
