# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Plain PyTorch with a --resume option, put together as pytorch/examples' imagenet is."""

import argparse
import os
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", default=8, type=int)
parser.add_argument("--resume", default="", type=str, metavar="PATH", help="path to latest checkpoint (default: none)")
args = parser.parse_args()

torch.manual_seed(0)
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.05)
start_epoch = 0
if args.resume and os.path.isfile(args.resume):
    checkpoint = torch.load(args.resume)
    start_epoch = checkpoint["epoch"]
    model.load_state_dict(checkpoint["state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    print(f"=> loaded checkpoint '{args.resume}' (epoch {checkpoint['epoch']})")

os.makedirs("out", exist_ok=True)
for epoch in range(start_epoch, args.epochs):
    for i in range(20):
        x = torch.randn(32, 8)
        loss = nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        time.sleep(0.1)
        if i % 5 == 0:
            print(
                f"Epoch: [{epoch}][{i:3d}/20]\tTime  0.1 ( 0.1)\tLoss {loss.item():.4e} ({loss.item():.4e})", flush=True
            )
    state = {"epoch": epoch + 1, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, "out/checkpoint.pth.tar")
