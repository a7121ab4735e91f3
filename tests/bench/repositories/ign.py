# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pytorch-ignite with its Checkpoint handler and --resume_from, put together as its own cifar10 example is."""

import argparse
import time

import torch
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--resume_from", default=None, help="Path to checkpoint to use to resume the training from.")
args = parser.parse_args()

torch.manual_seed(0)
x = torch.randn(160, 8)
loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 8)
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.05)
trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
to_save = {"trainer": trainer, "model": model, "optimizer": optimizer}


@trainer.on(Events.ITERATION_COMPLETED(every=5))
def log(engine):
    print(
        f"Epoch[{engine.state.epoch}] Iteration[{engine.state.iteration}/{8 * len(loader)}] Loss: {engine.state.output:.4f}",
        flush=True,
    )


@trainer.on(Events.ITERATION_COMPLETED)
def slow(engine):
    time.sleep(0.05)


trainer.add_event_handler(
    Events.EPOCH_COMPLETED, Checkpoint(to_save, DiskSaver("out", create_dir=True, require_empty=False), n_saved=2)
)
if args.resume_from is not None:
    Checkpoint.load_objects(to_load=to_save, checkpoint=torch.load(args.resume_from))
    print("resumed from", args.resume_from)
trainer.run(loader, max_epochs=8)
