"""What a run sees, in which order: a function of the seed and of one integer, the position.

A stock `DataLoader` fetches, and nothing in it has to be saved. The position counts the samples that all GPUs
together have taken; the plan says which sample of which epoch that is, and each sample draws its chance (crops, noise,
where a window begins) from a seed of its own. So a run goes on bitwise from any step, with any number of workers.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Key = tuple[int, int]  # epoch and index of a sample


def seed_of(*parts: int) -> int:
    """Return 64 bits that depend on every part and look like chance; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=2)  # a step lies in one epoch, or straddles two
def _order(samples: int, seed: int, epoch: int) -> torch.Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed_of(seed, epoch)))


def plan(samples: int, seed: int, position: int, count: int) -> list[Key]:
    """Return the keys of the `count` samples from `position` on: one shuffled epoch after another, nothing dropped."""
    keys: list[Key] = []
    while len(keys) < count:
        epoch, first = divmod(position + len(keys), samples)
        keys += [(epoch, index) for index in _order(samples, seed, epoch)[first : first + count - len(keys)].tolist()]
    return keys


@contextmanager
def _chance_of(seed: int) -> Iterator[None]:
    """Draw from `seed` inside, and leave the chance outside as it was: without workers it is the training's own."""
    numpy = sys.modules.get("numpy")  # only where a dataset has brought it
    kept = torch.get_rng_state(), random.getstate(), numpy and numpy.random.get_state()
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    if numpy:
        numpy.random.seed(seed % 2**32)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        random.setstate(kept[1])
        if numpy:
            numpy.random.set_state(kept[2])


class _Seeded(Dataset[Any]):
    """A dataset whose samples are asked for by epoch and index, and draw from a seed of their own."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, key: Key) -> Any:
        with _chance_of(seed_of(self.seed, *key)):
            return self.dataset[key[1]]


def _leave_group(worker: int) -> None:
    """Let a SIGTERM to the whole group, which asks the training to save, not end the workers that it still needs."""
    os.setpgid(0, 0)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The training's data: called with a position, it yields this rank's micro-batches from there on, for ever.

    Here another iterator plugs in (DALI, webdataset, a service): anything that is called with the position and yields
    `global_batch / world / micro_batch` micro-batches a step, each a tensor or a tuple, list or dict of tensors with
    the samples along the first dimension, in host memory or on the GPU.
    """

    dataset: Any  # has a length; `dataset[index]` may draw from torch's, Python's and numpy's chance
    seed: int
    global_batch: int  # samples in a step, over all ranks
    micro_batch: int  # samples in what is yielded; the last of a step may have fewer
    rank: int = 0
    world: int = 1
    workers: int = 4

    def __call__(self, position: int) -> Iterator[Any]:
        """Return the iterator from `position` (samples that all ranks together have seen)."""
        loader = DataLoader(
            _Seeded(self.dataset, self.seed),
            batch_sampler=self._keys(position),
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            # The loader draws a seed for its workers, and nobody else's chance may move by it.
            generator=torch.Generator().manual_seed(self.seed),
            worker_init_fn=_leave_group,
        )
        return iter(loader)

    def _keys(self, position: int) -> Iterator[list[Key]]:
        share = self.global_batch // self.world
        while True:
            keys = plan(len(self.dataset), self.seed, position + self.rank * share, share)
            yield from (keys[first : first + self.micro_batch] for first in range(0, share, self.micro_batch))
            position += self.global_batch


class Windows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Windows of one long row of token ids, as inputs and as targets one place further; cut anew in each epoch.

    `ids` is any integer tensor, also one that lies in a file: `torch.from_file(name, size=n, dtype=torch.uint16)`.
    """

    def __init__(self, ids: torch.Tensor, length: int) -> None:
        if len(ids) < 2 * length + 1:
            raise ValueError(f"{len(ids):,} tokens are too few for windows of {length:,}: bring at least twice as many")
        self.ids, self.length = ids, length

    def __len__(self) -> int:
        return (len(self.ids) - 1) // self.length - 1  # one less, so that each can slide by up to its length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        first = index * self.length + int(torch.randint(self.length, ()))
        window = self.ids[first : first + self.length + 1].to(torch.int64)
        return window[:-1], window[1:]
