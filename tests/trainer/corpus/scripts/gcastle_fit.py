# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""gcastle, as it prints by itself."""

from castle.algorithms import GOLEM
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 5))
x[:, 1] += x[:, 0]
x[:, 3] -= 2 * x[:, 1]
GOLEM(num_iter=2500, checkpoint_iter=100, device_type="cpu").learn(x)
