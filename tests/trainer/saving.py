"""A run that saves: its folder, its store, what was told of it, and the hand that lets time pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.trainer.fakes import HandClock, Moody
from tests.trainer.test_whole import zipped
from trainer import wire
from trainer.artifacts import Artifacts, Place
from trainer.sealed import Key
from trainer.sending import snapshot
from trainer.wire import CheckpointRule, Manifest


class Run:
    """A run's folder, its store, and what was told."""

    def __init__(
        self, folder: Path, path: str = "out", keep: int = 2, upload_every: float = 10.0, key: Key | None = None
    ) -> None:
        self.copying: Callable[[Path, Path], Path] = snapshot
        self.store = Moody(folder / "store")
        self.root = folder / "source"
        self.out = self.root / "out"
        self.out.mkdir(parents=True)
        self.clock = HandClock()
        self.told: list[Mapping[str, Any]] = []
        self.notices: list[tuple[str, str]] = []
        self.step: int | None = None
        self.artifacts = Artifacts(
            self.store,
            Place(job="J1", attempt=1, rank=0),
            CheckpointRule(path=path, upload_every=upload_every, keep=keep),
            root=self.root,
            scratch=folder / "snapshots",
            tell=self.told.append,
            notice=lambda code, text: self.notices.append((code, text)),
            step_at=lambda when: self.step,
            clock=self.clock,
            wall=HandClock(1_762_077_600.0),
            copy=lambda file, copy: self.copying(file, copy),
            key=key,
        )

    def names(self) -> list[str]:
        return [told["name"] for told in self.told]

    def manifest(self, name: str) -> Manifest:
        return wire.from_json(Manifest, self.store.get(wire.manifest_key("J1", 1, name)) or b"")


def saved(run: Run, *names: str, minute: float) -> None:
    """Write files at a minute of the run, and let what would be uploaded then be uploaded."""
    at = 1_000.0 + 60.0 * minute
    for name in names:
        zipped(run.out / name, size=1_000)
        os.utime(run.out / name, (at, at))


def in_store(run: Run) -> dict[str, list[str]]:
    """Return the files of each checkpoint that stands in the store."""
    keys = [key for key in run.store.keys("jobs") if key.endswith("/manifest.json")]
    manifests = [wire.from_json(Manifest, run.store.get(key) or b"") for key in keys]
    return {manifest.name: [entry.path for entry in manifest.files] for manifest in manifests}


def looked(run: Run) -> None:
    run.clock.now += 600.0
    run.artifacts.look()
    run.clock.now += 2.0  # what has no end of its own has rested
    run.artifacts.look()
