"""`make bench-trainer`: the reference training loop's figures; what needs a GPU says so where there is none.

make bench-trainer                              every figure that this machine can measure
make bench-trainer ARGS='--only resume'         those whose name contains a word
make bench-trainer ARGS='--nanogpt PATH'        beside a checkout of nanoGPT, unmodified
make bench-trainer ARGS='--small'               a few cases each
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import memory_gpu, trainer_gpu
from tests.bench.figures import Figure, show

ACCUMULATIONS = ("1", "2", "4")


def resume(*, small: bool) -> list[Figure]:
    """Stop and go on, half of it by SIGKILL in the middle of a save; count what is not bitwise equal."""
    count = 6 if small else 200
    (found,) = _module("resume", "--count", str(count), "--seed", "1")
    note = f"{found['killed']} killed, {found['half_written']} of them in mid-save; {found['asked']} saved when asked"
    name = "resumed runs that differ by a bit from one that never stopped"
    return [Figure(name=name, value=found["cases"] - found["equal"], unit=f"of {count}", goal=0, note=note)]


def worlds(*, small: bool) -> list[Figure]:
    """Train with two gloo processes and with one at the same global batch."""
    steps = 20 if small else 200
    found = _module("worlds", "--steps", str(steps), "--accumulation", *ACCUMULATIONS)
    rows = (
        ("2 processes against 1, fp32: first-step gradients", "gradients", 1e-5),
        (f"2 processes against 1, fp64: losses over {steps} steps", "losses", 1e-12),
        (f"out of memory on one of 2 processes, fp64: losses over {steps} steps", "short", 1e-12),
    )
    note = "accumulation " + ", ".join(ACCUMULATIONS) + "; the largest relative distance"
    return [
        Figure(name=name, value=max(row[key] for row in found), unit="", goal=goal, note=note)
        for name, key, goal in rows
    ]


def _module(name: str, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.trainer_loop.{name}", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise RuntimeError(f"{name} ended with {done.returncode} and said nothing")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="make bench-trainer", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a word out of: resume, worlds, speed, stall, memory")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT, to be run as it is")
    parser.add_argument("--variants", action="store_true", help="time other settings of the loop, too")
    parser.add_argument("--small", action="store_true", help="a few cases and steps")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    measures: dict[str, Callable[[], list[Figure]]] = {
        "resume": partial(resume, small=arguments.small),
        "worlds": partial(worlds, small=arguments.small),
        "speed": partial(trainer_gpu.speed, arguments.nanogpt, variants=arguments.variants),
        "stall": trainer_gpu.stall,
        "memory": memory_gpu.rows,
    }
    wanted = [measure for name, measure in measures.items() if arguments.only in name]
    if not wanted:
        parser.error(f"--only {arguments.only}: there is no such figure; there are {', '.join(measures)}")
    figures = [figure for measure in wanted for figure in measure()]
    show(figures, arguments.json)


if __name__ == "__main__":
    main()
