"""Is a resumed run bitwise the run that never stopped? Random cases, half of them killed while they save.

    python -m tests.trainer_loop.resume --count 200 --seed 1

A case is stopped at a random step, by SIGTERM or by SIGKILL with a checkpoint half written, and goes on with another
number of workers. Compared is the last checkpoint: weights, optimizer, scaler, step and position, bit by bit.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import trainer.loop
from tests.trainer_loop.runs import Run, make, mutant
from trainer.checkpoint import load_newest

STEPS, SAVE_EVERY = 9, 2
PAD = 500_000  # numbers that make a checkpoint large enough to be caught half written
# What a mutant forgets: that a resumed run has to draw what the other would have drawn.
FORGETFUL = ("loop", "draw_from(self.settings.seed, self.step, self.world.rank)", "pass")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Where a run is stopped, how, and how it goes on."""

    precision: str
    workers: int
    workers_after: int
    stop: int  # the step that is not taken any more, or the save that is not finished
    killed: bool
    share: float  # of the file that is written when the kill comes; 1.0: all of it, and only the rename is missing


@dataclass(frozen=True, kw_only=True)
class Count:
    """What many cases came to."""

    cases: int
    equal: int
    killed: int
    half_written: int  # of the killed, those that left a temporary file behind
    asked: int  # of the others, those that saved the very step in which they were asked to stop


def cases(number: int, seed: int) -> Iterator[Case]:
    """Yield random cases, every second one killed."""
    chance = random.Random(seed)
    for index in range(number):
        yield Case(
            precision=chance.choice(["fp32", "bf16", "fp16"]),
            workers=chance.choice([0, 0, 1, 2]),
            workers_after=chance.choice([0, 0, 1, 2]),
            stop=chance.randrange(1, STEPS) if index % 2 else chance.randrange(1, STEPS // SAVE_EVERY),
            killed=index % 2 == 0,
            share=chance.choice([0.1, 0.5, 0.9, 1.0]),
        )


def measure(number: int, seed: int, folder: Path, loop: ModuleType = trainer.loop) -> Count:
    """Run the cases, each in processes of its own, forked from this one; it runs what never stops itself.

    So this process has imported what a step imports, which takes seconds, before the first fork.
    """
    equal = killed = half = asked = 0
    reference: dict[str, Any] = {}
    for index, case in enumerate(cases(number, seed)):
        if case.precision not in reference:
            with redirect_stdout(io.StringIO()):
                _run(case, folder / case.precision, 0, loop)
            reference[case.precision] = _last(folder / case.precision)
        out = folder / str(index)
        stop = _killed if case.killed else _stopped
        _apart(partial(stop, case, out, loop), hush=case.killed)
        killed += case.killed
        half += case.killed and any(out.glob("*.tmp"))
        asked += not case.killed and (_last(out) or {}).get("step") == case.stop + 1
        _apart(partial(_run, case, out, case.workers_after, loop))
        equal += same(reference[case.precision], _last(out))
    return Count(cases=number, equal=equal, killed=killed, half_written=half, asked=asked)


def _run(case: Case, out: Path, workers: int, loop: ModuleType, batches: Any = lambda batches: batches) -> None:
    make(
        Run(
            out=out,
            steps=STEPS,
            precision=case.precision,
            workers=workers,
            dropout=0.2,
            save_every=SAVE_EVERY,
            extra={"pad": torch.zeros(PAD)},
            batches=batches,
            loop=loop,
        )
    ).run()


def _stopped(case: Case, out: Path, loop: ModuleType) -> None:
    """Run until SIGTERM comes while step `stop` is on its way."""

    def until(batches: Callable[[int], Iterator[Any]]) -> Callable[[int], Iterator[Any]]:
        def from_position(position: int) -> Iterator[Any]:
            for number, batch in enumerate(batches(position)):
                if number == case.stop:
                    os.killpg(0, signal.SIGTERM)  # as who rents asks: the workers hear it, too
                yield batch

        return from_position

    _run(case, out, case.workers, loop, until)


def _killed(case: Case, out: Path, loop: ModuleType) -> None:
    """Run until SIGKILL comes with save number `stop` written to a part of it."""
    saves = count()

    def kill_in(path: Path) -> None:
        while not path.exists() or path.stat().st_size < case.share * 4 * PAD:
            time.sleep(0.0001)
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and case.share == 1.0 and next(saves) == case.stop:
            os.kill(os.getpid(), signal.SIGKILL)
        writes = event == "open" and str(arguments[0]).startswith(str(out)) and "w" in str(arguments[1])
        if writes and case.share < 1.0 and next(saves) == case.stop:
            threading.Thread(target=kill_in, args=(Path(arguments[0]),), daemon=True).start()

    sys.addaudithook(watch)
    _run(case, out, case.workers, loop)


def _apart(work: Callable[[], None], *, hush: bool = False) -> None:
    """Do the work in a forked process, which may die of it; `hush` what its loader's workers then complain of."""

    def quietly() -> None:
        os.setpgid(0, 0)
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # it has no path of its own
            os.dup2(nowhere.fileno(), 1)
            if hush:
                os.dup2(nowhere.fileno(), 2)
        work()

    process = multiprocessing.get_context("fork").Process(target=quietly)
    process.start()
    process.join(300)
    if process.is_alive():
        process.kill()
        raise TimeoutError("a small run took five minutes")


def _last(out: Path) -> Any:
    found = load_newest(out)
    return found[1] if found else None


def same(one: Any, other: Any) -> bool:
    """Say whether two states are the same, bit by bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def main() -> None:
    """Print what the cases came to as JSON, and leave with 1 when one is not equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutant", action="store_true", help="forget to draw each step's chance anew, and see it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # also because a fork does not take the threads of a pool along
    with tempfile.TemporaryDirectory() as folder:
        loop = mutant(*FORGETFUL) if arguments.mutant else trainer.loop
        result = measure(arguments.count, arguments.seed, Path(folder), loop)
    sys.stdout.write(json.dumps(vars(result)) + "\n")
    sys.exit(result.equal != result.cases)


if __name__ == "__main__":
    main()
