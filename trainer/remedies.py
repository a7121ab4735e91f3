"""What to change so that it fits: one thing after another, the least painful first. Pure.

The order is what costs least of what the training is: first what changes nothing but the time it takes, then what
changes the arithmetic, then what is trained at all. More GPUs stand beside the ladder, for the training as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from trainer.architectures import Architecture
from trainer.memory import Estimate, Method, Optimizer, Precision, Recipe, estimate

MOST_BATCH: Final = 1024
SHARDS: Final = (2, 4, 8, 16)


class Change(StrEnum):
    """What can be changed."""

    FLASH = "flash"
    MICRO_BATCH = "micro-batch"
    FUSED = "fused"
    PRECISION = "precision"
    CHECKPOINTING = "checkpointing"
    OPTIMIZER = "optimizer"
    LORA = "lora"
    QLORA = "qlora"
    SHARDS = "shards"


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A change, and what is needed once it and all before it are made."""

    change: Change
    recipe: Recipe
    estimate: Estimate


def ladder(shape: Architecture, recipe: Recipe, room: int) -> Sequence[Remedy]:
    """Return the changes that together make it fit into `room` bytes, or all there are; each takes something off."""
    made: list[Remedy] = []
    needed = estimate(shape, recipe).total
    for change, step in _STEPS:
        if needed <= room:
            break
        for changed in step(recipe):
            found = estimate(shape, changed)
            if found.total < needed:
                made = [one for one in made if one.change is not change]
                made.append(Remedy(change=change, recipe=changed, estimate=found))
                recipe, needed = changed, found.total
            if needed <= room:
                break
    return made


def sharded(shape: Architecture, recipe: Recipe, room: int) -> Remedy | None:
    """Return the fewest GPUs over which FSDP makes it fit, each of `room` bytes; None where none of them does."""
    fewest = recipe.gpus + 1 if recipe.sharded else recipe.gpus
    for gpus in SHARDS:
        changed = replace(recipe, gpus=gpus, sharded=True)
        found = estimate(shape, changed)
        if gpus >= fewest and found.total <= room:
            return Remedy(change=Change.SHARDS, recipe=changed, estimate=found)
    return None


def largest_batch(shape: Architecture, recipe: Recipe, room: int) -> int:
    """Return the largest micro-batch, by doubling, that fits; 0 where not even the one asked for does."""
    batch = 0
    size = recipe.micro_batch
    while size <= MOST_BATCH and estimate(shape, replace(recipe, micro_batch=size)).total <= room:
        batch, size = size, size * 2
    return batch


def _flash(recipe: Recipe) -> Iterator[Recipe]:
    if not recipe.flash:
        yield replace(recipe, flash=True)


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    """The same global batch, in more and smaller steps."""
    size = recipe.micro_batch
    while size > 1:
        size //= 2
        yield replace(recipe, micro_batch=size, accumulation=True)


def _fused(recipe: Recipe) -> Iterator[Recipe]:
    if recipe.optimizer is Optimizer.ADAMW:
        yield replace(recipe, optimizer=Optimizer.FUSED)


def _narrower(recipe: Recipe) -> Iterator[Recipe]:
    if recipe.precision is Precision.FP32:
        yield replace(recipe, precision=Precision.BF16 if recipe.method is not Method.FULL else Precision.AMP)


def _checkpointing(recipe: Recipe) -> Iterator[Recipe]:
    if not recipe.checkpointing:
        yield replace(recipe, checkpointing=True)


def _eight_bits(recipe: Recipe) -> Iterator[Recipe]:
    if recipe.optimizer in (Optimizer.ADAMW, Optimizer.FUSED):
        yield replace(recipe, optimizer=Optimizer.ADAMW_8BIT)


def _lora(recipe: Recipe) -> Iterator[Recipe]:
    if recipe.method is Method.FULL:
        yield replace(recipe, method=Method.LORA, precision=Precision.BF16)


def _qlora(recipe: Recipe) -> Iterator[Recipe]:
    if recipe.method is not Method.QLORA:
        yield replace(recipe, method=Method.QLORA, precision=Precision.BF16)


_STEPS: Final[Sequence[tuple[Change, Callable[[Recipe], Iterator[Recipe]]]]] = (
    (Change.FLASH, _flash),
    (Change.MICRO_BATCH, _smaller),
    (Change.FUSED, _fused),
    (Change.PRECISION, _narrower),
    (Change.CHECKPOINTING, _checkpointing),
    (Change.OPTIMIZER, _eight_bits),
    (Change.LORA, _lora),
    (Change.QLORA, _qlora),
)
