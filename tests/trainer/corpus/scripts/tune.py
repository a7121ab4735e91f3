# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""torchtune's logger for standard output and its bar, in the loop of its recipes."""

import torch
from torch import nn
from torchtune.training.metric_logging import StdoutLogger
from tqdm import tqdm

torch.manual_seed(0)
model, logger = nn.Linear(8, 1), StdoutLogger()
optimizer = torch.optim.SGD(model.parameters(), 0.01)
step = 0
for epoch in range(2):
    bar = tqdm(total=10, mininterval=0)
    for _ in range(10):
        x = torch.randn(16, 8)
        loss = nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        bar.update(1)
        bar.set_description(f"{epoch + 1}|{step}|Loss: {loss.item()}")
        logger.log_dict({"loss": loss.item(), "lr": 0.01, "tokens_per_second_per_gpu": 16 / 0.25}, step=step)
