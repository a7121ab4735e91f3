"""The reference loop on a GPU: its speed beside nanoGPT's, and what a checkpoint costs the training.

Needs torch and the standard library, and for the speed a checkout of nanoGPT (and numpy, which nanoGPT wants).
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainer.data import Batches
from trainer.loop import Batch, Loop, Settings
from trainer.model import GPT, Windows
from trainer.world import World

if TYPE_CHECKING:
    from tests.bench.figures import Figure

COMMAND = "make bench-trainer ARGS='--nanogpt PATH', on a machine with a GPU"
CONTEXT, VOCAB = 1024, 50_304
MICRO, ACCUMULATION = 12, 5  # 12 is nanoGPT's own
FIRST, LAST, EVERY = 20, 120, 10  # steps between which is timed, and how often either prints
ROUNDS = 2  # of either, in turns
WINDOW = 5.0  # seconds of steps beside one save: longer than its write takes
WINDOWS = 5
# What else may be tried beside what the loop does by itself.
VARIANTS: Mapping[str, Sequence[str]] = {
    "flash attention": ("--attention", "flash"),
    "max-autotune": ("--compile", "max-autotune-no-cudagraphs"),
}


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What one run printed between two of its steps."""

    tokens: float  # a second
    mfu: float | None  # percent of the data sheet's dense bf16; None where the run does not say


def gpt2(out: Path, text: torch.Tensor, *, accumulation: int, steps: int = LAST, compile_mode: str = "default") -> Loop:
    """Return the loop on GPT-2 124M, as a team would set it up."""
    world = World.join()
    torch.manual_seed(1337)
    model = GPT(vocab=VOCAB, context=CONTEXT, width=768, heads=12, layers=12)
    settings = Settings(
        steps=steps,
        global_batch=MICRO * accumulation,
        micro_batch=MICRO,
        compile=compile_mode,
        log_every=EVERY,
        eval_every=10**9,
        save_every=10**9,
        out=out,
    )
    batches = Batches(dataset=Windows(text, CONTEXT), seed=1, global_batch=MICRO * accumulation)
    return Loop(model, batches, settings, world)


def speed(nanogpt: Path | None, *, variants: bool) -> list[Figure]:
    """Train GPT-2 124M with either on the same random tokens, in turns; the ratio of the medians."""
    from tests.bench.figures import Figure  # it wants more than torch where the table is printed

    name = f"GPT-2 124M, T={CONTEXT}, bf16, compiled, {MICRO} × {ACCUMULATION}: our tokens/s over nanoGPT's"
    if nanogpt is None or not torch.cuda.is_available():
        return [Figure(name=name, value=None, unit="×", goal=1.0, at_least=True, note=COMMAND)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "nanogpt"
        shutil.copytree(nanogpt, home)
        data = home / "data" / "random"
        data.mkdir()
        for part in ("train", "val"):
            tokens = torch.randint(50_257, (10_000_000,)).to(torch.uint16)
            (data / f"{part}.bin").write_bytes(tokens.numpy().tobytes())
        ours = (sys.executable, "-u", "-m", "tests.bench.trainer_gpu", "--train", str(data / "train.bin"))
        runs: dict[str, list[Speed]] = {"ours": [], "nanoGPT": []}
        for _ in range(ROUNDS):
            runs["ours"].append(_timed(ours, Path.cwd()))
            runs["nanoGPT"].append(_timed(_nanogpt(), home))
        if variants:
            runs |= {variant: [_timed((*ours, *more), Path.cwd())] for variant, more in VARIANTS.items()}
    medians = {who: statistics.median(run.tokens for run in found) for who, found in runs.items()}
    spread = "; ".join(f"{who} {' and '.join(f'{run.tokens:,.0f}' for run in found)}" for who, found in runs.items())
    figures = [
        Figure(
            name=name,
            value=medians["ours"] / medians["nanoGPT"],
            unit="×",
            goal=1.0,
            at_least=True,
            note=f"tokens/s: {spread}",
        ),
        Figure(name="  our model FLOP/s over the GPU's", value=runs["ours"][-1].mfu, unit="%", goal=None),
    ]
    return figures + [
        Figure(name=f"  with {variant}", value=medians[variant] / medians["nanoGPT"], unit="×", goal=None)
        for variant in (VARIANTS if variants else ())
    ]


def _nanogpt() -> Sequence[str]:
    return (
        *(sys.executable, "-u", "train.py", "--dataset=random", f"--batch_size={MICRO}", f"--block_size={CONTEXT}"),
        *(f"--gradient_accumulation_steps={ACCUMULATION}", f"--max_iters={LAST}", f"--log_interval={EVERY}"),
        *("--eval_interval=1000000", "--eval_iters=1", "--always_save_checkpoint=False", "--dtype=bfloat16"),
        "--compile=True",
    )


def _timed(command: Sequence[str], home: Path) -> Speed:
    """Run until the last step; time it by when its lines come: each is printed when the GPU is done with its step."""
    at: dict[int, float] = {}
    mfu: float | None = None
    lines: list[str] = []
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            if found := re.match(r"(?:iter|step) (\d+)\S* loss", line):
                at[int(found[1])] = time.perf_counter()
            if found := re.search(r"mfu:? ([\d.]+)", line):
                mfu = float(found[1])
    if process.returncode or FIRST not in at or LAST not in at:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{''.join(lines[-30:])}")
    sys.stderr.write(f"{' '.join(command)}\n{''.join(lines[-4:])}")
    return Speed(tokens=(LAST - FIRST) * MICRO * ACCUMULATION * CONTEXT / (at[LAST] - at[FIRST]), mfu=mfu)


def stall() -> list[Figure]:
    """Save 1.5 GB beside running steps, with the loop's own and with DCP's `async_save`, in turns.

    The stall is how much longer the same steps take with a save and its write beside them.
    """
    from tests.bench.figures import Figure  # as above

    name = "stall of an asynchronous checkpoint of GPT-2 124M"
    if not torch.cuda.is_available():
        return [Figure(name=name, value=None, unit="ms", goal=None, note=COMMAND)]
    with tempfile.TemporaryDirectory() as folder:
        text = torch.randint(50_257, (1_000_000,)).to(torch.uint16)
        loop = gpt2(Path(folder) / "ours", text, accumulation=1)
        step = _steps(loop, next(loop.batches(0)))
        size = sum(parameter.numel() for parameter in loop.parameters) * 12  # float32: itself and AdamW's two means
        copy = _copy_seconds(size)
        ours, dcp = _savers(loop, Path(folder) / "dcp")
        times = _windows(step, {"none": lambda: lambda: None, "ours": ours, "dcp": dcp})
    slower = {who: 1000 * (statistics.median(times[who]) - statistics.median(times["none"])) for who in times}
    noise = 1000 * (max(times["none"]) - min(times["none"]))
    note = f"{size / 1e9:.2f} GB, a pinned copy of it {1000 * copy:.0f} ms ({size / copy / 1e9:.1f} GB/s)"
    note += f"; steps without a save differ by {noise:.0f} ms; DCP's async_save {slower['dcp']:,.0f} ms"
    return [Figure(name=name, value=slower["ours"], unit="ms", goal=round(1500 * copy, 1), note=note)]


def _steps(loop: Loop, batch: Batch) -> Callable[[], None]:
    def step() -> None:
        loop._gradients(batch)
        loop._update()

    return step


def _copy_seconds(size: int) -> float:
    """Return what copying so many bytes from the GPU to pinned memory takes, the median of five."""
    there, here = torch.empty(size, dtype=torch.uint8, device="cuda"), torch.empty(size, dtype=torch.uint8).pin_memory()
    taken = []
    for _ in range(5):
        torch.cuda.synchronize()
        began = time.perf_counter()
        here.copy_(there, non_blocking=True)
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _savers(loop: Loop, folder: Path) -> tuple[Callable[[], Callable[[], object]], Callable[[], Callable[[], object]]]:
    """Return what begins a save, each returning what waits for its end."""
    from torch import distributed as dist
    from torch.distributed.checkpoint.state_dict_saver import async_save  # seconds, and only here

    # It wants a process group, also of one process.
    alone = dist.HashStore()  # type: ignore[attr-defined]  # torch has it, and does not say so
    dist.init_process_group("cpu:gloo,cuda:nccl", store=alone, rank=0, world_size=1)

    def ours() -> Callable[[], object]:
        loop._save()
        return loop.checkpoints.wait

    def theirs() -> Callable[[], object]:
        state = {"model": loop.plain.state_dict(), "optimizer": loop.optimizer.state_dict()}
        future: Any = async_save(state, checkpoint_id=folder / str(time.monotonic_ns()))

        def wait() -> None:
            future.result()
            shutil.rmtree(folder)

        return wait

    return ours, theirs


def _windows(
    step: Callable[[], None], savers: Mapping[str, Callable[[], Callable[[], object]]]
) -> dict[str, list[float]]:
    """Return for each saver the seconds that the same number of steps took, a save begun with the first of them."""
    for _ in range(20):
        step()
    for save in savers.values():  # the first ones take their memory
        save()()
        step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        step()
    torch.cuda.synchronize()
    steps = max(20, round(WINDOW / (time.perf_counter() - began) * 20))
    times: dict[str, list[float]] = {who: [] for who in savers}
    for _ in range(WINDOWS):
        for who, save in savers.items():
            torch.cuda.synchronize()
            began = time.perf_counter()
            wait = save()
            for _ in range(steps):
                step()
            torch.cuda.synchronize()
            times[who].append(time.perf_counter() - began)
            wait()
    return times


def main() -> None:
    """Train on a file of tokens, as `speed` times it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument(
        "--attention", choices=["torch's", "flash"], default="torch's", help="which, or torch's own choice"
    )
    parser.add_argument("--compile", default="default")
    parser.add_argument("--steps", type=int, default=LAST)
    arguments = parser.parse_args()
    size = arguments.train.stat().st_size // 2
    text = torch.from_file(str(arguments.train), size=size, dtype=torch.uint16)
    with tempfile.TemporaryDirectory() as folder:
        options = {"accumulation": ACCUMULATION, "steps": arguments.steps, "compile_mode": arguments.compile}
        loop = gpt2(Path(folder), text, **options)
        if arguments.attention == "flash":
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                loop.run()
        else:
            loop.run()


if __name__ == "__main__":
    main()
