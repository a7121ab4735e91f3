"""The memory estimate against `torch.cuda.max_memory_allocated`, on configurations of different kinds.

    python -m tests.bench.memory_gpu      needs a GPU with 80 GB, torch, and nothing else

The models are the plainest that have the shapes of `trainer.architectures`: eager PyTorch, no dropout, attention by
`scaled_dot_product_attention`, RMSNorm as Hugging Face writes it. The matrices of 4 bits are a stand-in for
bitsandbytes': as large, unpacked as they are used, and no better than that.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trainer.architectures import named
from trainer.memory import GIB, Estimate, Method, Optimizer, Precision, Recipe, estimate

if TYPE_CHECKING:
    from tests.bench.figures import Figure

COMMAND = "python -m tests.bench.memory_gpu, on a machine with a GPU of 80 GB"
GOAL = 10.0  # percent
CUT = 3  # layers, where tensors are counted: quick, and what an operation needs while it works weighs more
STEPS = 3  # the optimizer's states are there from the second on

CASES: tuple[tuple[str, Recipe], ...] = (
    ("gpt2", Recipe(micro_batch=12, optimizer=Optimizer.FUSED)),
    ("gpt2-medium", Recipe(precision=Precision.FP32, micro_batch=4)),
    ("gpt2-xl", Recipe(micro_batch=4, checkpointing=True)),
    ("gpt2", Recipe(micro_batch=4, accumulation=True, flash=False, optimizer=Optimizer.SGD)),
    ("llama-3.2-1b", Recipe(precision=Precision.BF16, micro_batch=4, sequence=2048)),
    ("tinyllama", Recipe(micro_batch=4, sequence=2048, optimizer=Optimizer.FUSED)),
    ("mistral-7b", Recipe(precision=Precision.BF16, micro_batch=2, sequence=2048, checkpointing=True,
                          optimizer=Optimizer.FUSED)),
    ("llama-2-7b", Recipe(method=Method.LORA, precision=Precision.BF16, micro_batch=2, sequence=2048)),
    ("llama-2-7b", Recipe(method=Method.QLORA, precision=Precision.BF16, micro_batch=4, sequence=2048,
                          checkpointing=True)),
    ("vit-l", Recipe(micro_batch=64, optimizer=Optimizer.MOMENTUM)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration, measured."""

    name: str
    estimated: Estimate
    measured: int  # bytes

    @property
    def off(self) -> float:
        """How far the estimate is off, in percent of what was measured."""
        return 100 * (self.estimated.allocated - self.measured) / self.measured


def title(name: str, recipe: Recipe) -> str:
    """Return a configuration in a few words."""
    words = [name, recipe.method, recipe.precision, f"{recipe.micro_batch}×{recipe.sequence}", recipe.optimizer]
    words += ["checkpointing"] if recipe.checkpointing else []
    words += [] if recipe.flash else ["scores held"]
    words += ["accumulating"] if recipe.accumulation else []
    return " ".join(map(str, words))


def has_gpu() -> bool:
    """Return whether there is torch, and a GPU that it can use."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def measured() -> Iterator[Row]:
    """Train each configuration for some steps and yield what it took."""
    import torch

    from tests.bench.memory_models import Session

    for name, recipe in CASES:
        shape = named(name)
        torch.cuda.reset_peak_memory_stats()
        session = Session(shape, recipe, device="cuda")
        for _ in range(STEPS):
            session.step()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        del session
        gc.collect()
        torch.cuda.empty_cache()
        yield Row(name=title(name, recipe), estimated=estimate(shape, recipe), measured=peak)


def rows() -> list[Figure]:
    """Return by how many percent the estimate is off: of each configuration on a GPU, and of counted tensors."""
    from tests.bench.figures import Figure

    if not has_gpu():
        return [unmeasured(), _counted()]
    return [
        Figure(
            name=f"memory of {row.name}",
            value=abs(row.off),
            unit="%",
            goal=GOAL,
            note=f"{row.estimated.allocated / GIB:.1f} GiB said, {row.measured / GIB:.1f} measured",
        )
        for row in measured()
    ] + [_counted()]


def unmeasured() -> Figure:
    """Return the row of a machine that cannot measure it."""
    from tests.bench.figures import Figure

    note = f"no GPU here: {COMMAND}"
    return Figure(name="memory estimate on a GPU, furthest off", value=None, unit="%", goal=GOAL, note=note)


def _counted() -> Figure:
    """Return how far the estimate is off what PyTorch's tensors add up to, on the same configurations cut short."""
    from tests.bench.figures import Figure

    name = f"memory estimate against counted tensors, {len(CASES)} configurations of {CUT} layers, furthest off"
    try:
        from tests.bench.memory_counted import off
    except ImportError:
        return Figure(name=name, value=None, unit="%", goal=GOAL, note="no torch here")
    worst = max(abs(off(replace(named(model), layers=CUT), recipe)) for model, recipe in CASES)
    return Figure(name=name, value=worst, unit="%", goal=GOAL, note="without a GPU: what kernels take is not seen")


def main() -> int:
    """Print estimate against measurement; 1 where one is off by more than the goal."""
    if not has_gpu():
        sys.stdout.write(f"not measured: no GPU here.\n    {COMMAND}\n")
        return 0
    worst = 0.0
    for row in measured():
        worst = max(worst, abs(row.off))
        said, seen = row.estimated.allocated / GIB, row.measured / GIB
        sys.stdout.write(f"{said:7.2f} GiB said  {seen:7.2f} measured  {row.off:+6.1f} %  {row.name}\n")
        sys.stdout.flush()
    sys.stdout.write(f"furthest off: {worst:.1f} % (goal {GOAL:g} %)\n")
    return int(worst > GOAL)


if __name__ == "__main__":
    raise SystemExit(main())
