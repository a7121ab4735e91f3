# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import DeepFM

torch.manual_seed(1)
rng = np.random.default_rng(1)
columns = [SparseFeat("item", 10, 4), DenseFeat("price", 1)]
x = {"item": rng.integers(0, 10, 200), "price": rng.random(200)}
y = (x["price"] > 0.5).astype(float)
model = DeepFM(columns, columns, task="binary", device="cpu")
model.compile("adam", "binary_crossentropy", metrics=["binary_crossentropy", "auc"])
model.fit(x, y, batch_size=32, epochs=6, verbose=2, validation_split=0.2)
