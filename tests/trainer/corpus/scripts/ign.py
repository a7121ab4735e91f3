# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pytorch-ignite: its bar, and the prints of its examples."""

import torch
from ignite.contrib.handlers import ProgressBar
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss, RunningAverage
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(160, 8)
data = TensorDataset(x, (x.sum(1) > 0).long())
train, val = DataLoader(data, 16), DataLoader(data, 32)
model, criterion = nn.Linear(8, 2), nn.CrossEntropyLoss()
trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), 0.1), criterion)
evaluator = create_supervised_evaluator(model, {"accuracy": Accuracy(), "nll": Loss(criterion)})


@trainer.on(Events.ITERATION_COMPLETED(every=5))
def tell(engine):
    print(
        f"Epoch[{engine.state.epoch}] Iteration[{engine.state.iteration}/{len(train)}] Loss: {engine.state.output:.2f}"
    )


@trainer.on(Events.EPOCH_COMPLETED)
def judge(engine):
    evaluator.run(train)
    metrics = evaluator.state.metrics
    print(
        f"Training Results - Epoch: {engine.state.epoch}  Avg accuracy: {metrics['accuracy']:.2f} Avg loss: {metrics['nll']:.2f}"
    )
    evaluator.run(val)
    metrics = evaluator.state.metrics
    print(
        f"Validation Results - Epoch: {engine.state.epoch}  Avg accuracy: {metrics['accuracy']:.2f} Avg loss: {metrics['nll']:.2f}"
    )


trainer.run(train, max_epochs=3)
second = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), 0.1), criterion)
RunningAverage(output_transform=lambda out: out).attach(second, "loss")
ProgressBar(persist=True).attach(second, ["loss"])
second.run(train, max_epochs=2)
