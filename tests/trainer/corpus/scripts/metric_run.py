# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import logging

import torch
from pytorch_metric_learning import losses, trainers

logging.getLogger().setLevel(logging.INFO)
logging.basicConfig()
torch.manual_seed(1)
data = [(torch.rand(8), i % 4) for i in range(96)]
trunk, head = torch.nn.Linear(8, 8), torch.nn.Linear(8, 4)
optimizers = {
    "trunk_optimizer": torch.optim.Adam(trunk.parameters()),
    "embedder_optimizer": torch.optim.Adam(head.parameters()),
}
trainers.MetricLossOnly(
    models={"trunk": trunk, "embedder": head},
    optimizers=optimizers,
    batch_size=16,
    loss_funcs={"metric_loss": losses.TripletMarginLoss()},
    dataset=data,
    dataloader_num_workers=0,
    mining_funcs={},
    data_device="cpu",
).train(num_epochs=4)
