# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""neuralop, as it prints by itself."""

import torch
from neuralop import Trainer, LpLoss, H1Loss
from neuralop.models import FNO

torch.manual_seed(0)
x = torch.rand(32, 1, 16, 16)
y = x.roll(1, -1)


def dl(a, b):
    return torch.utils.data.DataLoader([{"x": i, "y": j} for i, j in zip(x[a:b], y[a:b])], batch_size=8)


m = FNO(n_modes=(4, 4), in_channels=1, out_channels=1, hidden_channels=8, n_layers=2)
o = torch.optim.Adam(m.parameters(), lr=1e-2)
t = Trainer(model=m, n_epochs=8, device="cpu", wandb_log=False, eval_interval=1, verbose=True)
t.train(
    train_loader=dl(0, 24),
    test_loaders={16: dl(24, 32)},
    optimizer=o,
    scheduler=torch.optim.lr_scheduler.StepLR(o, 5),
    training_loss=H1Loss(d=2),
    eval_losses={"h1": H1Loss(d=2), "l2": LpLoss(d=2, p=2)},
)
