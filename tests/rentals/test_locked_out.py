"""A provider that does not take the bot's credentials any more: leads are told, machines go on and end all the same."""

from __future__ import annotations

from pathlib import Path

from jobs.errors import Unauthorized, Unknown
from jobs.lifecycle import JobState
from tests.support.builders import a_spec
from tests.support.world import World

ENDED = Unauthorized("AWS does not take the bot's credentials for a listing.")


def told(world: World, job_id: str) -> list[str]:
    troubles = [note for note in world.notes(job_id, "trouble") if note.data["code"] == "no_credentials"]
    return [note.data["text"] for note in troubles]


def test_a_team_is_told_once_a_day_in_one_of_its_threads_and_its_jobs_go_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, _ = world.running(a_spec(minutes=2400))
    second, _ = world.running(a_spec(minutes=2400))
    world.cloud.down = ENDED
    world.pass_time(hours=1, every=300)
    assert [told(world, first), told(world, second)] == [
        ["The bot cannot look after its machines at `cloud`. AWS does not take the bot's credentials for a listing."],
        [],
    ]
    assert [world.job(job_id).state for job_id in (first, second)] == [JobState.RUNNING, JobState.RUNNING]
    world.pass_time(hours=24, every=3600)
    assert len(told(world, first)) == 2


def test_with_new_credentials_the_machine_is_ended_at_its_deadline(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    world.cloud.down = ENDED
    world.pass_time(minutes=50)
    world.cloud.down = None
    world.pass_time(minutes=15)
    assert (world.job(job_id).state, world.cloud.alive()) == (JobState.TIMED_OUT, [])


def test_a_provider_that_is_only_away_for_a_while_calls_nobody(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=60))
    world.cloud.down = Unknown("The cloud did not answer in time.")
    world.pass_time(minutes=10)
    assert told(world, job_id) == []
