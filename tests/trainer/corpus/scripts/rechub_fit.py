# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""torch-rechub's trainer of click models."""

import numpy as np
import torch
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.ranking import DeepFM
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator

torch.manual_seed(0)
rng = np.random.default_rng(0)
x = {"a": rng.integers(0, 10, 600), "b": rng.integers(0, 5, 600), "d": rng.normal(size=600).astype("float32")}
y = ((x["a"] > 4) ^ (x["d"] > 0)).astype("float32")
dense, sparse = [DenseFeature("d")], [SparseFeature("a", 10, 4), SparseFeature("b", 5, 4)]
train, val, test = DataGenerator(x, y).generate_dataloader(split_ratio=[0.7, 0.15], batch_size=32)
model = DeepFM(deep_features=dense, fm_features=sparse, mlp_params={"dims": [8], "dropout": 0.1, "activation": "relu"})
trainer = CTRTrainer(
    model, optimizer_params={"lr": 0.01}, n_epoch=4, earlystop_patience=4, device="cpu", model_path="."
)
trainer.fit(train, val)
print(f"test auc: {trainer.evaluate(trainer.model, test)}")
