# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""A Lightning trainer with a validation each epoch and the CSV logger."""

import os

import torch

try:
    import lightning as L
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
except ImportError:
    import pytorch_lightning as L
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))

    def training_step(self, batch, index):
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", nn.functional.mse_loss(self.net(x), y), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-2)


torch.manual_seed(0)
x = torch.randn(160, 8)
data = TensorDataset(x, x.sum(1, keepdim=True))
trainer = L.Trainer(
    max_epochs=2,
    accelerator="cpu",
    log_every_n_steps=2,
    logger=[CSVLogger("logs"), TensorBoardLogger("tb")],
    enable_model_summary=True,
)
trainer.fit(Net(), DataLoader(data, 16, shuffle=True), DataLoader(data, 32))
