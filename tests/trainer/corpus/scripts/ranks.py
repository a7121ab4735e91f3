# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Two ranks of torchrun that print alike, their output tee'd."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
model = DistributedDataParallel(nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), 0.02)
for step in range(1, 41):
    x = torch.randn(16, 8)
    loss = nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 4 == 0:
        print(f"step {step}/40 loss {loss.item():.4f} lr {0.02:.2e}", flush=True)
dist.destroy_process_group()
