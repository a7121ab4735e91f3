# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""DeepXDE: a function, and an ordinary differential equation."""

import os

os.environ["DDE_BACKEND"] = "pytorch"
import deepxde as dde
import numpy as np

dde.config.set_random_seed(0)
data = dde.data.Function(dde.geometry.Interval(-1, 1), lambda x: x * np.sin(5 * x), 16, 50)
model = dde.Model(data, dde.nn.FNN([1] + [10] * 2 + [1], "tanh", "Glorot uniform"))
model.compile("adam", lr=0.001, metrics=["l2 relative error"])
model.train(iterations=200, display_every=20)
