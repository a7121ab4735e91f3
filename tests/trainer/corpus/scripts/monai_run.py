# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import logging
import sys

import torch
from monai.engines import SupervisedTrainer, SupervisedEvaluator
from monai.handlers import StatsHandler, ValidationHandler, from_engine
from ignite.metrics import Accuracy

logging.basicConfig(stream=sys.stdout, level=logging.INFO)
torch.manual_seed(1)
items = [{"image": torch.rand(4), "label": torch.tensor(i % 2)} for i in range(40)]
loader = torch.utils.data.DataLoader(items, batch_size=8)
net = torch.nn.Linear(4, 2)
judge = SupervisedEvaluator(
    device=torch.device("cpu"),
    val_data_loader=loader,
    network=net,
    key_val_metric={"accuracy": Accuracy(output_transform=from_engine(["pred", "label"]))} if False else None,
    val_handlers=[StatsHandler(output_transform=lambda x: None)],
)
SupervisedTrainer(
    device=torch.device("cpu"),
    max_epochs=3,
    train_data_loader=loader,
    network=net,
    optimizer=torch.optim.SGD(net.parameters(), 0.1),
    loss_function=torch.nn.CrossEntropyLoss(),
    train_handlers=[
        ValidationHandler(1, judge),
        StatsHandler(tag_name="train_loss", output_transform=from_engine(["loss"], first=True)),
    ],
).run()
