"""Several machines are one rental: they run when all have spoken, and none goes on for long without the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jobs import db
from jobs.endings import EMPTY_FOR, OTHERS_LEAVE_IN, STOP_SLACK
from jobs.errors import Unknown
from jobs.lifecycle import AttemptState, JobState
from jobs.values import JobSpec
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import Agent, World, key_of
from trainer import wire
from trainer.wire import Reason

PAIR = a_spec(nodes=2, minutes=240.0)
GOES_ON = a_spec(nodes=2, minutes=240.0, retry_on=("interruption",))
WAIT = timedelta(minutes=2) + STOP_SLACK  # the grace of four hours


def speaking(world: World, spec: JobSpec = PAIR) -> tuple[str, list[Agent]]:
    """Launch two machines and let both speak."""
    job_id = world.launch(spec)
    agents = [Agent(world, job_id, rank=rank).says("stage", stage="run", note="") for rank in (0, 1)]
    world.follow.round()
    assert world.job(job_id).state is JobState.RUNNING
    return job_id, agents


def test_the_job_runs_when_the_last_of_them_has_spoken_and_until_then_one_may_still_be_asked_for(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    spoke: list[str] = []

    def first_speaks() -> None:  # between the two launches: its image was there already
        (job_id,) = {row.order.job for row in world.cloud.machines}
        Agent(world, job_id).says("stage", stage="setup", note="")
        world.follow.round()
        spoke.append(job_id)

    world.cloud.before("launch", lambda: None)
    world.cloud.before("launch", first_speaks)
    job_id = world.launch(PAIR)
    assert spoke == [job_id]
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.UP, AttemptState.LAUNCHED])
    Agent(world, job_id, rank=1).says("stage", stage="setup", note="")
    world.follow.round()
    assert world.states(job_id) == (JobState.RUNNING, [AttemptState.UP, AttemptState.UP])


def test_it_has_finished_when_all_have_and_what_both_cost_is_charged(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world)
    world.clock.advance(600)
    first.ends()
    world.follow.round()
    assert (world.job(job_id).state, world.job(job_id).outcome) == (JobState.RUNNING, None)
    second.ends()
    world.follow.round()
    world.tick()

    assert world.states(job_id) == (JobState.SUCCEEDED, [AttemptState.GONE, AttemptState.GONE])
    assert world.job(job_id).charged == sum(row.billed or 0 for row in world.attempts(job_id)) > 0
    assert world.balanced()


def test_one_that_fails_leaves_the_other_time_to_upload_and_then_ends_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (_, second) = speaking(world)
    second.ends("error", 1)
    world.follow.round()
    world.pass_time(WAIT - timedelta(seconds=30))
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.UP, AttemptState.GONE]
    world.pass_time(minutes=1)

    job = world.job(job_id)
    assert (job.state, job.stop_reason) == (JobState.FAILED, Reason.ERROR)
    assert world.cloud.alive() == []


@pytest.mark.parametrize("gone", [0, 1])
def test_one_that_goes_on_long_after_the_other_has_finished_is_asked_to_stop_then_ended_and_the_thread_says_so(
    tmp_path: Path, gone: int
) -> None:
    world = World(tmp_path)
    job_id, agents = speaking(world, GOES_ON)
    agents[gone].ends()
    world.follow.round()
    world.pass_time(OTHERS_LEAVE_IN - timedelta(seconds=30))
    assert [row.state for row in world.attempts(job_id)].count(AttemptState.UP) == 1
    assert (world.job(job_id).state, world.notes(job_id, "trouble")) == (JobState.RUNNING, [])

    world.pass_time(minutes=1)
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.STOPPING, Reason.LEFT_BEHIND)
    control = wire.from_json(wire.Control, world.store.get(wire.control_key(job_id, 1)) or b"")
    assert control.stop == Reason.LEFT_BEHIND  # whichever of them is gone
    (told,) = world.notes(job_id, "trouble")
    assert f"that of machine {2 - gone} goes on" in told.data["text"]

    world.pass_time(WAIT + timedelta(seconds=30))
    assert world.states(job_id) == (JobState.FAILED, [AttemptState.GONE, AttemptState.GONE])
    assert [note.data["reason"] for note in world.notes(job_id, "ended")] == ["left_behind"]
    assert world.cloud.alive() == [] and world.balanced()


def test_what_one_of_them_clears_away_is_not_struck_out_of_anothers_checkpoints(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world)
    first.saves("step-000100", 100)
    second.saves("step-000100", 100).saves("step-000200", 200).saves("step-000300", 300, removed=["step-000100"])
    world.follow.round()
    with world.db.read() as tx:
        kept = [row.manifest.removesuffix("/manifest.json") for row in db.checkpoints(tx, job_id)]
    assert kept == [
        f"jobs/{job_id}/a1/ckpt/step-000100",
        f"jobs/{job_id}/a1-r1/ckpt/step-000200",
        f"jobs/{job_id}/a1-r1/ckpt/step-000300",
    ]


def test_what_is_wrong_with_each_of_them_is_told_with_the_machines_number_and_what_both_say_once(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world)
    first.says("notice", code="log_full", text="The disk is full.")
    world.follow.round()
    second.says("notice", code="log_full", text="The disk is full.")
    second.says("notice", code="spot_notice", text="AWS takes this machine back at 12:04:00 UTC.")
    first.says("notice", code="spot_notice", text="AWS takes this machine back at 12:04:10 UTC.")
    second.says("notice", code="spot_notice", text="AWS takes this machine back at 12:04:20 UTC.")
    world.follow.round()
    told = [(note.data.get("machine"), note.data["text"].rsplit(" ", 2)[-2]) for note in world.notes(job_id, "trouble")]
    assert sorted(told, key=str) == [(2, "12:04:00"), (None, "12:04:10"), (None, "is")]


def test_one_that_uploads_for_long_has_left_and_is_let_go_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world)
    second.ends()
    first.says("stage", stage="save", note="")
    world.follow.round()
    world.pass_time(OTHERS_LEAVE_IN * 3)
    assert world.job(job_id).state is JobState.RUNNING
    first.saves("step-000300", 300).ends()
    world.follow.round()
    world.tick()
    assert world.job(job_id).state is JobState.SUCCEEDED


def test_one_that_goes_on_while_the_other_uploads_is_not_waited_for_until_that_is_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, _) = speaking(world)
    first.says("stage", stage="save", note="")
    world.follow.round()
    world.pass_time(OTHERS_LEAVE_IN + timedelta(minutes=1))
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.STOPPING, Reason.LEFT_BEHIND)


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("told", ["error", None])
def test_one_that_is_lost_is_why_the_other_failed_and_both_go_on_from_the_checkpoint(
    tmp_path: Path, lost: int, told: str | None
) -> None:
    """Whether the other one noticed, and said that it failed, or hangs in a collective that never ends."""
    world = World(tmp_path)
    job_id, agents = speaking(world, GOES_ON)
    agents[0].saves("step-000100", 100)
    world.follow.round()
    deadline, hold = world.job(job_id).deadline, world.job(job_id).hold
    world.cloud.reclaim(key_of(job_id, 1, lost), note="")
    if told is not None:
        agents[1 - lost].ends(told, 1)
        world.follow.round()
    world.pass_time(minutes=5)

    rows = [(row.number, row.rank, row.state) for row in world.attempts(job_id)]
    assert rows[:2] == [(1, 0, AttemptState.GONE), (1, 1, AttemptState.GONE)]
    assert rows[2:] == [(2, 0, AttemptState.LAUNCHED), (2, 1, AttemptState.LAUNCHED)]
    job = world.job(job_id)
    assert (job.deadline, job.hold, job.short_at, job.outcome) == (deadline, hold, None, None)
    for rank in (0, 1):
        order = world.store.get(f"jobs/{job_id}/a2{'-r1' if rank else ''}/order.json") or b""
        assert f"jobs/{job_id}/a1/ckpt/step-000100".encode() in order
    assert [note.data["reason"] for note in world.notes(job_id, "reclaimed")] == ["lost"]


def test_without_leave_to_go_on_a_lost_machine_ends_the_job_and_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = speaking(world)
    world.cloud.reclaim(key_of(job_id, 1, 1), note="")
    world.pass_time(minutes=5)
    job = world.job(job_id)
    assert (job.state, job.stop_reason) == (JobState.FAILED, Reason.LOST)
    assert world.cloud.alive() == []


def test_one_that_has_finished_and_gone_before_its_words_were_read_was_not_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world)
    second.ends()
    world.cloud.reclaim(key_of(job_id, 1, 1), note="exit code 0")
    world.rentals.enforce()  # before anybody listened
    assert world.job(job_id).short_at is None
    world.pass_time(minutes=9)
    assert world.job(job_id).state is JobState.RUNNING
    first.ends()
    world.pass_time(minutes=1)
    assert world.job(job_id).state is JobState.SUCCEEDED


def test_one_that_is_asked_to_go_takes_the_others_along_and_they_go_on_elsewhere(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world, GOES_ON)
    second.ends("preempted", None)
    world.follow.round()
    first.saves("step-000200", 200).ends()  # the loop saved on both and left: a finish that is none
    world.follow.round()
    world.pass_time(minutes=2)
    assert [row.number for row in world.attempts(job_id)] == [1, 1, 2, 2]
    assert world.job(job_id).state is JobState.PROVISIONING


def test_one_that_was_taken_back_lets_them_go_on_elsewhere_though_the_bot_was_down_for_long(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (_, second) = speaking(world, GOES_ON)
    second.ends("preempted", None)
    world.follow.round()
    world.clock.advance(OTHERS_LEAVE_IN * 2)
    world.restart()
    world.pass_time(minutes=2)
    assert [row.number for row in world.attempts(job_id)] == [1, 1, 2, 2]
    assert world.job(job_id).state is JobState.PROVISIONING


def test_a_launch_that_came_to_nothing_ends_the_machine_that_waits_for_it_and_both_are_asked_for_again(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, traits=some_traits(idempotent=False)), clock=clock)
    world.cloud.before("launch", lambda: None)
    world.cloud.before("launch", lambda: world.cloud.fail("launch", Unknown("no answer")))
    job_id = world.launch(PAIR)
    Agent(world, job_id).says("stage", stage="join", note="")
    world.pass_time(EMPTY_FOR + timedelta(minutes=1))
    assert world.attempts(job_id)[1].state is AttemptState.NEVER
    world.pass_time(WAIT + timedelta(minutes=1))
    rows = [(row.number, row.state) for row in world.attempts(job_id)]
    assert rows[:2] == [(1, AttemptState.GONE), (1, AttemptState.NEVER)]
    assert rows[2:] == [(2, AttemptState.LAUNCHED), (2, AttemptState.LAUNCHED)]


def test_the_end_is_told_with_the_checkpoint_that_the_first_machine_saved_last(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, (first, second) = speaking(world)
    world.stop(job_id)
    second.ends("stopped", 0)  # it had nothing to upload
    world.follow.round()
    assert world.notes(job_id, "ended") == []
    first.saves("step-000300", 300).ends("stopped", 0)
    world.follow.round()
    world.tick()
    (told,) = world.notes(job_id, "ended")
    assert [saved["name"] for saved in told.data["checkpoints"]] == ["step-000300"]
    assert world.job(job_id).state is JobState.CANCELLED


def test_stop_and_the_deadline_end_every_one_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    stopped, _ = speaking(world)
    world.stop(stopped)
    world.pass_time(minutes=5)
    assert world.states(stopped) == (JobState.CANCELLED, [AttemptState.GONE, AttemptState.GONE])
    late, _ = speaking(world, a_spec(nodes=2, minutes=30.0))
    world.pass_time(minutes=31)
    assert world.states(late) == (JobState.TIMED_OUT, [AttemptState.GONE, AttemptState.GONE])
    assert world.cloud.alive() == []
    assert world.balanced()
