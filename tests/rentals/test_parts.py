"""Orders, curves, telemetry, lanes and the crew, each on its own."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import curves, orders, telemetry
from jobs.crew import Crew
from jobs.errors import BadSpec
from jobs.lanes import InTurn, SideBySide
from jobs.model import Checkpoint
from jobs.saves import to_go_on_from
from tests.support.builders import a_job, a_source, a_spec, some_traits
from tests.support.clock import START
from tests.support.world import HOME
from trainer import wire
from trainer.wire import Again, AgentOrder

# ---------------------------------------------------------------- orders


def a_launch(**changes: Any) -> orders.Launch:
    fields: dict[str, Any] = {
        "job": a_job(hold=8_000_000),
        "spec": a_spec(),
        "source": a_source(),
        "source_sha256": "ab" * 32,
        "number": 2,
        "deadline": START + timedelta(hours=4),
        "grace": timedelta(minutes=2),
        "resume_key": None,
        "traits": some_traits(),
        "store_uri": "file:///s",
        "home": HOME,
    }
    return orders.Launch(**(fields | changes))


def test_a_machine_carries_what_it_takes_to_end_and_to_pay_for_it() -> None:
    assert {
        "app": "hourglass",
        "home": HOME,
        "job": "job0001",
        "attempt": "2",
        "rank": "1",
        "team": "vision",
        "deadline": str(int((START + timedelta(hours=4)).timestamp())),
        "hold": "8000000",
        "key": "hg-0f3c1e52-job0001-a2-r1",
    } == orders.tags(a_launch(), 1)


def test_equal_inputs_give_equal_bytes() -> None:
    def made() -> tuple[bytes, str]:
        secrets = {"B": "2", "A": "1"}
        launch = a_launch(spec=a_spec(secrets=("B", "A"), env={"Z": "1", "Y": "2"}))
        order = orders.launch_order(launch, secrets=secrets, credentials={"C": "3"})
        return wire.to_json(orders.agent_order(launch)), repr((order, list(order.env.items())))

    assert made() == made()


def test_how_it_starts_again_goes_with_the_order() -> None:
    spec = a_spec(resume_commands=("python train.py --last",), resume_known=False, hang_timeout=600.0)
    order = wire.from_json(AgentOrder, wire.to_json(orders.agent_order(a_launch(spec=spec, resume_key="k"))))
    assert (list(order.again.commands), order.again.known) == (["python train.py --last"], False)
    assert (order.resume_key, order.hang_timeout) == ("k", 600.0)


def test_an_order_that_was_laid_by_an_earlier_version_is_still_read() -> None:
    laid = json.loads(wire.to_json(orders.agent_order(a_launch())))
    del laid["again"], laid["hang_timeout"]
    order = wire.from_json(AgentOrder, json.dumps(laid).encode())
    assert (order.again, order.hang_timeout) == (Again(), None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ckpt.pt"], ["0"]),
        (["a.pt", "b.pt"], ["1", "0"]),
        # A Trainer's last checkpoint, then the model alone: from that nothing can go on.
        (["checkpoint-9/trainer_state.json", "model.safetensors"], ["0", "1"]),
        (["c-1/trainer_state.json", "c-2/trainer_state.json", "model.safetensors"], ["1", "0", "2"]),
        ([], []),
    ],
)
def test_the_newest_checkpoint_that_can_go_on_is_tried_first(names: list[str], expected: list[str]) -> None:
    rows = [
        Checkpoint(job_id="J", attempt=1, name=str(at), manifest=f"m{at}", files=[{"path": name}], bytes=1, at=START)
        for at, name in enumerate(names)
    ]
    assert [row.name for row in to_go_on_from(rows)] == expected


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        # All of it, then the weights alone: of Adam's state they are a third, and their optimizer two.
        ([("last.pt", 300), ("best.pt", 100)], ["last.pt", "best.pt"]),
        ([("a.pt", 300), ("model.pt", 100), ("optimizer.pt", 200)], ["a.pt", "optimizer.pt", "model.pt"]),
        # As large, and yet perhaps without the optimizer: plain SGD has nothing to keep.
        ([("last.pt", 100), ("best.pt", 100)], ["last.pt", "best.pt"]),
        ([("model_9.pth.tar", 100), ("model_best.pth.tar", 100)], ["model_9.pth.tar", "model_best.pth.tar"]),
        ([("best.pt", 100)], ["best.pt"]),
        ([("bestiary_1.pt", 100), ("bestiary_2.pt", 100)], ["bestiary_2.pt", "bestiary_1.pt"]),
        # A size that changes a little tells nothing.
        ([("step_1.pt", 100), ("step_2.pt", 90)], ["step_2.pt", "step_1.pt"]),
        # What a Trainer says of itself comes before its size: a small adapter, and the model that it was merged into.
        ([("c-9/trainer_state.json", 10), ("merged.pt", 900)], ["c-9/trainer_state.json", "merged.pt"]),
    ],
)  # fmt: skip
def test_what_may_be_a_part_is_tried_after_what_is_whole(saved: list[tuple[str, int]], expected: list[str]) -> None:
    rows = [
        Checkpoint(job_id="J", attempt=1, name=name, manifest=name, files=[{"path": name}], bytes=size, at=START)
        for name, size in saved
    ]
    assert [row.name for row in to_go_on_from(rows)] == expected


def row(
    name: str, size: int, minute: float, *, step: int | None = None, attempt: int = 1, **of_file: object
) -> Checkpoint:
    at, files = START + timedelta(minutes=minute), [{"path": name, **of_file}]
    return Checkpoint(job_id="J", attempt=attempt, name=name, step=step, manifest=name, files=files, bytes=size, at=at)


OVER_AND_OVER = [row("step_1.pt", 10, 1), row("step_2.pt", 10, 9)]


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        # What was large and was saved once, at the start, and what the training then saved.
        ([row("base.pt", 900, 0), *OVER_AND_OVER], "step_2.pt"),
        ([row("ckpt_1.pt", 300, 0), row("lora.pt", 9, 5, attempt=2)], "lora.pt"),
        ([row("step_1.pt", 300, 0), row("step_2.pt", 100, 0.05)], "step_2.pt"),
        # A save of several files one by one: its largest, although a larger one was saved before.
        ([row("old.pt", 900, 0), row("model.pt", 100, 9), row("optimizer.pt", 200, 9.1)], "optimizer.pt"),
        # Evaluated for minutes after the save, at the same step; and at a later one.
        ([row("last.pt", 300, 0, step=50), row("model.pt", 100, 4, step=50)], "last.pt"),
        ([row("last.pt", 300, 0, step=50), row("model.pt", 100, 4, step=90)], "model.pt"),
        # A trainer's checkpoint of long ago, and what another stage saved since; but not the bare model of its own.
        ([row("c-9/trainer_state.json", 300, 0), row("dpo_100.pt", 10, 60)], "dpo_100.pt"),
        ([row("c-9/trainer_state.json", 300, 0), row("model.safetensors", 900, 60)], "c-9/trainer_state.json"),
        # Often the weights alone: after what is saved over and over, not after what was saved once.
        ([*OVER_AND_OVER, row("best.pt", 10, 15)], "step_2.pt"),
        ([*OVER_AND_OVER, row("net_final.pt.sealed", 10, 15)], "step_2.pt"),
        ([row("vocab.pkl", 900, 0), row("best.pt", 10, 15)], "best.pt"),
        ([*OVER_AND_OVER, row("best_1.pt", 10, 15), row("best_2.pt", 10, 20)], "step_2.pt"),
        # What is final is saved once: here it is what a stage of the training is called.
        ([*OVER_AND_OVER, row("final/step_1.pt", 10, 15), row("final/step_2.pt", 10, 20)], "final/step_2.pt"),
        ([*OVER_AND_OVER, row("best_1.pt", 10, 15), row("best_2.pt", 10, 20)], "step_2.pt"),
        # What is final is saved once: here it is what a stage of the training is called.
        ([*OVER_AND_OVER, row("final/step_1.pt", 10, 15), row("final/step_2.pt", 10, 20)], "final/step_2.pt"),
        # What a kill may have left half: after everything else, however new it is.
        ([row("old.pt", 1, 0), row("new.msgpack", 900, 9, unproven=True)], "old.pt"),
        ([row("best.pt", 1, 0), *OVER_AND_OVER, row("new.msgpack", 900, 9, unproven=True)], "step_2.pt"),
        ([row("new.msgpack", 900, 9, unproven=True)], "new.msgpack"),
        # What each start writes, before it has trained.
        ([row("vocab.pkl", 1, 0), *OVER_AND_OVER, row("vocab.pkl", 1, 20, attempt=2)], "step_2.pt"),
        # What was saved once because the machine was taken back is nothing that each start writes.
        ([row("last.pt", 9, 4), row("stopped.pt", 9, 5), row("last.pt", 9, 9, attempt=2)], "last.pt"),
        ([row("net.pt", 9, 4), row("stopped.pt", 9, 5), row("net.pt", 9, 9, attempt=2)], "net.pt"),
        ([row("e_1.pt", 9, 4), row("stopped.pt", 9, 5), row("e_2.pt", 9, 9, attempt=2)], "e_2.pt"),
        ([row("last_model.pt", 9, 0), *OVER_AND_OVER, row("last_model.pt", 9, 20, attempt=2)], "last_model.pt"),
        ([row("a.pt", 9, 4), row("b.pt", 9, 5), row("a.pt", 9, 9, attempt=2), row("a.pt", 9, 13, attempt=2)], "a.pt"),
        ([*OVER_AND_OVER, row("step_3.pt", 1, 20, attempt=2)], "step_3.pt"),
    ],
)  # fmt: skip
def test_the_newest_save_goes_first_whatever_was_larger_before(rows: list[Checkpoint], first: str) -> None:
    assert to_go_on_from(rows)[0].name == first


def test_a_part_of_the_last_save_goes_behind_the_whole_one_before_it() -> None:
    """The other file was being written when the machine went."""

    def saved(name: str, *files: str, minute: float) -> Checkpoint:
        found = row(name, 100 * len(files), minute)
        found.files = [{"path": file} for file in files]
        return found

    pair = saved("step-100", "model_100.pt", "optim_100.pt", minute=1)
    half = saved("step-200", "model_200.pt", minute=9)
    assert [one.name for one in to_go_on_from([pair, half])] == ["step-100", "step-200"]
    first = saved("step-100", "model_100.pt", "vocab.pt", minute=1)
    later = saved("step-300", "model_300.pt", minute=20)
    assert to_go_on_from([first, half, later])[0].name == "step-300"


@pytest.mark.parametrize(
    ("written", "at"), [(-600.0, -600.0), (None, 0.0), (600.0, 0.0), ("yesterday", 0.0), ("-inf", 0.0)]
)
def test_a_checkpoint_is_as_old_as_its_files_where_the_machine_says_so(written: float | str | None, at: float) -> None:
    now = START.timestamp()
    told = {"name": "a", "manifest": "m", "written": now + written if isinstance(written, float) else written}
    line = json.dumps({"t": now, "kind": "checkpoint", "data": told}).encode()
    (saved,) = telemetry.digest(line, START).saved
    assert (saved.at - START).total_seconds() == at


def test_what_lies_in_the_store_holds_no_secret() -> None:
    launch = a_launch(spec=a_spec(secrets=("KEY",)))
    order = orders.launch_order(launch, secrets={"KEY": "s3cr3t"}, credentials={})
    assert order.env["KEY"] == "s3cr3t"
    assert b"s3cr3t" not in wire.to_json(orders.agent_order(launch))
    assert "s3cr3t" not in repr(order)


def test_a_secret_that_is_missing_is_named() -> None:
    with pytest.raises(BadSpec, match="HOURGLASS_SECRET_KEY"):
        orders.launch_order(a_launch(spec=a_spec(secrets=("KEY",))), secrets={}, credentials={})


@pytest.mark.parametrize(
    ("image", "digest", "expected"),
    [
        ("torch:2", "sha256:ab", "torch@sha256:ab"),
        ("host:5000/a/torch", "sha256:ab", "host:5000/a/torch@sha256:ab"),
        ("host:5000/a/torch:2", "sha256:ab", "host:5000/a/torch@sha256:ab"),
        ("torch:2", "torch@sha256:ab", "torch@sha256:ab"),
        ("torch:2", None, "torch:2"),
        (None, "sha256:ab", None),
    ],
)
def test_an_image_is_pinned_to_its_digest(image: str | None, digest: str | None, expected: str | None) -> None:
    assert expected == orders.pinned_image(image, digest)


def test_a_gpu_is_required_unless_a_stand_in_is_announced() -> None:
    assert orders.agent_order(a_launch()).gpu.required
    assert not orders.agent_order(a_launch(traits=some_traits(stand_in="Practice: a CPU stands in."))).gpu.required


# ---------------------------------------------------------------- curves and telemetry


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["val_loss", "loss", "train_loss"], "loss"),
        (["val_loss", "train_loss"], "train_loss"),
        (["val_loss", "aux_loss"], "aux_loss"),
        (["eval/loss"], "eval/loss"),
        (["test_loss", "total_loss"], "total_loss"),
        (["epoch_g_loss", "g_loss"], "g_loss"),
        (["loss_te", "loss_tr"], "loss_tr"),
        (["eval_loss", "value_loss"], "value_loss"),
        (["lr", "mfu"], None),
    ],
)
def test_which_curve_is_the_loss(names: list[str], expected: str | None) -> None:
    assert expected == curves.loss_series(names)


@given(st.lists(st.integers(min_value=1, max_value=300), min_size=1, max_size=60), st.integers(0, 10**6))
def test_a_curve_never_has_more_points_than_a_screen_shows(gaps: list[int], first: int) -> None:
    kept = [first]
    step = first
    for gap in gaps * 40:
        step += gap
        if not curves.keeps(kept[0], kept[-1], step):
            continue
        width = curves.stride(first, step)
        if width > curves.stride(first, kept[-1]):
            left = curves.thinned(kept, width)
            kept = [at for at in kept if at in left]
        kept.append(step)
    assert len(kept) <= curves.POINTS_LIMIT + 1
    assert kept == sorted(set(kept)) and kept[0] == first


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading(data: bytes) -> None:
    telemetry.digest(data, START)


FIELDS = "stage note name count driver step values total eta code text manifest reason tail removed".split()  # noqa: SIM905  one word after another reads better
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from([kind.value for kind in wire.EventKind]),
    t=st.floats() | st.text(max_size=3),
    data=st.dictionaries(
        st.sampled_from(FIELDS),
        _json,
        max_size=6,
    ),
)
def test_no_event_breaks_the_reading(kind: str, t: object, data: dict[str, object]) -> None:
    line = json.dumps({"t": t, "kind": kind, "data": data}).encode()
    told = telemetry.digest(line, START)
    for point in told.points:
        assert (point.value is None) == bool(point.odd)
    assert all(isinstance(value, datetime) for name, value in told.columns.items() if name.endswith("_at"))


# ---------------------------------------------------------------- lanes and the crew


def test_a_lane_that_hangs_delays_nobody_but_itself() -> None:
    lanes, hang, done = SideBySide(patience=0.2), threading.Event(), []
    lanes.run({"slow": lambda: hang.wait(30), "fast": lambda: done.append(1)})  # type: ignore[dict-item]
    lanes.run({"slow": lambda: done.append(99), "fast": lambda: done.append(2)})
    assert done == [1, 2]
    hang.set()


def test_a_lane_that_was_busy_is_free_again() -> None:
    lanes, hang, done = SideBySide(patience=5), threading.Event(), []
    SideBySide(patience=0.1).run({"other": hang.wait})  # type: ignore[dict-item]
    hang.set()
    lanes.run({"slow": lambda: done.append(1)})
    lanes.run({"slow": lambda: done.append(2)})
    assert done == [1, 2]


@pytest.mark.parametrize("lanes", [InTurn(), SideBySide(patience=5)])
def test_a_piece_that_raises_is_its_own_trouble(lanes: InTurn | SideBySide) -> None:
    done: list[int] = []
    lanes.run({"broken": lambda: 1 // 0, "sound": lambda: done.append(1)})  # type: ignore[dict-item]
    assert done == [1]


def test_the_crew_works_on_a_job_once_at_a_time_and_once_more_if_woken_meanwhile() -> None:
    inside, go = threading.Semaphore(0), threading.Semaphore(0)
    seen: list[str] = []
    together: list[int] = []
    now = [0]

    def work(name: str) -> None:
        now[0] += 1
        together.append(now[0])
        seen.append(name)
        inside.release()
        assert go.acquire(timeout=20)
        now[0] -= 1

    crew = Crew(work, 3)
    crew.start()
    crew.give("a")
    assert inside.acquire(timeout=20)
    crew.give("a")
    crew.give("a")
    go.release()
    assert inside.acquire(timeout=20)
    go.release()
    assert crew.stop(20)
    assert (seen, together) == (["a", "a"], [1, 1])


def test_the_crew_survives_a_job_that_breaks_it() -> None:
    done = threading.Event()

    def work(name: str) -> None:
        if name == "broken":
            raise RuntimeError(name)
        done.set()

    crew = Crew(work, 1)
    crew.start()
    crew.give("broken")
    crew.give("sound")
    assert done.wait(20)
    assert crew.stop(20)
