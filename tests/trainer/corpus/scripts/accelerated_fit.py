# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pytorch-accelerated's Trainer."""

import torch
from torch import nn
from torch.utils.data import TensorDataset
from pytorch_accelerated import Trainer

torch.manual_seed(0)
x = torch.randn(160, 8)
y = (x.sum(1) > 0).long()
model = nn.Linear(8, 2)
Trainer(model=model, loss_func=nn.CrossEntropyLoss(), optimizer=torch.optim.SGD(model.parameters(), lr=0.1)).train(
    train_dataset=TensorDataset(x[:128], y[:128]),
    eval_dataset=TensorDataset(x[128:], y[128:]),
    num_epochs=4,
    per_device_batch_size=16,
)
