# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""snorkel, as it prints by itself."""

import numpy as np, torch
from torch import nn
import torch.nn.functional as F
from functools import partial
from snorkel.analysis import Scorer
from snorkel.classification import DictDataset, DictDataLoader, MultitaskClassifier, Operation, Task, Trainer

torch.manual_seed(0)


def loader(split, n):
    X = torch.randn(n, 4)
    Y = (X[:, 0] + X[:, 1] > 0).long()
    return DictDataLoader(
        DictDataset(name="Made", split=split, X_dict={"x": X}, Y_dict={"task": Y}),
        batch_size=32,
        shuffle=split == "train",
    )


task = Task(
    name="task",
    module_pool=nn.ModuleDict({"base": nn.Sequential(nn.Linear(4, 8), nn.ReLU()), "head": nn.Linear(8, 2)}),
    op_sequence=[
        Operation(name="b", module_name="base", inputs=[("_input_", "x")]),
        Operation(name="h", module_name="head", inputs=["b"]),
    ],
    scorer=Scorer(metrics=["accuracy", "f1"]),
)
Trainer(n_epochs=5, lr=0.01).fit(MultitaskClassifier([task]), [loader("train", 320), loader("valid", 96)])
