"""A small real training: a line is fitted, slowly enough to be met in the middle; asked to stop, it saves and goes."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import torch

STEPS, PAUSE = int(sys.argv[1]), float(sys.argv[2])

asked: list[int] = []
signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
torch.manual_seed(0)
torch.set_num_threads(1)
inputs = torch.linspace(-1, 1, 64).unsqueeze(1)
targets = 3 * inputs + 0.5
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)

step = 0
while step < STEPS and not asked:
    step += 1
    loss = torch.nn.functional.mse_loss(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    optimizer.step()
    print(f"step {step}/{STEPS}: loss {loss.item():.6f}", flush=True)  # noqa: T201  # its output is its report
    time.sleep(PAUSE)

out = Path("out")
out.mkdir(exist_ok=True)
torch.save({"model": model.state_dict(), "step": step}, out / ".ckpt.pt")
(out / ".ckpt.pt").replace(out / "ckpt.pt")
