# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import torch, torch.nn as nn, torch.nn.functional as F, time, warnings
from torch.utils.data import DataLoader, TensorDataset


def blobs(n, seed=0, c=4, d=20, noise=2.5):
    g = torch.Generator().manual_seed(seed)
    cent = torch.randn(c, d, generator=torch.Generator().manual_seed(99))
    y = torch.randint(0, c, (n,), generator=g)
    return TensorDataset(cent[y] + noise * torch.randn(n, d, generator=g), y)
