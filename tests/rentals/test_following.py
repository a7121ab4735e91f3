"""What machines write becomes facts, points, checkpoints and notes: once, in order, whatever the bytes are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs import db
from jobs.lifecycle import AttemptState, JobState
from tests.support.builders import a_spec
from tests.support.world import Agent, World
from trainer.storage import FolderStore, StoreFault


def metric(world: World, step: int | None, **values: object) -> dict[str, object]:
    return {"t": world.now().timestamp(), "kind": "metric", "data": {"step": step, "values": values}}


def test_the_first_word_makes_the_job_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch()
    world.clock.advance(40)
    Agent(world, job_id).says("stage", stage="setup", note="pip install")
    world.follow.round()

    job, (attempt,) = world.job(job_id), world.attempts(job_id)
    assert (JobState.RUNNING, world.now(), "setup", "pip install") == (
        job.state,
        job.started_at,
        job.stage,
        job.stage_note,
    )
    assert (attempt.state, attempt.cursor) == (AttemptState.UP, 1)
    assert len(world.notes(job_id, "running")) == 1
    assert job_id in world.woken


def test_facts_for_the_card(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    gpu = {"name": "NVIDIA A100", "count": 2, "memory_gb": 80, "driver": "570.1", "torch": "2.13", "cuda": "12.8"}
    agent.says("gpu", **gpu)
    agent.says("progress", step=120, total=400, percent=30, eta=600, rate=2.0)
    agent.writes([metric(world, 119, loss=2.5, val_loss=3.0), metric(world, 120, loss=2.25)])
    world.follow.round()

    job = world.job(job_id)
    assert (job.step, job.total, job.loss, job.pace) == (120, 400, 2.25, 2.0)
    assert world.now() + timedelta(minutes=10) == job.eta_at
    assert job.gpu_seen == "2 × NVIDIA A100, driver 570.1, CUDA 12.8, torch 2.13"
    with world.db.read() as tx:
        assert {series: [point.value for point in points] for series, points in db.metrics(tx, job_id).items()} == {
            "loss": [2.5, 2.25],
            "val_loss": [3.0],
        }


def test_from_which_checkpoint_an_attempt_went_on_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.says("stage", stage="run", note="resumed from step 1200", resumed={"name": "step-001200", "step": 1200})
    agent.says("stage", stage="done", note="")
    world.follow.round()
    with world.db.read() as tx:
        assert db.resumed(tx, job_id, 1) == {"name": "step-001200", "step": 1200}
        assert db.resumed(tx, job_id, 2) is None


def test_each_chunk_is_applied_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, loss=1.0) for step in range(3)])
    world.follow.round()
    before = world.job(job_id).version
    world.follow.round()
    world.restart()
    world.follow.round()
    assert before == world.job(job_id).version
    assert world.attempts(job_id)[0].cursor == 2


def test_two_readers_of_the_same_machine_apply_a_chunk_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, None, loss=1.0)])
    stale = world.attempts(job_id)[0]
    world.follow.round()
    assert world.follow.drain(stale) == 0
    with world.db.read() as tx:
        assert len(db.metrics(tx, job_id)["loss"]) == 1


def test_garbage_stops_nothing_behind_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.raw(b'\x00\xff\xfe not json\n[1,2]\n{}\n{"t": "x", "kind": "metric", "data": {}}\n')
    agent.raw(b'{"t": 1e999, "kind": "progress", "data": {"step": -4, "total": 1e400, "eta": "never"}}\n')
    agent.raw(b"{" * 400_000)
    agent.raw(b'{"t": 0, "kind": "metric", "data": {"step": true, "values": {"loss": {}, "": 3, "acc": "0.5"}}}\n')
    agent.raw(b'{"t": 0, "kind": "outcome", "data": {"reason": "because", "code": "x", "tail": 7}}\n')
    world.follow.round()

    job = world.job(job_id)
    assert (job.state, job.stop_reason) == (JobState.STOPPING, "internal")
    with world.db.read() as tx:
        assert list(db.metrics(tx, job_id)) == ["acc"]


@pytest.mark.parametrize(
    ("told", "kept"),
    [({"memory": "CUDA out of memory."}, "CUDA out of memory."), ({"memory": None}, ""), ({"memory": 7}, ""), ({}, "")],
    ids=["told", "none", "garbage", "an older agent"],
)
def test_the_line_that_told_of_a_full_gpu_is_kept_beside_the_last_ones(
    tmp_path: Path, told: dict[str, Any], kept: str
) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.says("outcome", reason="gpu_oom", code=1, signal=None, tail=["FAILED"], steps=1, **told)
    world.follow.round()
    outcome = world.job(job_id).outcome
    assert outcome is not None
    assert (outcome["tail"], outcome["memory"]) == (["FAILED"], kept)


def test_one_machines_poison_does_not_silence_another(tmp_path: Path) -> None:
    class Torn(FolderStore):
        def get(self, key: str, most: int = -1) -> bytes | None:
            if f"/{torn}/" in key:
                raise StoreFault("the disk is torn")
            return super().get(key, most)

    world = World(tmp_path)
    torn, sound = world.launch(), world.launch()
    Agent(world, torn).says("heartbeat", uptime=1)
    Agent(world, sound).says("heartbeat", uptime=1)
    world.store = Torn(tmp_path)
    world.restart()
    world.follow.round()
    assert (world.job(torn).state, world.job(sound).state) == (JobState.PROVISIONING, JobState.RUNNING)


def test_a_flood_is_caught_up_with_over_several_rounds(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, agent = world.running()
    for step in range(50):
        agent.writes([metric(world, step, loss=1.0)])
    assert [world.follow.round() for _ in range(4)] == [20, 20, 10, 0]


def test_points_are_thinned_to_what_a_screen_shows(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    for start in range(0, 9000, 1000):
        agent.writes([metric(world, step, loss=float(step)) for step in range(start, start + 1000)])
    world.follow.round()
    with world.db.read() as tx:
        steps = [point.step for point in db.metrics(tx, job_id)["loss"]]
    assert list(range(0, 9000, 8)) == steps
    assert world.job(job_id).loss == 8999.0


def test_a_trainer_that_says_no_steps_is_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, None, loss=value) for value in (3.0, 2.0, 1.0)])
    world.follow.round()
    with world.db.read() as tx:
        assert [(p.step, p.value) for p in db.metrics(tx, job_id)["loss"]] == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_a_script_with_a_new_curve_each_step_is_bounded(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, **{f"layer{step}": 1.0}) for step in range(200)])
    world.follow.round()
    with world.db.read() as tx:
        assert len(db.metrics(tx, job_id)) == 64


# ---------------------------------------------------------------- milestones


def test_the_first_plot_comes_with_five_points_of_a_loss(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, loss=1.0, lr=0.1) for step in range(4)])
    world.follow.round()
    assert world.notes(job_id, "first_plot") == []
    agent.writes([metric(world, 4, loss=1.0)])
    agent.writes([metric(world, 5, loss=1.0)])
    world.follow.round()
    assert [note.data["series"] for note in world.notes(job_id, "first_plot")] == ["loss"]


def test_plots_half_way_and_at_the_end(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, loss=1.0) for step in range(10)])
    world.follow.round()
    world.clock.advance(minutes=30)
    agent.says("progress", step=200, total=400)
    agent.says("progress", step=210, total=400)
    world.follow.round()
    assert [note.data["percent"] for note in world.notes(job_id, "plot")] == [50]
    agent.ends()
    world.tick()
    assert [note.data["percent"] for note in world.notes(job_id, "plot")] == [50, 100]


def test_nan_is_trouble_and_a_gap_in_the_curve(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, 1, loss=2.0), metric(world, 2, loss="NaN"), metric(world, 3, loss="Infinity")])
    agent.writes([metric(world, 4, loss="NaN")])
    agent.says("notice", code="not_finite", text="loss became NaN at step 2.")
    world.follow.round()

    (trouble,) = world.notes(job_id, "trouble")
    assert (trouble.data["code"], trouble.data["text"]) == ("nan", "loss is NaN at step 2.")
    with world.db.read() as tx:
        assert [(p.value, p.odd) for p in db.metrics(tx, job_id)["loss"]] == [
            (2.0, ""),
            (None, "nan"),
            (None, "inf"),
            (None, "nan"),
        ]
    assert world.job(job_id).loss is None


def test_a_loss_that_leaves_for_good_is_trouble(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    fell = [10.9, 6, 4, 3.2, 3.1, 3.0, 9, 18, 26]
    agent.writes([metric(world, step, loss=loss) for step, loss in enumerate(fell)])
    world.follow.round()
    assert world.notes(job_id, "trouble") == []
    agent.writes([metric(world, 9, loss=29)])
    world.follow.round()
    (trouble,) = world.notes(job_id, "trouble")
    assert trouble.data["code"] == "diverged"
    assert trouble.data["text"] == "loss is 29; it had been down to 3.1 and began with 10.9."


def test_what_a_loss_was_like_outlives_the_bot(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, loss=loss) for step, loss in enumerate([10.9, 6, 4, 3.2, 3.1, 3.0, 9, 18, 26])])
    world.follow.round()
    world.restart()
    agent.writes([metric(world, 9, loss=29)])
    world.follow.round()
    assert [note.data["code"] for note in world.notes(job_id, "trouble")] == ["diverged"]


def test_a_nan_is_told_also_between_the_points_that_are_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, loss=2.0) for step in range(2_003)])
    agent.writes([metric(world, 2_003, loss="NaN")])
    world.follow.round()
    assert [note.data["text"] for note in world.notes(job_id, "trouble")] == ["loss is NaN at step 2003."]
    with world.db.read() as tx:
        assert db.metrics(tx, job_id)["loss"][-1].step == 2_002


def test_a_loss_that_rises_from_nothing_is_no_trouble(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, step, loss=loss) for step, loss in enumerate([0.02, 1.1, 3.3, 4.5, 5.1, 5.2, 5.3])])
    world.follow.round()
    assert world.notes(job_id, "trouble") == []


def test_every_loss_is_watched_not_the_first_one_by_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, 1, box_loss=1.0, cls_loss=2.0), metric(world, 2, box_loss=1.0, cls_loss="NaN")])
    world.follow.round()
    assert [note.data["text"] for note in world.notes(job_id, "trouble")] == ["cls_loss is NaN at step 2."]


def test_an_evaluation_that_is_no_number_does_not_hide_that_the_training_is_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, 1, loss=1.0, val_loss=2.0), metric(world, 2, loss=1.0, val_loss="NaN")])
    agent.writes([metric(world, 3, loss="NaN"), metric(world, 4, loss="NaN", val_loss="NaN")])
    world.follow.round()
    assert [(note.data["code"], note.data["text"]) for note in world.notes(job_id, "trouble")] == [
        ("nan", "val_loss is NaN at step 2."),
        ("nan", "loss is NaN at step 3."),
    ]


def test_a_gradient_that_stays_nan_beside_a_loss_of_zero_is_trouble(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(world, 1, loss=2.1, grad_norm=1.0)])
    agent.writes([metric(world, step, loss=0.0, grad_norm="NaN") for step in (2, 3)])
    world.follow.round()
    assert world.notes(job_id, "trouble") == []
    agent.writes([metric(world, 4, loss=0.0, grad_norm="NaN")])
    world.follow.round()
    assert [(note.data["code"], note.data["text"]) for note in world.notes(job_id, "trouble")] == [
        ("nan", "grad_norm is NaN again and again and the loss is 0, now at step 4.")
    ]


def test_notices_are_told_once_a_code_and_bounded(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.says("notice", code="upload", text="could not upload").says("notice", code="upload", text="again")
    for number in range(40):
        agent.says("notice", code=f"code{number}", text="x" * 5000)
    for _ in range(4):
        world.follow.round()
    troubles = world.notes(job_id, "trouble")
    assert len(troubles) == 12
    assert max(len(note.data["text"]) for note in troubles) <= 600


def test_many_things_of_few_codes_keep_no_other_code_from_being_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    for number in range(20):
        agent.says("notice", code="checkpoint_path", text=f"{number}.pt is not taken", part=f"{number:012x}")
    agent.says("notice", code="spot_notice", text="The provider takes this machine back.")
    for _ in range(4):
        world.follow.round()
    codes = [note.data["code"] for note in world.notes(job_id, "trouble")]
    assert (codes.count("checkpoint_path"), codes.count("spot_notice")) == (12, 1)


def test_of_several_things_of_one_code_each_is_told_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    for part in ("a", "b", "a"):
        agent.says("notice", code="checkpoint_path", text=f"{part}.pt is not taken.", part=part)
    agent.says("notice", code="checkpoint_path", text="c.pt is not taken.", part=["no", "name"])
    for _ in range(4):
        world.follow.round()
    told = [note.data["text"] for note in world.notes(job_id, "trouble")]
    assert told == ["a.pt is not taken.", "b.pt is not taken.", "c.pt is not taken."]


def test_only_a_checkpoint_whose_manifest_stands_is_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.saves("step-1", 1, manifest=False).saves("step-2", 2)
    foreign = "jobs/other/a1/ckpt/step-9/manifest.json"
    world.store.put(foreign, world.store.get(f"jobs/{job_id}/a1/ckpt/step-2/manifest.json") or b"")
    agent.says("checkpoint", name="step-9", step=9, manifest=foreign, bytes=1, files=1)
    agent.says("checkpoint", name="step-8", step=8, manifest="../../etc/passwd", bytes=1, files=1)
    world.follow.round()
    with world.db.read() as tx:
        (row,) = db.checkpoints(tx, job_id)
    assert (row.name, row.step, row.bytes, [file["path"] for file in row.files]) == ("step-2", 2, 6, ["ckpt.pt"])


def test_checkpoints_are_told_of_first_and_then_now_and_then(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running(a_spec(minutes=240))
    for number in range(1, 13):
        world.clock.advance(minutes=10)
        agent.saves(f"step-{number}", number)
        world.follow.round()
    assert [note.data["name"] for note in world.notes(job_id, "checkpoint")] == ["step-1", "step-7"]
    with world.db.read() as tx:
        assert len(db.checkpoints(tx, job_id)) == 12


def test_a_checkpoint_that_the_machine_cleared_away_is_struck_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.saves("step-1", 1).saves("step-2", 2).saves("step-3", 3, removed=["step-1"])
    world.follow.round()
    with world.db.read() as tx:
        assert [row.name for row in db.checkpoints(tx, job_id)] == ["step-2", "step-3"]


def test_a_machine_of_an_earlier_attempt_has_no_say_any_more(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    with world.db.write() as tx:
        db.touch(tx, db.get_job(tx, job_id), world.now(), attempt=2)
    agent.says("progress", step=77).ends()
    world.follow.round()
    job = world.job(job_id)
    assert (job.state, job.step, job.outcome) == (JobState.RUNNING, None, None)


def test_a_machines_clock_is_not_believed_far_ahead(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    ahead = datetime(2031, 1, 1, tzinfo=UTC).timestamp()
    agent.writes([{"t": ahead, "kind": "stage", "data": {"stage": "run", "note": ""}}])
    world.follow.round()
    assert world.now() == world.job(job_id).stage_at
