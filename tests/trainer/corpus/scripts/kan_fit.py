# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pykan."""

import torch
from kan import KAN, create_dataset

torch.manual_seed(0)
data = create_dataset(lambda x: torch.sin(x[:, [0]]) + x[:, [1]] ** 2, n_var=2, train_num=100, test_num=50)
KAN(width=[2, 3, 1], grid=3, k=3, seed=0, auto_save=False).fit(data, opt="Adam", steps=40, lamb=0.001)
