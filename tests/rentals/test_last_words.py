"""A gone machine's last words are read to their end, also while another thread reads them too."""

from __future__ import annotations

from pathlib import Path

from jobs.follow import Follow
from tests.support.world import World
from trainer.storage import FolderStore


class MeddledStore(FolderStore):
    """A folder in which somebody else applies the next chunk just as it is read."""

    def __init__(self, root: Path, other: Follow) -> None:
        super().__init__(root)
        self.other = other
        self.meddle = True

    def get(self, key: str) -> bytes | None:
        data = super().get(key)
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
