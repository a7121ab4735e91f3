# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""flashy's solver with its bar."""

import logging
import sys
import time
import torch
from torch import nn
import flashy
from dora.xp import XP
from dora.conf import DoraConfig
from pathlib import Path
from omegaconf import OmegaConf

logging.basicConfig(
    stream=sys.stderr, level=logging.INFO, format="[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"
)
torch.manual_seed(0)
cfg = OmegaConf.create({"lr": 0.1})
xp = XP(sig="abc", cfg=cfg, dora=DoraConfig(dir=Path("out")), argv=[], delta=[])


class Solver(flashy.BaseSolver):
    def __init__(self):
        super().__init__()
        self.model = nn.Linear(8, 1)
        self.optim = torch.optim.SGD(self.model.parameters(), 0.05)
        self.x = torch.randn(160, 8)
        self.register_stateful("model", "optim")

    def steps(self, train):
        data = [self.x[i : i + 16] for i in range(0, 160, 16)]
        bar = self.log_progress(self.current_stage, data, total=10, updates=5)
        mean = flashy.averager()
        for x in bar:
            loss = ((self.model(x).sum(1) - x.sum(1)) ** 2).mean()
            if train:
                loss.backward()
                self.optim.step()
                self.optim.zero_grad()
            metrics = mean({"loss": loss.item()})
            bar.update(**metrics)
            time.sleep(0.02)
        return metrics

    def run(self):
        for _ in range(self.epoch, 5):
            self.run_stage("train", self.steps, True)
            with torch.no_grad():
                self.run_stage("valid", self.steps, False)
            self.commit(save_checkpoint=False)


with xp.enter():
    Solver().run()
