# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np
from mlxtend.classifier import SoftmaxRegression

rng = np.random.default_rng(1)
x = rng.random((90, 4))
SoftmaxRegression(epochs=12, eta=0.1, minibatches=1, print_progress=3).fit(x, (x[:, 0] > 0.5).astype(int))
