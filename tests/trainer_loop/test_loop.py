"""The reference loop: the same step however it is cut, room found where there is none, nothing lost on the way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.support import torches
from trainer.detect import Detector

torches.require()
pytestmark = torches.ONE_WORKER
ROOT = Path(__file__).parents[2]


def setup_module() -> None:
    global torch, Run, curve, first_gradients, make, mutant, BY_MICRO_BATCH, apart, relative, Settings, World
    global loop_module
    import torch

    import trainer.loop as loop_module
    from tests.trainer_loop.runs import Run, curve, first_gradients, make, mutant
    from tests.trainer_loop.worlds import BY_MICRO_BATCH, apart, relative
    from trainer.loop import Settings
    from trainer.world import World


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the sums' order, and so their last bits, depend on it
    yield
    torch.set_num_threads(before)


# This folder's programs that run for these tests: one process, which may fork, loads torch for all of them.
PROGRAMS = {
    "resumed": ["resume", "--count", "4", "--seed", "1"],
    "worlds": ["worlds", "--steps", "20", "--accumulation", "2"],
    "ranks": ["ranks", "--parallel", "ddp"],
    "sharded": ["ranks", "--parallel", "fsdp"],
    "forgetful": ["resume", "--count", "1", "--seed", "5", "--mutant"],
}
IN_TURN = """
import contextlib, json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = words
    with contextlib.suppress(SystemExit):  # a mutant that was noticed
        runpy.run_module("tests.trainer_loop." + words[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def printed() -> Mapping[str, dict[str, Any]]:
    """What each of the programs printed."""
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN, json.dumps(list(PROGRAMS.values()))],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(PROGRAMS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("micro", [1, 2, 4])
def test_accumulation_takes_the_same_step(tmp_path: Path, micro: int) -> None:
    whole = Run(out=tmp_path / "whole", micro_batch=8)
    parts = replace(whole, out=tmp_path / "parts", micro_batch=micro)
    pairs = zip(first_gradients(make(parts)), first_gradients(make(whole)), strict=True)
    assert max(relative(one, other) for one, other in pairs) <= 1e-5
    assert apart(curve(make(replace(parts, double=True))), curve(make(replace(whole, double=True)))) <= 1e-12


def test_normalising_by_the_micro_batch_would_be_noticed(tmp_path: Path) -> None:
    run = Run(out=tmp_path / "run", micro_batch=2, double=True)
    wrong = replace(run, out=tmp_path / "wrong", loop=mutant(*BY_MICRO_BATCH))
    assert apart(curve(make(wrong)), curve(make(run))) > 1e-6


def test_a_micro_batch_that_does_not_fit_is_halved_within_the_global_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(out=tmp_path / "run", micro_batch=8, double=True)
    expected = curve(make(run))
    short = curve(make(replace(run, out=tmp_path / "short", room=2)))
    assert apart(short, expected) <= 1e-12
    assert re.findall(r"micro-batch is (\d)", capsys.readouterr().out) == ["4", "2"]


def test_keeping_the_gradients_of_a_failed_attempt_would_be_noticed(tmp_path: Path) -> None:
    class Late:
        """Memory that runs out at the second micro-batch of a step, with the first one's gradients in place."""

        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, model: object, inputs: Any) -> None:
            self.calls += 1
            if len(inputs[0]) > 2 and self.calls % 2 == 0:
                raise torch.OutOfMemoryError("no room, a test says")

    def late(run: Run) -> list[float]:
        loop = make(run)
        loop.plain.register_forward_pre_hook(Late())
        return curve(loop)

    run = Run(out=tmp_path / "run", micro_batch=4, double=True)
    expected = curve(make(run))
    assert apart(late(replace(run, out=tmp_path / "late")), expected) <= 1e-12
    once = f"if getattr(self, 'zeroed', None) != self.step:\n{' ' * 16}self.zeroed = self.step\n{' ' * 16}"
    zero = "self.optimizer.zero_grad()"
    kept = mutant("loop", zero, once + zero)
    assert apart(late(replace(run, out=tmp_path / "kept", loop=kept)), expected) > 1e-6


def test_a_failed_attempt_leaves_no_trace_in_the_buffers(tmp_path: Path) -> None:
    loop = make(Run(out=tmp_path, micro_batch=8, room=4))
    loop.plain.register_buffer("passes", torch.zeros(()))

    def passed(model: Any, inputs: Any) -> None:
        model.passes.add_(1)

    loop.plain.register_forward_pre_hook(passed)
    loop.run()
    assert loop.plain.passes.item() == 12 * 2


def test_batches_that_end_or_are_no_share_are_refused_and_no_step_is_taken_with_less(tmp_path: Path) -> None:
    def ends(batches: Any) -> Any:
        return lambda position: islice(batches(position), 5)

    def smaller(batches: Any) -> Any:
        return replace(batches, global_batch=4)

    for number, broken in enumerate((ends, smaller)):
        with pytest.raises(ValueError, match="has ended, or its batch is not"):
            make(Run(out=tmp_path / str(number), batches=broken)).run()


class Rental:
    """What a rented machine's `hourglass` tells: 100 seconds are left from the sixth step on."""

    def __init__(self) -> None:
        self.steps, self.told = 0, []

    def time_left(self) -> float:
        self.steps += 1
        return 100.0 if self.steps > 5 else 10_000.0

    def should_stop(self) -> bool:
        return False

    def save(self, path: Path) -> None:
        self.told.append(path.name)

    def report(self, step: int, **values: Any) -> None:
        pass


def test_near_the_rentals_end_it_saves_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rental = Rental()
    monkeypatch.setattr(loop_module, "hourglass", rental)
    make(Run(out=tmp_path, save_every=100)).run()
    assert rental.told == ["ckpt-000006.pt", "ckpt-000012.pt"]


def test_gradients_are_clipped_all_together(tmp_path: Path) -> None:
    loop = make(Run(out=tmp_path))
    loop.settings = replace(loop.settings, clip=1e-3)
    loop._gradients(next(loop.batches(0)))
    norm = loop._update()
    clipped = torch.cat([parameter.grad.flatten() for parameter in loop.parameters]).norm()
    assert norm > 1e-2
    assert clipped.item() == pytest.approx(1e-3, rel=1e-3)


def test_an_evaluation_is_the_mean_over_its_targets_and_comes_with_the_last_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = make(Run(out=tmp_path, steps=3))
    loop.validation = list(islice(loop.batches(800), 3))
    loop.run()
    with torch.no_grad():
        losses = sum(loop.plain.eval()(*batch) for batch in loop.validation)
    expected = (losses / sum(loop.count(batch) for batch in loop.validation)).item()
    (told,) = re.findall(r"step 3/3: val_loss: (\S+)", capsys.readouterr().out)
    assert float(told) == pytest.approx(expected, rel=1e-4)


def test_mfu_is_of_the_peak_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make(Run(out=tmp_path), World(device=torch.device("cpu"), name="NVIDIA H100 80GB HBM3"))
    assert "mfu: % of 989 TFLOP/s a GPU, dense bf16" in capsys.readouterr().out
    loop.step, loop.timed_from = 10, (100.0, 0)
    monkeypatch.setattr(loop_module.time, "perf_counter", lambda: 102.0)
    loop._log(1.0, torch.tensor(1.0))
    (told,) = re.findall(r"mfu: (\S+),", capsys.readouterr().out)
    samples = loop.settings.global_batch * 10 / 2.0
    assert float(told) == pytest.approx(100 * samples * loop.plain.flops_per_sample / 989e12, rel=1e-4)


def test_one_sample_that_does_not_fit_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        make(Run(out=tmp_path, room=0)).run()


def test_a_global_batch_that_ranks_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"3 GPUs cannot share a global batch of 8 evenly"):
        make(Run(out=tmp_path), World(size=3, device=torch.device("cpu")))


def test_fp16_scales_and_its_scale_is_saved(tmp_path: Path) -> None:
    loop = make(Run(out=tmp_path, precision="fp16", steps=4))
    losses = curve(loop)
    again = make(Run(out=tmp_path, precision="fp16", steps=4))
    assert (loop.scaler.is_enabled(), again.scaler.state_dict()) == (True, loop.scaler.state_dict())
    assert losses[-1] < losses[0] * 1.1
    assert not make(Run(out=tmp_path / "bf16", precision="bf16")).scaler.is_enabled()


def test_the_optimizers_memory_is_taken_without_a_step(tmp_path: Path) -> None:
    loop = make(Run(out=tmp_path))
    states = loop.optimizer.state.values()
    assert len(states) == len(loop.parameters)
    assert [float(state["step"]) for state in states] == [0.0] * len(states)
    torch.manual_seed(7)
    fresh = type(loop.plain)(room=None, dropout=0.0)
    assert all(torch.equal(a, b) for a, b in zip(loop.plain.parameters(), fresh.parameters(), strict=True))


def test_a_rank_that_writes_no_checkpoint_keeps_nothing_of_what_is_gathered_for_it(tmp_path: Path) -> None:
    gathered: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    class Sharded(World):  # type: ignore[misc]  # it is imported when the tests run
        def whole(self, tensor: torch.Tensor) -> torch.Tensor:
            full = tensor.clone()  # of all pieces
            gathered.append(weakref.ref(full))
            alive.append(sum(reference() is not None for reference in gathered))
            return full

    loop = make(Run(out=tmp_path), Sharded(rank=1, device=torch.device("cpu")))
    loop._save()
    assert len(gathered) > 10
    assert max(alive) <= 2  # the one at hand, and the one before it
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_model_is_refused_by_its_path(tmp_path: Path) -> None:
    make(Run(out=tmp_path, steps=1)).run()
    path = tmp_path / "ckpt-000001.pt"
    state = torch.load(path, weights_only=True)
    state["model"]["norm.weight"] = torch.ones(17)
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"ckpt-000001\.pt is of another model"):
        make(Run(out=tmp_path))


def test_any_iterator_plugs_in(tmp_path: Path) -> None:
    def by_hand(batches):  # type: ignore[no-untyped-def]  # what `Run` asks for
        ready = list(islice(batches(0), 40))
        return lambda position: iter(ready[2 * position // 8 :])

    run = Run(out=tmp_path / "run")
    assert curve(make(replace(run, out=tmp_path / "hand", batches=by_hand))) == curve(make(run))


def test_what_is_printed_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(Run(out=tmp_path, steps=3)).run()
    detector = Detector()
    read = [found for line in capsys.readouterr().out.splitlines() if (found := detector.feed(line))]
    assert [(found.step, found.total) for found in read] == [(1, 3), (2, 3), (3, 3)]
    assert {name for found in read for name in found.values} == {"loss", "lr", "grad_norm"}


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    settings = Settings(steps=110, global_batch=1, micro_batch=1, lr=1.0, warmup=10, final_lr=0.1)
    rates = [settings.lr_at(step) for step in (1, 5, 10, 60, 110, 200)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 0.55, 0.1, 0.1])


@pytest.mark.slow
@pytest.mark.timeout(500)  # real processes on a machine that others may be using too
def test_a_resumed_run_is_bitwise_the_one_that_never_stopped(printed: Mapping[str, dict[str, Any]]) -> None:
    count = printed["resumed"]
    assert (count["equal"], count["killed"], count["half_written"], count["asked"]) == (4, 2, 2, 2)


@pytest.mark.slow
@pytest.mark.timeout(500)  # as above
def test_a_loop_that_forgets_its_chance_would_be_noticed(printed: Mapping[str, dict[str, Any]]) -> None:
    assert printed["forgetful"]["equal"] == 0


@pytest.mark.slow
@pytest.mark.timeout(500)  # as above
def test_two_processes_train_as_one_does(printed: Mapping[str, dict[str, Any]]) -> None:
    distance = printed["worlds"]
    assert distance["gradients"] <= 1e-5
    assert (distance["losses"] <= 1e-12, distance["short"] <= 1e-12) == (True, True)


@pytest.mark.slow
@pytest.mark.timeout(500)  # as above
@pytest.mark.parametrize("how", ["ranks", "sharded"])
def test_ranks_go_on_from_rank_0s_checkpoint_or_not_at_all(printed: Mapping[str, dict[str, Any]], how: str) -> None:
    found = printed[how]
    assert (found["began"], found["equal"]) == ([8, 8, 8, 8], True)
    assert found["weights"] <= 1e-5  # each rank drew its own, and rank 0's were taken
    assert found["crossed"] <= 1e-5  # from DDP to FSDP2, or back
    assert found["short"] <= 1e-5  # memory ran out on both, and the micro-batch was halved
    assert found["ahead"] == ["rank 0 has step 4, another rank has step 8: share the folder"] * 2
