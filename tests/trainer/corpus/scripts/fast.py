# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""fastai's Learner."""

import torch
from fastai.learner import Learner
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.metrics import accuracy
from torch import nn

torch.manual_seed(0)
x = torch.randn(160, 8)
pairs = list(zip(x, (x.sum(1) > 0).long()))
loaders = DataLoaders(DataLoader(pairs, bs=16), DataLoader(pairs, bs=32))
Learner(loaders, nn.Linear(8, 2), loss_func=nn.CrossEntropyLoss(), metrics=accuracy).fit(5, 1e-2)
