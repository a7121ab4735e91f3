# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""speechbrain, as it prints by itself."""

import sys, types
from unittest.mock import MagicMock

for _n in ("torchaudio", "torchaudio.transforms", "torchaudio.functional"):
    sys.modules[_n] = MagicMock(__version__="2.11.1", __spec__=None)
import logging, os, sys

logging.basicConfig(level=logging.INFO)
import torch, speechbrain as sb
from speechbrain.utils.train_logger import FileTrainLogger

torch.manual_seed(0)


class Data(torch.utils.data.Dataset):
    def __init__(self, n):
        self.x = torch.randn(n, 6)
        self.y = (self.x[:, :1] > 0).float()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Made(sb.Brain):
    def compute_forward(self, batch, stage):
        return self.modules.net(batch[0])

    def compute_objectives(self, p, batch, stage):
        if stage != sb.Stage.TRAIN:
            self.err += [((p > 0).float() != batch[1]).float().mean().item()]
        return torch.nn.functional.binary_cross_entropy_with_logits(p, batch[1])

    def on_stage_start(self, stage, epoch=None):
        self.err = []

    def on_stage_end(self, stage, loss, epoch=None):
        if stage == sb.Stage.TRAIN:
            self.train_loss = loss
        if stage == sb.Stage.VALID:
            self.hparams.train_logger.log_stats(
                {"epoch": epoch, "lr": 0.1},
                train_stats={"loss": self.train_loss},
                valid_stats={"loss": loss, "error": sum(self.err) / len(self.err)},
            )
        if stage == sb.Stage.TEST:
            self.hparams.train_logger.log_stats(
                {"Epoch loaded": 15}, test_stats={"loss": loss, "error": sum(self.err) / len(self.err)}
            )


b = Made(
    {"net": torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))},
    lambda p: torch.optim.SGD(p, 0.5),
    {"train_logger": FileTrainLogger("/tmp/sb-train.log")},
    run_opts={"device": "cpu", "noprogressbar": True},
)
b.fit(
    range(1, 16), Data(1600), Data(160), train_loader_kwargs={"batch_size": 32}, valid_loader_kwargs={"batch_size": 16}
)
b.evaluate(Data(160), test_loader_kwargs={"batch_size": 16})
