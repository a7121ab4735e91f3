"""Where the task file says that checkpoints lie: what is there, and what of it may be taken.

Nothing is taken through a link that leads out of the working directory, by whatever way it is named; what cannot be
taken is told, and costs nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from trainer import units
from trainer.filenames import WEIGHTS
from trainer.told import Told
from trainer.units import Unit


class CheckpointFolder:
    """The place that a task file names, a folder or one file, under a working directory."""

    def __init__(self, name: str, root: Path, told: Told) -> None:
        """Raise `ValueError` if `name` leads out of `root`."""
        self._name = name
        self._root = root.resolve()
        self._told = told
        self.path = Path(os.path.normpath(self._root / name))
        if Path(name).is_absolute() or not self.path.is_relative_to(self._root):
            raise ValueError(f"checkpoints.path {name!r} leads out of the working directory.")

    def find(self) -> list[Unit]:
        """Return the checkpoints that lie there, the oldest first."""
        try:
            path = self.path.resolve()
            if path.is_relative_to(self._root):
                return units.find(path)
            self._told.once("path", "checkpoint_path", f"{self._name} is a link that leads out; nothing is taken.")
        except units.TooMuch as error:
            self._told.once("much", "checkpoint_path", f"There are {error} under {self._name}; nothing is taken.")
        except OSError as error:
            self._told.once("read", "checkpoint_path", f"{self._name} cannot be read: {error.strerror}.")
        return []

    def named(self, path: Path) -> Unit | None:
        """Return what lies at a path that the script named; None, and a word, where that cannot be taken."""
        try:
            return self._at(path)
        except (OSError, ValueError, units.TooMuch) as error:  # ValueError: no path that any system has
            why = error.strerror if isinstance(error, OSError) else error
            shown = ascii(path.name)[1:-1][:100]
            self._told.once(str(path), "checkpoint_path", f"{shown}, which the script named, is not taken: {why}.")
            return None

    def _at(self, path: Path) -> Unit | None:
        base = self.base()
        if path.is_symlink() or not (base.is_relative_to(self._root) and path.resolve().is_relative_to(base)):
            shown = ascii(path.name)[1:-1][:100]
            self._told.once(str(path), "checkpoint_path", f"{shown} is not under {self._name}; it is not taken.")
            return None
        return units.named(path.resolve())

    def base(self) -> Path:
        """Return what the paths in a manifest are relative to."""
        path = self.path.resolve()
        return path if path.is_dir() else path.parent

    @property
    def home(self) -> Path:
        """Return where a manifest's files belong, also before anything is there."""
        one_file = self.path.is_file() or (self.path.suffix in WEIGHTS and not self.path.is_dir())
        return self.path.parent if one_file else self.path

    def others(self) -> list[Path]:
        """Return the files that could be checkpoints of a form that is not known."""
        try:
            path = self.path.resolve()
            return units.others(path) if path.is_relative_to(self._root) else []
        except (units.TooMuch, OSError):
            return []
