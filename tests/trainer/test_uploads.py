"""The thread that looks for checkpoints outlives what trips a look, and says what that may cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.uploads import Uploads

_LONG = 30.0  # seconds at most that something waited for may take


class Tripping:
    """Stands in for `Artifacts`: the looks that `trips` names by their number raise, the final ones each if told so."""

    def __init__(self, trips: Sequence[int] = (), *, at_the_end: bool = False) -> None:
        self.trips = trips
        self.at_the_end = at_the_end
        self.looks = 0
        self.named: list[Path] = []
        self.heard: dict[Path, float] = {}
        self.looked = threading.Semaphore(0)

    def hurry(self) -> None:
        """Look without a pause, which this one does anyway."""

    def look(
        self, *, final: bool = False, named: Sequence[Path] = (), heard: Mapping[Path, float] = {}, **_: object
    ) -> bool:
        self.looks += 1
        self.looked.release()
        if self.looks in self.trips or (final and self.at_the_end):
            raise ValueError("embedded null byte")
        self.named += named
        self.heard.update(heard)
        return True


class Watched:
    """The uploads of such looks, and what was said."""

    def __init__(self, artifacts: Tripping) -> None:
        self.artifacts = artifacts
        self.notices: list[tuple[str, str]] = []
        self.uploads = Uploads(artifacts, notice=lambda code, text: self.notices.append((code, text)))  # type: ignore[arg-type]  # as much of it as the thread asks

    def looks(self, count: int) -> None:
        for _ in range(count):
            assert self.artifacts.looked.acquire(timeout=_LONG)


def test_a_look_that_trips_ends_no_other_and_is_said_once() -> None:
    run = Watched(Tripping(trips=(1, 2)))
    run.looks(1)
    run.uploads.named(Path("a"))
    run.looks(1)
    run.uploads.named(Path("b"))
    run.looks(1)
    run.uploads.finish()
    assert run.uploads.finished(_LONG)
    assert [code for code, _ in run.notices] == ["internal"]
    assert "may not be kept" in run.notices[0][1]
    assert sorted(run.artifacts.named) == [Path("a"), Path("b")]  # what the look that tripped was asked for, too


def test_a_last_look_that_trips_each_time_is_given_up_with_a_word() -> None:
    run = Watched(Tripping(at_the_end=True))
    run.looks(1)
    run.uploads.finish()
    assert run.uploads.finished(_LONG)
    assert [code for code, _ in run.notices] == ["internal", "internal_last"]
    assert "not kept" in run.notices[-1][1]
    assert run.artifacts.looks <= 5


def test_it_is_told_when_the_script_has_named_a_path_last() -> None:
    before, run = time.time(), Watched(Tripping())
    run.uploads.named(Path("a"))
    run.uploads.named(Path("a"))
    run.uploads.finish()
    assert run.uploads.finished(_LONG)
    assert list(run.artifacts.heard) == [Path("a")]
    assert before <= run.artifacts.heard[Path("a")] <= time.time()
