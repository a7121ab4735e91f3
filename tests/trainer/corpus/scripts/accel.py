# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""The loop of accelerate's examples."""

import sys

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

set_seed(0)
accelerator = Accelerator(cpu=True)
x = torch.randn(192, 8)
data = TensorDataset(x, (x.sum(1) > 0).long())
model = nn.Linear(8, 2)
optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
train, evaluate = DataLoader(data, 16, shuffle=True), DataLoader(data, 32)
model, optimizer, train, evaluate = accelerator.prepare(model, optimizer, train, evaluate)
if sys.argv[1] == "print":
    for epoch in range(3):
        model.train()
        for batch in train:
            loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        hits = [accelerator.gather_for_metrics((model(a).argmax(1) == b).float()) for a, b in evaluate]
        accelerator.print(f"epoch {epoch}:", {"accuracy": torch.cat(hits).mean().item()})
else:
    # As in its examples that train language models and diffusion models.
    progress_bar = tqdm(range(12), disable=not accelerator.is_local_main_process, desc="Steps", mininterval=0)
    done = 0
    for _ in range(1):
        for batch in train:
            loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            progress_bar.update(1)
            progress_bar.set_postfix(step_loss=loss.detach().item(), lr=1e-2)
