# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""A Lightning trainer that leaves its checkpoints where Lightning puts them: lightning_logs/version_N/checkpoints."""

import argparse
import time

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))

    def training_step(self, batch, index):
        time.sleep(args.batch_seconds)
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch_seconds", type=float, default=0.05)
    parser.add_argument("--ckpt_path", default=None)
    args = parser.parse_args()
    L.seed_everything(0)
    x = torch.randn(160, 8)
    data = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 16)
    trainer = L.Trainer(max_epochs=args.epochs, accelerator="cpu", log_every_n_steps=1, enable_model_summary=False)
    trainer.fit(Net(), data, ckpt_path=args.ckpt_path)
