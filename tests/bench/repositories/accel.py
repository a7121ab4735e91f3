# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Accelerate with save_state and --resume_from_checkpoint, put together as its own by_feature/checkpointing example is."""

import argparse
import os
import time

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

parser = argparse.ArgumentParser()
parser.add_argument("--output_dir", default="out")
parser.add_argument("--checkpointing_steps", type=int, default=20)
parser.add_argument("--resume_from_checkpoint", type=str, default=None)
args = parser.parse_args()

accelerator = Accelerator(cpu=True)
torch.manual_seed(0)
x = torch.randn(320, 8)
model = nn.Linear(8, 1)
optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
model, optimizer, loader = accelerator.prepare(
    model, optimizer, DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 8)
)
overall_step, starting_epoch, resume_step = 0, 0, None
if args.resume_from_checkpoint:
    accelerator.print(f"Resumed from checkpoint: {args.resume_from_checkpoint}")
    accelerator.load_state(args.resume_from_checkpoint)
    resume_step = int(os.path.splitext(os.path.basename(args.resume_from_checkpoint))[0].replace("step_", ""))
    starting_epoch, resume_step = resume_step // len(loader), resume_step % len(loader)
    overall_step = starting_epoch * len(loader) + resume_step

bar = tqdm(total=4 * len(loader), initial=overall_step, desc="Steps")
for epoch in range(starting_epoch, 4):
    active = accelerator.skip_first_batches(loader, resume_step) if epoch == starting_epoch and resume_step else loader
    for a, b in active:
        loss = nn.functional.mse_loss(model(a), b)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        time.sleep(0.05)
        overall_step += 1
        bar.update(1)
        bar.set_postfix(step_loss=loss.item())
        if overall_step % args.checkpointing_steps == 0:
            accelerator.save_state(os.path.join(args.output_dir, f"step_{overall_step}"))
