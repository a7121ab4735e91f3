"""Two processes against one at the same global batch, over gloo; printed as JSON.

python -m tests.trainer_loop.worlds
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import trainer.loop
from tests.trainer_loop.runs import Run, as_rank, curve, first_gradients, free_port, make, mutant

# What a mutant gets wrong: each micro-batch counts the same, however many targets it has.
BY_MICRO_BATCH = ("loop", "(loss * weight)", "(loss * weight * self.count(batch) / (self.count(piece) * len(pieces)))")


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far two processes are from one."""

    gradients: float  # fp32, first step; the largest relative distance over parameters
    losses: float  # fp64; the largest relative distance over steps
    short: float  # the same where the second rank alone runs out of memory


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return ‖one - other‖ / ‖other‖."""
    return float((one - other).double().norm() / other.double().norm())


def apart(one: list[float], other: list[float]) -> float:
    """Return the largest relative distance of two curves."""
    assert len(one) == len(other)
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))


def measure(folder: Path, *, steps: int, accumulation: int, loop: ModuleType = trainer.loop) -> Distance:
    """Return the distances at a global batch of 16, two ranks taking `accumulation` micro-batches each."""
    run = Run(out=folder / "one", steps=steps, global_batch=16, micro_batch=16, save_every=10**6)
    with redirect_stdout(io.StringIO()):
        gradients = first_gradients(make(replace(run, out=folder / "gradients")))
        losses = curve(make(replace(run, double=True)))
    spread = replace(run, micro_batch=8 // accumulation, loop=loop)
    work = (replace(spread, out=folder / "two"), folder / "results")
    port = free_port()
    ranks = [multiprocessing.get_context("fork").Process(target=_rank, args=(rank, port, *work)) for rank in (0, 1)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(300)
    if [rank.exitcode for rank in ranks] != [0, 0]:
        for rank in ranks:
            rank.kill()
        raise RuntimeError(f"the ranks ended with {[rank.exitcode for rank in ranks]}")
    two = torch.load(folder / "results", weights_only=True)
    distances = map(relative, two["gradients"], gradients)
    return Distance(gradients=max(distances), losses=apart(two["losses"], losses), short=apart(two["short"], losses))


def _rank(rank: int, port: int, run: Run, results: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    world = as_rank(rank, 2, port)
    found: dict[str, Any] = {"gradients": first_gradients(make(replace(run, out=run.out / "gradients"), world))}
    found["losses"] = curve(make(replace(run, double=True, out=run.out / "losses"), world))
    room = max(1, run.micro_batch // 2) if rank == 1 else None
    found["short"] = curve(make(replace(run, double=True, room=room, out=run.out / "short"), world))
    if rank == 0:
        torch.save(found, results)
    torch.distributed.destroy_process_group()


def main() -> None:
    """Print the distances for accumulation 1, 2 and 4, one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--accumulation", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--mutant", action="store_true", help="normalise by the micro-batch, and see it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # also because a fork does not take the threads of a pool along
    loop = mutant(*BY_MICRO_BATCH) if arguments.mutant else trainer.loop
    for accumulation in arguments.accumulation:
        with tempfile.TemporaryDirectory() as folder:
            distance = measure(Path(folder), steps=arguments.steps, accumulation=accumulation, loop=loop)
        sys.stdout.write(json.dumps({"accumulation": accumulation, **vars(distance)}) + "\n")


if __name__ == "__main__":
    main()
