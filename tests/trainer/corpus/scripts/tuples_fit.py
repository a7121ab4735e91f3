# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np
import torch
import torchtuples as tt

torch.manual_seed(1)
rng = np.random.default_rng(1)
x = rng.random((200, 4)).astype("float32")
y = x.sum(1, keepdims=True)
model = tt.Model(tt.practical.MLPVanilla(4, [8], 1), torch.nn.MSELoss(), tt.optim.Adam(0.01))
model.fit(x, y, 32, 8, verbose=True, val_data=(x, y))
