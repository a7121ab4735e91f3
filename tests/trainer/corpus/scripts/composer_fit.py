# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Composer's trainer with its console logger."""

import sys

import torch
from composer import Trainer
from composer.models import ComposerClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(128, 8)
data = TensorDataset(x, (x.sum(1) > 0).long())
model = ComposerClassifier(nn.Linear(8, 2), num_classes=2)
for bar in (sys.argv[1] == "bar",):
    Trainer(
        model=model,
        train_dataloader=DataLoader(data, 16),
        eval_dataloader=DataLoader(data, 32),
        max_duration="2ep",
        device="cpu",
        progress_bar=bar,
        log_to_console=not bar,
        console_log_interval="4ba",
        optimizers=torch.optim.SGD(model.parameters(), 0.1),
    ).fit()
