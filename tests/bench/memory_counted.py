"""The memory estimate against PyTorch's own tensors, counted one by one without a GPU and without memory.

The same models and steps as on a GPU, run by `FakeTensorMode`: every tensor has its shape and its lifetime, none has
contents. What is counted is what the allocator would be asked for; what kernels take for themselves is not seen.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.bench.memory_models import Session
from trainer.architectures import Architecture
from trainer.memory import WORKSPACE, Recipe, estimate

BLOCK = 512  # bytes that CUDA's allocator rounds up to
STEPS = 2  # the optimizer's states are there from the second on


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
    """Adds up the storages that live, and remembers the most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.living: dict[int, int] = {}
        self.now = 0
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, torch.Tensor):
                self._count(one.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self.living:
            return
        self.living[key] = -(-storage.nbytes() // BLOCK) * BLOCK
        weakref.finalize(storage, self._gone, key)
        self.now += self.living[key]
        self.most = max(self.most, self.now)

    def _gone(self, key: int) -> None:
        self.now -= self.living.pop(key)


def counted(shape: Architecture, recipe: Recipe) -> int:
    """Return the most bytes of tensors that lived at once in some steps."""
    with FakeTensorMode(allow_non_fake_inputs=True), Counting() as counting:
        session = Session(shape, recipe, device="cpu")
        for _ in range(STEPS):
            session.step()
    return int(counting.most)


def off(shape: Architecture, recipe: Recipe) -> float:
    """Return by how many percent the estimate is off what was counted."""
    most = counted(shape, recipe)
    return 100 * (estimate(shape, recipe).allocated - WORKSPACE - most) / most
