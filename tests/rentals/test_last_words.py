"""A gone machine's last words are read to their end, also while another thread reads them too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jobs.follow import Follow
from jobs.lifecycle import JobState
from jobs.model import Attempt
from jobs.rentals import Rentals
from tests.support.builders import a_spec
from tests.support.world import World
from trainer.storage import FolderStore


class MeddledStore(FolderStore):
    """A folder in which somebody else applies the next chunk just as it is read."""

    def __init__(self, root: Path, other: Follow) -> None:
        super().__init__(root)
        self.other = other
        self.meddle = True

    def get(self, key: str, most: int = -1) -> bytes | None:
        data = super().get(key, most)
        if self.meddle and data is not None and "/events/" in key:
            self.meddle = False
            self.other.round()
        return data


def test_last_words_are_read_to_the_end_beside_a_faster_reader(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    (attempt,) = world.attempts(job_id)
    store = MeddledStore(world.store.root, world.follow)
    drained = Follow(db=world.db, clock=world.clock, store=store, wake=world.woken.append)
    agent.says("progress", step=1, total=2)
    agent.says("progress", step=2, total=2)
    # The other reader is given one chunk only: the second lies there when the first is found to be applied.
    later = max(tmp_path.rglob("events/*.jsonl"))
    hidden = later.rename(later.with_suffix(".hidden"))
    original = store.other.round

    class OneChunk:
        def round(self) -> int:
            applied = original()
            hidden.rename(later)
            return applied

    store.other = OneChunk()  # type: ignore[assignment]  # the one verb that is called
    drained.drain(attempt)
    assert world.job(job_id).step == 2


def test_words_that_cannot_be_written_down_keep_no_job_from_its_end(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.saves("step-000100", 100, removed=["\udc80"])  # as Python reads a file name that is no UTF-8
    agent.ends()
    world.pass_time(minutes=5)

    assert world.job(job_id).state is JobState.SUCCEEDED
    assert world.balanced() and world.period().held == 0


def test_a_chunk_that_breaks_its_reader_hides_nothing_behind_it(tmp_path: Path) -> None:
    class Breaking(FolderStore):
        def get(self, key: str, most: int = -1) -> bytes | None:
            if key.endswith("/manifest.json"):
                raise RuntimeError("a defect of an SDK")
            return super().get(key, most)

    world = World(tmp_path)
    job_id, agent = world.running()
    world.store = Breaking(tmp_path)
    world.restart()
    agent.saves("step-000100", 100)
    agent.ends()
    world.pass_time(minutes=2)
    assert world.job(job_id).state is JobState.SUCCEEDED


def test_a_reader_that_breaks_on_the_last_words_keeps_no_job_from_its_end(tmp_path: Path) -> None:
    def broken(attempt: Attempt) -> int:
        raise RuntimeError("a defect of ours")

    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    world.rentals = Rentals(dataclasses.replace(world.ports, drain=broken), silence=0.0)
    world.clock.advance(minutes=60)
    world.pass_time(minutes=15, every=60)

    assert world.job(job_id).state is JobState.TIMED_OUT
    assert world.balanced() and world.period().held == 0
