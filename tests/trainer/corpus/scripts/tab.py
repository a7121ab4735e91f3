# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pytorch-tabnet."""

import numpy as np
from pytorch_tabnet.tab_model import TabNetClassifier

rng = np.random.default_rng(0)
x = rng.normal(size=(256, 6)).astype("float32")
y = (x.sum(1) > 0).astype(int)
TabNetClassifier(seed=0).fit(
    x[:192],
    y[:192],
    eval_set=[(x[192:], y[192:])],
    eval_metric=["accuracy", "logloss"],
    max_epochs=8,
    batch_size=64,
    virtual_batch_size=32,
)
