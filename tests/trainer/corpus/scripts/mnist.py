# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""The loop of pytorch/examples' mnist, on random pictures."""

import torch
import torch.nn.functional as F
from torch import nn, optim

torch.manual_seed(1)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.LogSoftmax(1))
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
data, labels = torch.randn(640, 1, 8, 8), torch.randint(0, 10, (640,))
for epoch in range(1, 4):
    for batch_idx in range(10):
        part = slice(64 * batch_idx, 64 * batch_idx + 64)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data[part]), labels[part])
        loss.backward()
        optimizer.step()
        if batch_idx % 2 == 0:
            print(
                f"Train Epoch: {epoch} [{batch_idx * 64}/640 ({100.0 * batch_idx / 10:.0f}%)]\tLoss: {loss.item():.6f}"
            )
    with torch.no_grad():
        out = model(data)
        test_loss, correct = F.nll_loss(out, labels).item(), out.argmax(1).eq(labels).sum().item()
    print(f"\nTest set: Average loss: {test_loss:.4f}, Accuracy: {correct}/640 ({100.0 * correct / 640:.0f}%)\n")
