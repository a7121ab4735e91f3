"""No machine outlives its deadline, whatever fails; and none is believed gone before it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jobs import db, policy
from jobs.errors import Unauthorized, Unknown
from jobs.lifecycle import AttemptState, JobState
from jobs.settlements import Settlements
from jobs.values import DOLLAR, SpotPolicy
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import Agent, World, closed_of

HOUR = a_spec(minutes=60)


def test_at_its_deadline_a_machine_ends_and_the_job_is_timed_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(HOUR)
    world.pass_time(minutes=59.5, every=1200)
    assert len(world.cloud.alive()) == 1
    assert JobState.STOPPING is world.job(job_id).state  # its grace has begun

    world.pass_time(minutes=0.5)
    assert world.cloud.alive() == []
    assert (
        world.job(job_id).state,
        world.job(job_id).stop_reason,
        [row.state for row in world.attempts(job_id)],
    ) == (JobState.TIMED_OUT, "deadline", [AttemptState.GONE])
    assert (
        policy.bill(micros_per_hour=2 * DOLLAR, ran=timedelta(hours=1), traits=world.cloud.traits)
        == world.job(job_id).charged
    )


def test_a_script_that_finishes_in_its_grace_has_succeeded(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running(HOUR)
    world.pass_time(minutes=59, every=1200)
    agent.ends("finished")
    world.tick()
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.SUCCEEDED, "finished")


def test_fifteen_minutes_before_the_end_people_are_warned_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(HOUR)
    world.pass_time(minutes=44, every=1200)
    assert world.notes(job_id, "warned") == []
    world.pass_time(minutes=5)
    (warned,) = world.notes(job_id, "warned")
    assert (world.job(job_id).deadline or world.now()).timestamp() == warned.data["deadline"]


def test_a_short_rental_is_warned_of_in_its_last_quarter(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=8))
    world.pass_time(minutes=5.5)
    assert world.notes(job_id, "warned") == []
    world.pass_time(minutes=0.5)
    assert len(world.notes(job_id, "warned")) == 1


@pytest.mark.parametrize("error", [Unauthorized("the key expired"), RuntimeError("a bug in an SDK")])
def test_a_provider_that_is_down_past_the_deadline_is_asked_until_the_machine_is_gone(
    tmp_path: Path, error: Exception
) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(HOUR)
    world.pass_time(minutes=58, every=1200)
    world.cloud.down = error  # type: ignore[assignment]  # a foreign error is a provider's bug, and one of the faults
    world.pass_time(hours=6, every=3600)
    assert JobState.STOPPING is world.job(job_id).state
    assert len(world.notes(job_id, "overdue")) == 6  # five minutes after the deadline, and then each hour

    world.cloud.down = None
    world.tick()
    assert world.cloud.alive() == []
    assert JobState.TIMED_OUT is world.job(job_id).state
    assert world.balanced()


def test_a_machine_alive_past_its_deadline_grows_its_hold_and_is_charged_in_full(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, end_lag=timedelta(hours=3)), clock=clock)
    job_id, _ = world.running(HOUR, ceiling=2 * DOLLAR)
    held = world.job(job_id).hold
    world.pass_time(hours=2.5, every=1800)
    assert world.job(job_id).hold > held
    assert world.period().held == world.job(job_id).hold
    assert world.job(job_id).charged is None

    world.pass_time(hours=2, every=1200)
    closed = closed_of(world.entries(job_id))
    assert policy.bill(micros_per_hour=2 * DOLLAR, ran=timedelta(hours=4), traits=world.cloud.traits) == closed.charged
    assert world.balanced() and world.period().held == 0


def test_a_terminate_that_says_yes_and_does_not_is_asked_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.cloud.deaf = True
    agent.ends()
    world.pass_time(minutes=30, every=300)
    assert JobState.STOPPING is world.job(job_id).state
    assert world.job(job_id).charged is None
    assert len(world.notes(job_id, "ended")) == 1  # people have their answer meanwhile

    world.cloud.deaf = False
    world.tick()
    assert (world.job(job_id).state, world.cloud.alive()) == (JobState.SUCCEEDED, [])


def test_nothing_is_settled_before_the_machine_is_gone(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, end_lag=timedelta(minutes=4)), clock=clock)
    job_id, agent = world.running()
    agent.ends()
    for _ in range(7):
        world.pass_time(30)
        if world.cloud.alive():
            assert {"hold"} == {kind for kind, _ in world.entries(job_id)}
            assert world.job(job_id).finished_at is None
    world.pass_time(minutes=2)
    assert JobState.SUCCEEDED is world.job(job_id).state


def test_money_is_not_closed_while_a_machine_may_stand_whoever_asks(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.stop(job_id)
    assert not Settlements(world.ports).close(job_id)
    assert JobState.STOPPING is world.job(job_id).state
    assert {"hold"} == {kind for kind, _ in world.entries(job_id)}


def test_mere_absence_counts_twice_a_minute_apart(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, forget_after=timedelta(0)), clock=clock)
    job_id, agent = world.running()
    agent.ends()
    world.tick()
    world.pass_time(30)
    assert world.states(job_id) == (JobState.STOPPING, [AttemptState.ENDING])
    absent = world.attempts(job_id)[0].absent_at
    world.pass_time(30)
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.ENDING]

    world.pass_time(30)
    assert world.states(job_id) == (JobState.SUCCEEDED, [AttemptState.GONE])
    assert absent == world.attempts(job_id)[0].billed_until


def test_one_absence_of_a_running_machine_ends_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    hidden = world.cloud.machines.copy()
    world.cloud.machines.clear()
    world.pass_time(30)
    world.cloud.machines.extend(hidden)
    world.pass_time(minutes=5, every=60)

    assert world.states(job_id) == (JobState.RUNNING, [AttemptState.UP])
    assert world.attempts(job_id)[0].absent_at is None


def test_one_provider_that_fails_does_not_keep_another_ones_machine(tmp_path: Path) -> None:
    clock = FakeClock()
    broken = FakeProvider(clock, traits=some_traits(name="broken"), catalogue=[an_offer(provider="broken")])
    sound = FakeProvider(clock, traits=some_traits(name="sound"), catalogue=[an_offer(provider="sound")])
    world = World(tmp_path, broken, sound, clock=clock)
    first = world.launch(a_spec(minutes=60, providers=("broken",)))
    second = world.launch(a_spec(minutes=60, providers=("sound",)))
    broken.down = Unknown("nobody answers")
    world.pass_time(hours=2, every=1200)

    assert (len(broken.alive()), len(sound.alive())) == (1, 0)
    assert (world.job(first).state, world.job(second).state) == (JobState.STOPPING, JobState.TIMED_OUT)


def test_a_row_that_cannot_be_read_does_not_keep_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    broken, _ = world.running(HOUR)
    sound, _ = world.running(HOUR)
    with world.db.write() as tx:
        db.touch(tx, db.get_job(tx, broken), world.now(), spec={"not": "a spec"})
    world.pass_time(hours=2, every=1200)
    assert JobState.TIMED_OUT is world.job(sound).state


def test_an_outcome_ends_the_machine_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.ends("error", 1)
    world.follow.round()
    assert [job_id] == world.woken[-1:]

    world.rentals.attend(job_id)
    assert world.cloud.alive() == []
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "error")


def test_a_machine_that_goes_without_a_word_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.clock.advance(minutes=10)
    world.cloud.reclaim(world.attempts(job_id)[0].launch_key, note="host failure")
    world.tick()
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "lost")
    assert world.attempts(job_id)[0].note == "host failure"


def test_last_words_are_read_before_a_job_is_called_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.clock.advance(minutes=10)
    agent.ends("finished")
    world.cloud.reclaim(world.attempts(job_id)[0].launch_key)
    world.rentals.enforce()  # without a look at the machine's words before it
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.SUCCEEDED, "finished")


# ---------------------------------------------------------------- interruption


def spot_world(tmp_path: Path) -> World:
    clock = FakeClock()
    return World(tmp_path, FakeProvider(clock, catalogue=[an_offer(spot=True)]), clock=clock)


SPOT = a_spec(spot=SpotPolicy.SPOT, retry_on=("interruption",))


def test_a_spot_machine_that_is_taken_back_is_replaced_under_the_same_deadline_and_hold(tmp_path: Path) -> None:
    world = spot_world(tmp_path)
    job_id, agent = world.running(SPOT)
    deadline, hold = world.job(job_id).deadline, world.job(job_id).hold
    world.clock.advance(minutes=60)
    agent.saves("step-000100", 100)
    world.tick()
    world.cloud.reclaim(world.attempts(job_id)[0].launch_key)
    world.pass_time(minutes=1)

    job, (first, second) = world.job(job_id), world.attempts(job_id)
    assert (job.state, first.state, second.state) == (JobState.PROVISIONING, AttemptState.GONE, AttemptState.LAUNCHED)
    assert (deadline, hold) == (job.deadline, job.hold)
    assert deadline == second.deadline
    order = world.store.get(f"jobs/{job_id}/a2/order.json") or b""
    assert f'"resume_key":"jobs/{job_id}/a1/ckpt/step-000100"'.encode() in order
    assert len(world.notes(job_id, "reclaimed")) == 1

    Agent(world, job_id, 2).says("stage", stage="run", note="").ends()
    world.tick()
    assert JobState.SUCCEEDED is world.job(job_id).state
    assert sum(row.billed or 0 for row in world.attempts(job_id)) == world.job(job_id).charged
    assert closed_of(world.entries(job_id)).overrun == 0


def test_a_machine_goes_on_from_nothing_that_a_kill_may_have_left_half(tmp_path: Path) -> None:
    world = spot_world(tmp_path)
    job_id, agent = world.running(SPOT)
    world.clock.advance(minutes=60)
    agent.saves("step-000100", 100, unproven=True)
    world.tick()
    world.cloud.reclaim(world.attempts(job_id)[0].launch_key)
    world.pass_time(minutes=1)
    order = world.store.get(f"jobs/{job_id}/a2/order.json") or b""
    assert b'"resume_key":null' in order


def test_an_agent_that_says_preempted_is_replaced_too(tmp_path: Path) -> None:
    world = spot_world(tmp_path)
    job_id, agent = world.running(SPOT)
    world.clock.advance(minutes=60)
    agent.ends("preempted", None)
    world.pass_time(minutes=1)
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.GONE, AttemptState.LAUNCHED]
    assert world.notes(job_id, "ended") == []


def test_an_interruption_without_leave_to_go_on_ends_the_job(tmp_path: Path) -> None:
    world = spot_world(tmp_path)
    job_id, _ = world.running(a_spec(spot=SpotPolicy.SPOT))
    world.cloud.reclaim(world.attempts(job_id)[0].launch_key)
    world.tick()
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "preempted")


def test_a_machine_is_taken_back_only_so_often(tmp_path: Path) -> None:
    world = spot_world(tmp_path)
    job_id = world.launch(SPOT)
    for _ in range(policy.RETRIES + 2):
        live = [row for row in world.attempts(job_id) if row.state is AttemptState.LAUNCHED]
        for row in live:
            world.cloud.reclaim(row.launch_key)
        world.pass_time(minutes=2, every=60)
    assert len(world.cloud.machines) == policy.RETRIES + 1
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "preempted")
    assert closed_of(world.entries(job_id)).overrun == 0


def test_a_stop_wins_over_the_next_machine(tmp_path: Path) -> None:
    world = spot_world(tmp_path)
    job_id, agent = world.running(SPOT)
    world.stop(job_id)
    agent.ends("preempted", None)
    world.tick()
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.CANCELLED, "stopped")
    assert len(world.cloud.machines) == 1


def test_every_pass_leaves_its_mark(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.down = Unknown("nobody answers")
    world.rentals.enforce()
    with world.db.read() as tx:
        assert world.now().isoformat() == db.mark(tx, "enforced")
