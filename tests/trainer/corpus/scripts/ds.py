# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""DeepSpeed's engine, one process, on the CPU."""

import os

os.environ |= {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29611",
    "DS_ACCELERATOR": "cpu",
}
import logging

import deepspeed
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
engine, *_ = deepspeed.initialize(
    model=model,
    model_parameters=model.parameters(),
    config={
        "train_batch_size": 8,
        "steps_per_print": 5,
        "wall_clock_breakdown": False,
        "optimizer": {"type": "Adam", "params": {"lr": 1e-3, "torch_adam": True}},
    },
)
for it in (log := logging.getLogger("DeepSpeed"), *log.handlers):
    it.setLevel("INFO")
for step in range(40):
    x = torch.randn(8, 8)
    loss = torch.nn.functional.mse_loss(engine(x), x.sum(1, keepdim=True))
    engine.backward(loss)
    engine.step()
    if step % 10 == 9:
        print(f"step {step + 1} loss {loss.item():.4f}", flush=True)
