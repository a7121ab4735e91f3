"""What the card says of a machine that boots, out of the log that its warden ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.bootlog import BootLog
from jobs.lifecycle import JobState
from tests.support.builders import a_spec
from tests.support.world import Agent, World
from trainer import wire
from trainer.storage import FolderStore, StoreFault

SPEC = a_spec(minutes=60, providers=("cloud",))
BOOTS = "2026-11-12T09:45:00Z hg-k3-a1-r0 boots and powers off in 3600 seconds.\n"
FETCHES = "2026-11-12T09:45:02Z Fetching the image docker.io/pytorch/pytorch@sha256:ab.\n"
LAYERS = "".join(f"{n:012x}: Pulling fs layer\n" for n in range(9))
DONE = "000000000000: Download complete\n000000000000: Pull complete\n000000000001: Already exists\n"
RUNS = "2026-11-12T09:49:02Z The container runs.\n"


def shipped(world: World, job_id: str, number: int, text: str) -> None:
    """Put a chunk where the machine puts it, and let the bot look."""
    world.store.put(wire.boot_key(job_id, 1, number), text.encode())
    world.follow.round()


def standing(world: World, job_id: str) -> tuple[str, str]:
    job = world.job(job_id)
    return job.stage, job.stage_note


@pytest.mark.parametrize(
    ("chunks", "stage", "note"),
    [
        ([BOOTS], "boot", ""),
        ([BOOTS, "2026-11-12T09:45:02Z Waiting for the container engine.\n"], "engine", ""),
        ([BOOTS + FETCHES], "image", ""),
        ([BOOTS + FETCHES, LAYERS + DONE], "image", "2/9"),
        ([BOOTS + FETCHES + LAYERS[:-30], LAYERS[-30:] + DONE], "image", "2/9"),  # cut in the middle of a line
        ([BOOTS + FETCHES + LAYERS + DONE + FETCHES], "image", ""),  # the mirror did not give it
        ([BOOTS + FETCHES + LAYERS + DONE + RUNS], "container", ""),
        (["\xff\x00 garbage\n" * 50], "boot", ""),
        ([FETCHES + "".join(f"{n:012x}: Pulling fs layer\n" for n in range(5000))], "image", "0/500"),
    ],
)
def test_what_a_boot_log_says(chunks: list[str], stage: str, note: str) -> None:
    boot = BootLog()
    for chunk in chunks:
        boot.take(chunk.encode())
    assert (boot.stage, boot.note, boot.read) == (stage, note, len(chunks))


def test_a_pull_is_followed_until_the_agent_speaks(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(SPEC)
    shipped(world, job_id, 1, BOOTS + FETCHES)
    assert standing(world, job_id) == ("image", "")
    shipped(world, job_id, 2, LAYERS + DONE)
    assert standing(world, job_id) == ("image", "2/9")
    Agent(world, job_id).says("stage", stage="run", note="")
    shipped(world, job_id, 3, RUNS)
    assert (world.job(job_id).state, *standing(world, job_id)) == (JobState.RUNNING, "run", "")


def test_a_bot_that_starts_again_shows_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(SPEC)
    shipped(world, job_id, 1, BOOTS + FETCHES + LAYERS + DONE)
    version = world.job(job_id).version
    world.restart()
    shipped(world, job_id, 2, "000000000002: Pull complete\n")
    assert standing(world, job_id) == ("image", "3/9")
    assert world.job(job_id).version > version


def test_a_log_that_says_nothing_new_writes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(SPEC)
    shipped(world, job_id, 1, BOOTS + FETCHES)
    version = world.job(job_id).version
    shipped(world, job_id, 2, "the engine's own words\n")
    world.follow.round()
    assert world.job(job_id).version == version


class Moody(FolderStore):
    """A store that does not answer while it is down."""

    down = False

    def get(self, key: str, most: int = -1) -> bytes | None:
        if self.down:
            raise StoreFault("no answer")
        return super().get(key, most)


def test_a_store_that_fails_is_asked_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store = store = Moody(tmp_path)
    world.restart()
    job_id = world.launch(SPEC)
    store.down = True
    world.follow.round()
    store.down = False
    shipped(world, job_id, 1, BOOTS)
    assert standing(world, job_id) == ("boot", "")
