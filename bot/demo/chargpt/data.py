"""What a run sees, in which order: a function of the seed and of one integer, the position.

A stock `DataLoader` fetches, and nothing in it has to be saved. The position counts the samples that all GPUs
together have taken; the plan says which sample of which epoch that is, and each sample draws its chance (crops, noise,
where a window begins) from a seed of its own. So a run goes on bitwise from any step, with any number of workers.
"""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset


def draw_from(*parts: int) -> None:
    """Let torch, this process's GPU, Python and numpy draw from the parts from here on; the same on every machine."""
    random.seed(repr(parts))  # which takes its SHA-512: every part counts
    seed = random.getrandbits(64)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # in a loader's worker it is not
        torch.cuda.manual_seed(seed)
    if numpy := sys.modules.get("numpy"):  # only where a dataset or a model has brought it
        numpy.random.seed(seed % 2**32)


@lru_cache(maxsize=2)  # a step lies in one epoch, or straddles two
def _order(samples: int, seed: int, epoch: int) -> torch.Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed + epoch))  # as `DistributedSampler`


def plan(samples: int, seed: int, position: int, share: int) -> list[tuple[int, int]]:
    """Return epoch and index of the `share` samples from `position` on: each epoch is shuffled anew, and is whole."""
    places = (divmod(place, samples) for place in range(position, position + share))
    return [(epoch, int(_order(samples, seed, epoch)[place])) for epoch, place in places]


def _leave_group(worker: int) -> None:
    """Let a SIGTERM to the whole group, which asks the training to save, not end the workers that it still needs."""
    os.setpgid(0, 0)


@dataclass(frozen=True, kw_only=True)
class Batches(Dataset[Any]):
    """The training's data: called with a position (in samples of all ranks), it yields this rank's share of each step.

    Here another iterator plugs in (DALI, webdataset, a service): whatever is called with the position and yields, step
    by step, a tuple of tensors with `global_batch / world` samples along the first dimension, in host memory or on the
    GPU. Without workers a sample is drawn in this process, and moves its chance.
    """

    dataset: Any  # has a length; `dataset[index]` may draw from torch's, Python's and numpy's chance
    seed: int
    global_batch: int  # samples in a step, over all ranks
    rank: int = 0
    world: int = 1
    workers: int = 4

    def __call__(self, position: int) -> Iterator[Any]:
        """Yield this rank's share of each step from `position` on."""
        share = self.global_batch // self.world
        starts = count(position + self.rank * share, self.global_batch)  # of this rank's share, step by step
        yield from DataLoader(
            self,
            batch_sampler=(plan(len(self.dataset), self.seed, start, share) for start in starts),
            num_workers=self.workers,
            prefetch_factor=1 if self.workers else None,  # a step each: they lie in shared memory
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_leave_group,
        )

    def __getitem__(self, key: tuple[int, int]) -> Any:
        """Return a sample of an epoch, for the loader; it draws from a seed of its own."""
        draw_from(self.seed, *key)
        return self.dataset[key[1]]
