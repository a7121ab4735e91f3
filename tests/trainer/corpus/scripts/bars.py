# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""tqdm as people use it."""

import sys

import torch
from torch import nn
from tqdm import tqdm, trange

torch.manual_seed(0)
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.002)


def step():
    x = torch.randn(16, 8)
    loss = nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


form = sys.argv[1]
if form == "plain":
    with tqdm(range(12), mininterval=0) as bar:
        for _ in bar:
            bar.set_postfix(loss=f"{step():.4f}")
elif form == "nested":
    for epoch in trange(2, desc="Epoch"):
        with tqdm(range(6), desc=f"Iteration", mininterval=0, leave=False) as bar:
            for n in bar:
                loss = step()
                bar.set_postfix({"train_loss": loss})
        tqdm.write(f"epoch {epoch + 1}/2: loss={loss:.4f}")
else:
    for epoch in range(1, 3):
        bar = tqdm(range(5), mininterval=0)
        for n in bar:
            bar.set_description(f"Epoch {epoch}/2 loss {step():.3f}")
