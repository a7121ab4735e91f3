# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""mmengine's Runner."""

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 2)

    def forward(self, x, y, mode="loss"):
        out = self.net(x)
        return {"loss": nn.functional.cross_entropy(out, y)} if mode == "loss" else (out, y)


class Accuracy(BaseMetric):
    def process(self, batch, samples):
        out, y = samples
        self.results.append({"hits": (out.argmax(1) == y).sum().item(), "all": len(y)})

    def compute_metrics(self, results):
        return {"accuracy": 100 * sum(one["hits"] for one in results) / sum(one["all"] for one in results)}


torch.manual_seed(0)
x = torch.randn(160, 8)
data = TensorDataset(x, (x.sum(1) > 0).long())
Runner(
    model=Net(),
    work_dir="work",
    train_dataloader=DataLoader(data, 8),
    val_dataloader=DataLoader(data, 16),
    val_evaluator={"type": Accuracy},
    train_cfg={"by_epoch": True, "max_epochs": 3, "val_interval": 1},
    val_cfg={},
    optim_wrapper={"optimizer": {"type": torch.optim.SGD, "lr": 0.1}},
    default_hooks={"logger": {"type": "LoggerHook", "interval": 5}},
).train()
