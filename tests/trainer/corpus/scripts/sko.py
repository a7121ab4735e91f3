# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""skorch's table."""

import torch
from skorch import NeuralNetClassifier
from torch import nn

torch.manual_seed(0)
x = torch.randn(160, 8)
y = (x.sum(1) > 0).long()
NeuralNetClassifier(nn.Linear(8, 2), criterion=nn.CrossEntropyLoss, max_epochs=8, lr=0.1).fit(x, y)
