# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pypots, as it prints by itself."""

import numpy as np
from pypots.imputation import SAITS

rng = np.random.RandomState(0)


def data(n):
    X = rng.normal(size=(n, 12, 4)).astype("float32")
    o = X.copy()
    X[rng.rand(*X.shape) < 0.2] = np.nan
    return {"X": X, "X_ori": o}


m = SAITS(
    n_steps=12,
    n_features=4,
    n_layers=1,
    d_model=16,
    n_heads=2,
    d_k=8,
    d_v=8,
    d_ffn=16,
    epochs=15,
    batch_size=16,
    device="cpu",
)
m.fit(data(64), data(32))
