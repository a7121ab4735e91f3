"""Two gloo processes go on from a checkpoint that only one of them has; printed as JSON.

python -m tests.trainer_loop.ranks
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.trainer_loop.resume import same
from tests.trainer_loop.runs import Run, as_rank, curve, free_port, make
from tests.trainer_loop.worlds import apart

STEPS, SAVED, OLDER = 12, 8, 4
OTHER = {"ddp": "fsdp", "fsdp": "ddp"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of it, for one way of spreading a model; no two ranks draw the same weights to begin with."""

    weights: float  # distance of the first loss from that of one process with rank 0's weights
    began: list[int]  # steps from which ranks 0 and 1 went on: rank 1 with nothing, and with an older checkpoint
    equal: bool  # whether both ended bitwise as the run that never stopped
    crossed: float  # distance of the losses that are left from that run's, where the model is spread the other way
    short: float  # distance of the losses of a run for which memory runs out on both ranks from that run's
    ahead: list[str]  # what each rank said where rank 1 had the newer checkpoint


def measure(folder: Path, parallel: str) -> Found:
    """Run both ranks, each with a folder of its own as two machines have."""
    port, results = free_port(), [folder / f"result-{rank}" for rank in (0, 1)]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=_rank, args=(rank, port, folder, parallel)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)
    if [process.exitcode for process in ranks] != [0, 0]:
        for process in ranks:
            process.kill()
        raise RuntimeError(f"the ranks ended with {[process.exitcode for process in ranks]}")
    first, second = (json.loads(path.read_text()) for path in results)
    with redirect_stdout(io.StringIO()):
        alone = curve(make(Run(out=folder / "alone", steps=1)))
    return Found(
        weights=apart([first["losses"][0]], alone),
        began=[*first["began"], *second["began"]],
        equal=first["equal"],
        crossed=apart(first["crossed"], first["losses"][SAVED:]),
        short=apart(first["short"], first["losses"]),
        ahead=[first["said"], second["said"]],
    )


def _rank(rank: int, port: int, folder: Path, parallel: str) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    world = as_rank(rank, 2, port)

    def run(name: str, parallel: str = parallel, room: int | None = None) -> Any:
        out = folder / f"{name}-{rank}"
        return make(Run(out=out, steps=STEPS, micro_batch=2, parallel=parallel, seed=7 + rank, room=room), world)

    found: dict[str, Any] = {"losses": curve(run("straight")), "began": []}
    for name, steps in {"nothing": (SAVED, 0), "older": (SAVED, OLDER)}.items():
        bring(folder, name, rank, steps[rank])
        loop = run(name)
        found["began"].append(loop.step)
        loop.run()
    found["equal"] = rank == 0 and all(
        same(last(folder, "straight"), last(folder, name)) for name in ("nothing", "older")
    )
    bring(folder, "crossed", rank, (SAVED, 0)[rank])
    found["crossed"] = curve(run("crossed", OTHER[parallel]))
    found["short"] = curve(run("short", room=1))
    bring(folder, "ahead", rank, (OLDER, SAVED)[rank])
    try:
        run("ahead")
    except ValueError as error:
        found["said"] = str(error)
    (folder / f"result-{rank}").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def last(folder: Path, name: str) -> Any:
    """Return the last checkpoint of a run; rank 0 has it."""
    return torch.load(folder / f"{name}-0" / f"ckpt-{STEPS:06d}.pt", weights_only=True)


def bring(folder: Path, name: str, rank: int, step: int) -> None:
    """Put a checkpoint into this rank's folder: the straight run's, or one that is older and of other weights."""
    if not step:
        return
    state = torch.load(folder / "straight-0" / f"ckpt-{SAVED:06d}.pt", weights_only=True)
    if step != SAVED:
        weights = {key: tensor + 1 for key, tensor in state["model"].items()}
        state |= {"step": step, "position": state["position"] * step // SAVED, "model": weights}
    own = folder / f"{name}-{rank}"
    own.mkdir()
    torch.save(state, own / f"ckpt-{step:06d}.pt")


def main() -> None:
    """Print what came of it, a line for each way of spreading the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parallel", nargs="*", default=list(OTHER))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # also because a fork does not take the threads of a pool along
    for parallel in arguments.parallel:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), parallel)
        sys.stdout.write(json.dumps({"parallel": parallel, **vars(found)}) + "\n")


if __name__ == "__main__":
    main()
