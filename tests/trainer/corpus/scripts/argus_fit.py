# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pytorch-argus with its logging callbacks."""

import torch
import argus.metrics
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from argus import Model
from argus.callbacks import MonitorCheckpoint

torch.manual_seed(0)


class Head(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, n), nn.ReLU(), nn.Linear(n, 2))

    def forward(self, x):
        return self.net(x)


class Net(Model):
    nn_module = Head
    optimizer = torch.optim.SGD
    loss = nn.CrossEntropyLoss


x = torch.randn(160, 8)
y = (x.sum(1) > 0).long()
train, val = DataLoader(TensorDataset(x[:128], y[:128]), 16), DataLoader(TensorDataset(x[128:], y[128:]), 16)
model = Net({"optimizer": {"lr": 0.05}, "device": "cpu", "nn_module": {"n": 16}})
model.fit(
    train,
    val_loader=val,
    num_epochs=8,
    metrics=[],
    callbacks=[MonitorCheckpoint("out", monitor="val_loss", max_saves=1)],
)
