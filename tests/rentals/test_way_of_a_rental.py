"""A rental from QUEUED to settled, as the rows, the store and the fake cloud see it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from jobs import policy
from jobs.lifecycle import AttemptState, JobState
from jobs.values import DOLLAR
from tests.support.builders import a_spec
from tests.support.world import World, closed_of, key_of, launched_orders
from trainer import wire


def test_a_job_runs_finishes_and_is_settled(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.clock.advance(minutes=60)
    agent.saves("step-000400", 400).ends("finished")
    world.tick()

    job, (attempt,) = world.job(job_id), world.attempts(job_id)
    hour = policy.bill(micros_per_hour=2 * DOLLAR, ran=timedelta(hours=1), traits=world.cloud.traits)
    assert (JobState.SUCCEEDED, "finished", hour) == (job.state, job.stop_reason, job.charged)
    assert AttemptState.GONE is attempt.state
    assert world.cloud.alive() == []
    assert hour == closed_of(world.entries(job_id)).charged
    assert world.balanced() and world.period().held == 0
    kinds = [note.kind for note in world.notes(job_id)]
    assert [k for k in kinds if k in ("intent", "launched", "running")] == ["intent", "launched", "running"]
    assert kinds.index("ended") < kinds.index("gone") < kinds.index("settled")
    ended = world.notes(job_id, "ended")[0].data
    assert (ended["reason"], ended["checkpoints"][0]["name"]) == ("finished", "step-000400")


def test_the_receipt_says_what_was_paid(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.clock.advance(minutes=30)
    agent.ends()
    world.tick()

    receipt = json.loads(world.store.get(f"receipts/{job_id}.json") or b"{}")
    assert (world.job(job_id).charged, "succeeded") == (receipt["charged"], receipt["state"])
    assert [key_of(job_id)] == [attempt["key"] for attempt in receipt["attempts"]]


def test_a_receipt_that_a_crash_left_out_is_written_at_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.ends()
    world.tick()
    world.store.delete(f"receipts/{job_id}.json")

    world.restart()
    world.rentals.owed_receipts()

    assert world.store.size(f"receipts/{job_id}.json")


def test_intent_is_committed_before_the_provider_is_called(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued()
    seen: list[object] = []

    def look() -> None:
        job, (attempt,) = world.job(job_id), world.attempts(job_id)
        seen.append((job.state, attempt.state, attempt.launch_key, attempt.called_at, attempt.deadline))

    world.cloud.before("launch", look)
    world.rentals.launch(job_id)

    deadline = world.now() + timedelta(hours=4)
    assert [(JobState.PROVISIONING, AttemptState.INTENT, key_of(job_id), world.now(), deadline)] == seen


def test_the_machine_finds_its_order_source_and_control_file(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.secrets["WANDB_API_KEY"] = "w-12345"
    job_id = world.launch(a_spec(secrets=("WANDB_API_KEY",), env={"LR": "3e-4"}))

    laid = wire.from_json(wire.AgentOrder, world.store.get(wire.order_key(job_id, 1)) or b"")
    (order,) = launched_orders(world.cloud)
    assert (world.now() + timedelta(hours=4)).timestamp() == laid.deadline == order.deadline.timestamp()
    assert world.store.size(laid.source_key) and laid.env == {"LR": "3e-4"}
    assert dict(order.env) == {"WANDB_API_KEY": "w-12345"}
    control = world.told_to_stop(job_id)
    assert control is not None and (control.seq, control.stop) == (1, None)
    for key in world.store.keys(""):
        assert b"w-12345" not in (world.store.get(key) or b"")


def test_a_secret_that_is_not_there_fails_the_job_with_what_to_do(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(a_spec(secrets=("HF_TOKEN",)))

    job = world.job(job_id)
    assert (job.state, job.stop_reason, job.charged) == (JobState.FAILED, "bad_spec", 0)
    assert "HOURGLASS_SECRET_HF_TOKEN" in job.error
    assert world.cloud.machines == [] and world.period().held == 0


def test_the_commit_is_packed_once_a_job(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.full.add(("gpu-1x-a100", "here-1"))
    job_id = world.launch(a_spec(retry_on=("no-capacity",)))
    world.cloud.full.clear()
    world.pass_time(minutes=2)

    assert [row.state for row in world.attempts(job_id)] == [AttemptState.NEVER, AttemptState.LAUNCHED]
    assert world.packer.packed == 1


def test_stop_asks_the_agent_and_waits_for_its_last_words(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.stop(job_id)
    world.rentals.attend(job_id)

    control = world.told_to_stop(job_id)
    assert control is not None and wire.Reason.STOPPED is control.stop
    assert len(world.cloud.alive()) == 1

    agent.saves("step-7", 7).ends("stopped", None)
    world.tick()
    assert world.states(job_id) == (JobState.CANCELLED, [AttemptState.GONE])
    assert world.notes(job_id, "ended")[0].data["checkpoints"][0]["name"] == "step-7"


def test_a_script_that_ignores_the_stop_is_ended_after_its_grace(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.stop(job_id)
    world.pass_time(minutes=2)
    assert len(world.cloud.alive()) == 1  # a grace of two minutes, and a minute for the upload

    world.pass_time(minutes=1.5)
    assert world.cloud.alive() == []
    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.CANCELLED, "stopped")


def test_a_stop_before_the_agent_spoke_ends_the_machine_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch()
    world.stop(job_id)
    world.rentals.attend(job_id)

    assert world.cloud.alive() == []
    assert JobState.CANCELLED is world.job(job_id).state
